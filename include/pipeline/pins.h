/* pipeline/pins.h: which configurations a worker still uses. Each exchange holds the one it began with; a worker counts
 * them with a plain counter, and tells the owner when it has moved on from one for good. */
#pragma once
#include "net/inbox.h"

struct snapshot;

struct pin { /* one worker's hold on one configuration; OWNED BY whoever made it, for as long as the configuration */
    struct message message; /* for its owner's use; the pins do not touch it */
    const struct snapshot *conf;
    void (*released)(struct pin *pin); /* from the worker's thread, once, last thing: it may be freed from then on;
                                          NULL: nobody wants to know */
    uint64_t count;                    /* exchanges of it; the worker's */
    struct pin *older;
};

struct pins { /* zero-initialise; a worker's */
    struct pin *current, *older;
};

void pins_adopt(struct pins *p, struct pin *next); /* what begins from now on holds `next` */
void pins_give(struct pins *p, const struct snapshot *conf);
static inline const struct snapshot *pins_take(struct pins *p) {
    p->current->count++;
    return p->current->conf;
}
