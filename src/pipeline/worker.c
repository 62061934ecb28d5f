/* A worker's belongings, the reaper, and shutting down. */
#include "pipeline/worker.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>

#include "pipeline/exchange.h"
#include "base/mem.h"

/* Frees at the end of the turn what ended in it, so that no callback of the same turn meets freed memory. What another
 * thread still owes an answer for (the resolver) belongs to that answer, not to the exchange. */
static void reap(struct loop_task *task) {
    struct worker *w = (struct worker *)((char *)task - offsetof(struct worker, reaper));
    for (struct exchange *x; (x = w->dead) != NULL;) {
        w->dead = x->next_dead;
        exchange_free(x);
    }
}

static void record_tell(struct loop_task *task) {
    struct worker *w = (struct worker *)((char *)task - offsetof(struct worker, record_wake));
    w->record_ready(w->record_context);
}

/* Pools of the configuration's origins open; those of origins that it does not name drain. */
static void pools_follow(struct worker *w, const struct snapshot *conf) {
    bool named[ORIGINS_MAX] = {false};
    for (size_t i = 0; i < conf->provider_count; i++) {
        struct origin *o = conf->providers[i]->origin;
        struct pool *p = &w->pools[o->slot];
        named[o->slot] = true;
        if (p->origin == NULL) pool_open_at(p, o, w->loop, &w->inbox);
        p->resolver = w->resolver;
        assert(p->origin == o);
    }
    for (unsigned i = 0; i < ORIGINS_MAX; i++) {
        struct pool *p = &w->pools[i];
        if (p->origin == NULL || p->leaving == !named[i]) continue;
        if (named[i])
            pool_stay(p);
        else
            pool_leave(p);
    }
}

void worker_adopt(struct worker *w, struct pin *next) {
    pools_follow(w, next->conf);
    w->conf = next->conf;
    pins_adopt(&w->pins, next);
}

void worker_origin_clear(struct worker *w, unsigned slot) {
    pool_clear(&w->pools[slot]);
}

void worker_init(struct worker *w, unsigned index, struct pin *first, struct resolver *resolver, struct ring *records) {
    w->index = index;
    w->resolver = resolver;
    w->records = records;
    w->loop = loop_new();
    w->reaper.run = reap;
    w->record_wake.run = record_tell;
    inbox_init(&w->inbox, w->loop, 65536, w);
    worker_adopt(w, first);
}

void worker_clear(struct worker *w) {
    reap(&w->reaper);
    for (unsigned i = 0; i < ORIGINS_MAX; i++) pool_clear(&w->pools[i]);
    redis_client_free(w->redis);
    limit_shared_free(w->shared);
    inbox_clear(&w->inbox);
    loop_free(w->loop);
    block_pool_clear(&w->blocks);
    traffic_clear(&w->traffic);
    histogram_clear(&w->loop_lag);
}

void worker_drain(struct worker *w) {
    w->draining = true;
    client_close_idle(w);
}

void worker_leave(struct worker *w) {
    w->leaving = true;
    client_hurry_idle(w);
}

void worker_cut(struct worker *w) {
    for (struct client *c = w->clients, *next; c != NULL; c = next) {
        next = c->next;
        struct exchange *x = c->exchange;
        if (x == NULL) continue;
        exchange_callback_begin(x);
        exchange_fail(x, FAILURE_DRAINING);
        exchange_callback_end(x);
    }
    for (unsigned i = 0; i < ORIGINS_MAX; i++) pool_close_idle(&w->pools[i]);
}

void worker_end(struct worker *w) {
    worker_cut(w);
    while (w->clients != NULL) client_drop(w->clients);
}
