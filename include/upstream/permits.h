/* upstream/permits.h: how many connections a provider may have, across all workers: a counter and, once it is spent, a
 * first-come-first-served line of workers to be told. One freed permit tells one. A worker that has to wait makes a
 * sibling give up an idle connection, or, when it holds more than its share, the next one that comes free. */
#pragma once
#include <pthread.h>
#include <stdatomic.h>

#include "net/inbox.h"

struct permit_waiter {      /* embedded by a worker's pool; in the line at most once */
    struct message message; /* posted to `inbox` when a permit may be free; set message.run once */
    struct message
        yield; /* posted to `inbox` when others wait and this pool has idle connections; set yield.run once */
    struct inbox *inbox;
    const _Atomic unsigned *idle_count; /* of the pool */
    struct permit_waiter *next, *next_member;
    bool waiting, told, asked; /* the permits' lock: in the line; `message`, `yield` is on its way */
};

struct permits {
    _Atomic uint64_t used;
    _Atomic uint64_t max;
    _Atomic unsigned waiting_count; /* workers in the line */
    _Atomic unsigned queued_count;  /* attempts behind them, in all workers */
    _Atomic unsigned promised;      /* free permits that a worker was told of and has not heard of yet */
    pthread_mutex_t lock;
    struct permit_waiter *first, **tail, *members;
    unsigned member_count;
};

void permits_init(struct permits *p, uint64_t max);
void permits_clear(struct permits *p);
void permits_max_set(struct permits *p, uint64_t max); /* any thread; below what is out, nothing is given for a while */
void permits_join(struct permits *p,
                  struct permit_waiter *w); /* makes it one of those who share; they live as long as p */
void permits_part(struct permits *p, struct permit_waiter *w); /* … until here; not in the line, nothing told */
bool permits_take(struct permits *p);                          /* false: all in use, or promised to who was told */
bool permits_free(struct permits *p);                          /* would permits_take() give one? */
void permits_give(struct permits *p);                          /* and tells the first in the line */
void permits_pass(struct permits *p); /* tells the next in line, when there is one and a permit is free */
void permits_wait(struct permits *p, struct permit_waiter *w); /* joins the line; harmless when already in it or told */
void permits_leave(struct permits *p, struct permit_waiter *w);
void permits_heard(struct permits *p,
                   struct permit_waiter *w); /* ends the promise; right before `message` is acted on */
/* `yield` has come: how many are in the line and want an idle connection given up. */
unsigned permits_yield_heard(struct permits *p, struct permit_waiter *w);
/* Should the holder of `held` connections let one go although it has use for it? When another is in the line, and this
 * one has more than its equal share. */
bool permits_over_share(struct permits *p, const struct permit_waiter *w, uint64_t held);
static inline bool permits_contended(struct permits *p) {
    return atomic_load_explicit(&p->waiting_count, memory_order_relaxed) > 0;
}
