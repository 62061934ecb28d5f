/* limit/waiting.h: who waits for a limit of a tenant instead of being refused: a line for each tenant (and for each
 * model with limits of its own), first come, first served, over all workers. Only the first of a line asks the limiter;
 * it is told when something of its tenant was settled, and when it has become the first. Tenants do not wait for each
 * other: each has its own limits and its own lines.
 *
 * It does not know what the limits are or how they are decided. Thread-safe; with nobody waiting a call is one load. */
#pragma once
#include "base/slice.h"
#include "net/inbox.h"

struct waiting;
struct waiting *waiting_new(void);
void waiting_free(struct waiting *w); /* nobody waits any more */

struct waiting_line;
struct waiter { /* one in line; from the heap, because a message may be on its way to one who has left */
    struct message message;
    struct inbox *inbox;              /* of the worker it belongs to; outlives it */
    void (*told)(struct waiter *own); /* from the loop: it is the first, and asking may help */
    void *context;
    /* the line's */
    struct waiting *all;
    struct waiting_line *line;
    struct waiter *next, **link;
    bool posted, left;
};

/* Does somebody wait whom a request for this model must not overtake? *of_model: in the model's line only. */
bool waiting_is_behind(struct waiting *w, struct slice tenant, struct slice model, bool *of_model);
/* Joins the end of the tenant's line: of one model's when `model` is not empty. NULL: `size` of the tenant's are
 * waiting already. */
struct waiter *waiting_join(struct waiting *w, struct slice tenant, struct slice model, uint64_t size,
                            struct inbox *inbox, void (*told)(struct waiter *own), void *context);
bool waiter_is_first(struct waiter *own);
void waiter_leave(struct waiter *own);                        /* frees it; who is first now is told */
void waiting_settled(struct waiting *w, struct slice tenant); /* something of it was given back */
uint64_t waiting_count(struct waiting *w);
