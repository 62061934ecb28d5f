/* Generations of the configuration. Each worker has one pin on each; when all have moved on from one the main thread
 * frees it, and with it the origins that nobody else names: their pools are cleared by their workers first. */
#include <stddef.h>

#include "base/mem.h"
#include "parts.h"

struct hold {
    struct pin pin;
    struct generation *generation;
    struct gateway *gateway;
};

struct generation {
    struct snapshot *conf;
    unsigned held; /* by so many workers */
    struct generation *next;
    struct hold holds[];
};

static void origins_retire(struct gateway *g) {
    for (struct origin *o; (o = origins_take_unused(g->origins)) != NULL;) {
        unsigned slot = o->slot; /* the last worker that is told frees it */
        for (unsigned i = 0; i < g->thread_count; i++) thread_post(g, g->threads[i], &g->threads[i]->clear[slot]);
    }
}

static void released_run(struct message *m, void *context) {
    struct gateway *g = context;
    struct hold *h = (struct hold *)((char *)m - offsetof(struct hold, pin.message));
    struct generation *n = h->generation;
    if (--n->held > 0) return;
    struct generation **link = &g->generations;
    while (*link != n) link = &(*link)->next;
    *link = n->next;
    snapshot_free(n->conf);
    mem_free(n);
    origins_retire(g);
}

/* From a worker's thread. A message that finds no room is no loss but memory, until the end. */
static void pin_released(struct pin *pin) {
    struct hold *h = (struct hold *)((char *)pin - offsetof(struct hold, pin));
    pin->message.run = released_run;
    inbox_post(&h->gateway->inbox, &pin->message);
}

static void adopt_run(struct message *m, void *context) {
    worker_adopt(context, (struct pin *)((char *)m - offsetof(struct pin, message)));
}

struct pin *generation_pin(struct generation *n, unsigned worker) {
    return &n->holds[worker].pin;
}

struct generation *generation_add(struct gateway *g, struct snapshot *conf, unsigned workers) {
    struct generation *n = mem_zalloc(sizeof *n + workers * sizeof n->holds[0]);
    n->conf = conf;
    n->held = workers;
    for (unsigned i = 0; i < workers; i++)
        n->holds[i] = (struct hold){
            .pin = {.message.run = adopt_run, .conf = conf, .released = pin_released}, .generation = n, .gateway = g};
    n->next = g->generations;
    g->generations = n;
    pthread_mutex_lock(&g->conf_lock);
    g->conf = conf;
    pthread_mutex_unlock(&g->conf_lock);
    return n;
}

void generations_adopt(struct gateway *g) {
    for (unsigned i = 0; i < g->thread_count; i++) thread_post(g, g->threads[i], &g->generations->holds[i].pin.message);
}

void generations_free(struct gateway *g) {
    for (struct generation *n = g->generations, *next; n != NULL; n = next) {
        next = n->next;
        snapshot_free(n->conf);
        mem_free(n);
    }
    g->generations = NULL;
}
