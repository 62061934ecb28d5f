/* A list of batches; only the last one grows. */
#include "queue.h"

#include "base/mem.h"

static bool is_full(const struct queue *q, const struct batch *b) {
    return b->count >= q->limits.batch_items_max || buf_length(&b->items) >= q->limits.batch_bytes_max;
}

static struct batch *batch_open(struct queue *q, uint64_t now_ns) {
    if (q->last != NULL && !is_full(q, q->last)) return q->last;
    struct batch *b = mem_zalloc(sizeof *b);
    b->begun_ns = now_ns;
    if (q->last != NULL)
        q->last->next = b;
    else
        q->first = b;
    q->last = b;
    return b;
}

bool queue_add(struct queue *q, struct slice items, unsigned count, uint64_t now_ns) {
    if (q->items + count > q->limits.items_max || q->bytes + items.n > q->limits.bytes_max) return false;
    struct batch *b = batch_open(q, now_ns);
    buf_append_slice(&b->items, items);
    b->count += count;
    q->items += count;
    q->bytes += items.n;
    return true;
}

uint64_t queue_due_ns(const struct queue *q) {
    if (q->first == NULL) return UINT64_MAX;
    return is_full(q, q->first) ? q->first->begun_ns : q->first->begun_ns + q->limits.delay_ns;
}

struct batch *queue_take(struct queue *q, bool now, uint64_t now_ns) {
    struct batch *b = q->first;
    if (b == NULL || (!now && now_ns < queue_due_ns(q))) return NULL;
    q->first = b->next;
    if (q->first == NULL) q->last = NULL;
    b->next = NULL;
    q->items -= b->count;
    q->bytes -= buf_length(&b->items);
    return b;
}

void batch_free(struct batch *b) {
    if (b == NULL) return;
    buf_clear(&b->items);
    mem_free(b);
}

unsigned queue_clear(struct queue *q) {
    unsigned lost = q->items;
    for (struct batch *b = q->first, *next; b != NULL; b = next) {
        next = b->next;
        batch_free(b);
    }
    q->first = q->last = NULL;
    q->items = 0;
    q->bytes = 0;
    return lost;
}
