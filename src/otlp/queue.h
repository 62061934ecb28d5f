/* otlp/queue.h: what waits to be exported: encoded items in batches, bounded in items and bytes. When it is full the
 * newest are refused: what is on its way is never given up for what may never go. Not thread-safe. */
#pragma once
#include "base/buf.h"

struct batch {
    struct batch *next;
    struct buf items; /* encoded, one after the other */
    unsigned count;
    uint64_t begun_ns; /* when its first item came */
};

struct queue_limits {
    unsigned items_max, batch_items_max;
    size_t bytes_max, batch_bytes_max;
    uint64_t delay_ns; /* how long an item waits for others */
};

struct queue { /* zero-initialise, then set `limits` */
    struct queue_limits limits;
    struct batch *first, *last; /* the last one is still being filled */
    unsigned items;
    size_t bytes;
};

bool queue_add(struct queue *q, struct slice items, unsigned count, uint64_t now_ns); /* false: full, nothing taken */
/* The oldest batch, when it is full, older than the delay, or `now` is asked for; the caller owns it. NULL: none. */
struct batch *queue_take(struct queue *q, bool now, uint64_t now_ns);
uint64_t queue_due_ns(const struct queue *q); /* when queue_take() would give one; UINT64_MAX: empty */
void batch_free(struct batch *b);
unsigned queue_clear(struct queue *q); /* how many items were lost */
