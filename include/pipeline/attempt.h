/* pipeline/attempt.h: one try at one target. Embedded in its exchange and begun anew for each try. Borrows its
 * connection from the pool between checkout and checkin or discard; attempt_cancel() ends one in whatever state it is.
 */
#pragma once
#include "http/body.h"
#include "net/resolver.h"
#include "pipeline/snapshot.h"
#include "telemetry/ledger.h"
#include "upstream/pool.h"

struct exchange;

struct attempt {
    struct pool *pool;
    struct upstream *up;
    enum failure failure;
    bool any_byte, head_done, answer_done, keep;
    bool stale;                     /* failed on a pooled connection before any byte of the answer: worth a fresh one */
    bool head_sent, end_sent, sent; /* sent: the whole request is in the socket */
    bool connected, reused, fresh_only; /* fresh_only: no pooled connection, a stale one has failed before */
    bool in_line, called;               /* called: it has been to the front of the line */
    uint64_t begun_ns, connect_from_ns, send_begun_ns, send_ended_ns,
        progress_ns; /* progress: the last byte or event that counts against `idle` */
    uint64_t head_ns, first_byte_ns, answer_bytes;
    struct body_reader reader;
    struct timer deadline; /* queue, connect, send, first token, idle: whichever is next */
    struct ledger ledger;
    struct pool_wait waiting;      /* its place in the pool's line */
    struct resolution *resolution; /* the provider's addresses, asked for or there; until connected */
    unsigned address_next;         /* of the resolution's answer: tried one after the other */
    uint64_t body_sent;            /* of the request's body (edited length) */
    /* the answer */
    struct buf head_part; /* an unfinished head */
    size_t head_scanned;
    unsigned interim_count; /* 1xx swallowed */
    uint16_t status;
};

void attempt_begin(struct exchange *x, bool fresh_only); /* resets it; the exchange's ledger goes to RETRY */
/* Gives the connection back (`keep`: after a whole, clean exchange) or closes it, and takes back whatever was waited
 * for. */
void attempt_release(struct exchange *x, bool keep);
void attempt_deadline(struct exchange *x); /* sets the deadline that its state calls for */
