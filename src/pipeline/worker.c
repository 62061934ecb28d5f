/* A worker's belongings, the reaper, and shutting down. */
#include "pipeline/worker.h"

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

void worker_init(struct worker *w, unsigned index, const struct snapshot *conf, struct resolver *resolver,
                 struct ring *records) {
    *w = (struct worker){.index = index, .conf = conf, .resolver = resolver, .records = records};
    w->loop = loop_new();
    w->reaper.run = reap;
    w->record_wake.run = record_tell;
    inbox_init(&w->inbox, w->loop, 65536, w);
    for (size_t i = 0; i < conf->provider_count; i++)
        pool_init(&w->pools[conf->providers[i]->slot], conf->providers[i], w->loop, &w->inbox);
}

void worker_clear(struct worker *w) {
    reap(&w->reaper);
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

void worker_cut(struct worker *w) {
    for (struct client *c = w->clients, *next; c != NULL; c = next) {
        next = c->next;
        struct exchange *x = c->exchange;
        if (x == NULL) continue;
        exchange_callback_begin(x);
        exchange_fail(x, FAILURE_DRAINING);
        exchange_callback_end(x);
    }
    for (size_t i = 0; i < w->conf->provider_count; i++) pool_close_idle(&w->pools[w->conf->providers[i]->slot]);
}

void worker_end(struct worker *w) {
    worker_cut(w);
    while (w->clients != NULL) client_drop(w->clients);
}
