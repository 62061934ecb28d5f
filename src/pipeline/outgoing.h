/* pipeline/outgoing.h: what one turn sends to a client, in one send: the head when it is due, pieces of the body as one
 * chunk, the end. Small pieces are copied next to each other in the worker's scratch, because the kernel takes one run
 * of bytes for much less than twenty; large ones are sent from where they are. */
#pragma once
#include "http/write.h"
#include "pipeline/exchange.h"

enum { OUTGOING_PIECES_MAX = 72, OUTGOING_COPY_MAX = 8192 };

struct outgoing {
    struct buf flat; /* the worker's scratch: the head is composed here, small pieces and framing follow */
    size_t run_from; /* where in `flat` the run begins that is not yet a piece */
    struct iovec pieces[OUTGOING_PIECES_MAX];
    int count, chunk_piece; /* chunk_piece: the piece that has room for the chunk's size in front */
    int body_piece;         /* the first piece of the body, or -1 */
    size_t body_skip;       /* … and how much of that piece is the head's */
    size_t body_bytes;
    size_t head_bytes; /* while it is held: of `flat`, the part of the head that stays true while it waits */
};

void outgoing_begin(struct outgoing *out, struct worker *w);
void outgoing_run_close(struct outgoing *out); /* what stands in `flat` is a piece */
/* Adds to the body; `data` must stay until the flush when it is longer than OUTGOING_COPY_MAX. */
void outgoing_body(struct attempt *a, struct outgoing *out, struct slice data);
/* Sends what was gathered; `end` closes the body's framing, or is empty. Pauses the provider when the client is slow.
 */
void outgoing_flush(struct attempt *a, struct outgoing *out, struct slice end);
