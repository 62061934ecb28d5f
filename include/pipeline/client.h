/* pipeline/client.h: a client's connection: turns its bytes into one exchange after another. */
#pragma once
#include "pipeline/worker.h"

enum { PIPELINED_BYTES_MAX = 16384, ARRIVALS_MAX = 4 };

struct arrival { /* bytes that came together */
    size_t bytes;
    uint64_t ns;
};

struct client { /* OWNED BY its worker's list; freed by the reaper when the connection and its exchange are gone */
    struct worker *worker;
    struct conn *conn;         /* borrowed; NULL once it is closed */
    struct exchange *exchange; /* the one being served; NULL between requests */
    struct client *next, **link;
    struct buf head_part; /* an unfinished head */
    size_t head_scanned;
    struct buf pending;                    /* pipelined bytes that wait for their turn */
    struct arrival arrivals[ARRIVALS_MAX]; /* of them, oldest first; of more pieces the last ones count as one */
    unsigned arrival_count;
    struct loop_task again;          /* looks at `pending` */
    uint64_t accepted_ns, tls_in_ns; /* the client's handshake; told once, on the first exchange */
    bool tls, tls_told;
    bool half_closed; /* it will send no more; what came is still served */
    unsigned exchanges;
    struct key_memo key_memo; /* the key this client sends with every request */
    uint8_t address_length;
    char address[INET6_ADDRSTRLEN]; /* the peer's, as text */
};

void client_accept(struct worker *w, int fd, struct tls_context *tls, uint64_t accepted_ns); /* owns fd */
/* The exchange is over, its answer is in the socket: the connection serves the next one, or ends. `reusable`: the
 * request was read whole and both sides allow it; otherwise the connection lingers and closes. */
void client_exchange_over(struct client *c, bool reusable);
/* … or its answer must not look complete: the connection is reset. `told`: behind all that was sent, which says so. */
void client_exchange_broken(struct client *c, bool told);
void client_drop(struct client *c);       /* at once, whatever it still waits for; its exchange settles */
void client_hurry_idle(struct worker *w); /* … have only a moment left to ask once more: worker_leave() */
void client_close_idle(struct worker *w); /* those between requests */
