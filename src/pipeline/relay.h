/* pipeline/relay.h: the answer's body on its way to the client: taken out of the provider's framing, looked at, put into
 * the client's. One chunk and one send a turn. */
#pragma once
#include "http/write.h"
#include "pipeline/exchange.h"

enum { OUTGOING_MAX = 64 };

struct outgoing { /* what one turn sends to the client: the head, if it is due, and pieces of the body */
    struct buf head;                       /* composed in the worker's scratch */
    struct iovec pieces[OUTGOING_MAX + 4]; /* room for the framing around the body */
    int count, body_begins;
    size_t body_bytes;
    char chunk_head[CHUNK_HEAD_MAX];
};

void outgoing_add(struct outgoing *out, struct slice head);      /* the head; before any of the body */
void relay_bytes(struct exchange *x, struct outgoing *out, struct slice bytes); /* as read from the provider */
void relay_end(struct exchange *x, struct outgoing *out);        /* the provider's side is complete */
void relay_redact_begin(struct exchange *x);                     /* an error's body follows: blank echoes of the key */
