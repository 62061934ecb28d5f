/* upstream/permits.h: how many connections a provider may have, across all workers: a counter and, once it is spent, a
 * first-come-first-served line of workers to be told. One freed permit tells one. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "net/inbox.h"

struct permit_waiter { /* embedded by a worker's pool; in the line at most once */
    struct message message; /* posted to `inbox` when a permit may be free; set message.run once */
    struct inbox *inbox;
    struct permit_waiter *next;
    bool waiting;
};

struct permits {
    _Atomic uint64_t used;
    uint64_t max;
    _Atomic unsigned waiting_count; /* workers in the line */
    _Atomic unsigned queued_count;  /* attempts behind them, in all workers */
    pthread_mutex_t lock;
    struct permit_waiter *first, **tail;
};

void permits_init(struct permits *p, uint64_t max);
void permits_clear(struct permits *p);
bool permits_take(struct permits *p);                        /* false: all in use */
void permits_give(struct permits *p);                        /* and tells the first in the line */
void permits_pass(struct permits *p);                        /* was told, has no use for it any more: tells the next */
void permits_wait(struct permits *p, struct permit_waiter *w); /* joins the line; harmless when already in it */
void permits_leave(struct permits *p, struct permit_waiter *w);
static inline bool permits_contended(struct permits *p) {
    return atomic_load_explicit(&p->waiting_count, memory_order_relaxed) > 0;
}
