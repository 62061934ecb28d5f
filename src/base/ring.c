/* Single-producer single-consumer byte ring. The hard part is the end of the array: an item never wraps, so a writer
 * that does not fit there leaves a skip mark and begins again at the front. Positions only grow; the index is position
 * modulo capacity. The reader keeps a private copy of the writer's position and rereads the shared one only when that
 * says no. So does the writer, but for one thing: where the reader has caught up it begins again at the front, so that
 * a ring that never fills goes through a sixteenth of its memory, which stays in the caches. */
#include "base/ring.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include "base/mem.h"

#define SKIP UINT64_MAX
#define ITEM_HEAD sizeof(uint64_t)
#define REWIND_PART 16

struct ring {
    char *data;
    size_t capacity;
    _Alignas(64) _Atomic uint64_t written; /* the writer's line */
    _Atomic uint64_t rewound; /* where it last began again at the front: nothing before that is of use any more */
    uint64_t read_seen, reserved_from, reserved_bytes;
    _Atomic uint64_t dropped;
    _Alignas(64) _Atomic uint64_t read; /* the reader's line */
    uint64_t written_seen, rewound_seen, peeked_bytes;
};

struct ring *ring_new(size_t capacity_bytes) {
    assert((capacity_bytes & (capacity_bytes - 1)) == 0 && capacity_bytes >= 64);
    struct ring *r = mem_zalloc(sizeof *r);
    r->data = mem_alloc(capacity_bytes);
    r->capacity = capacity_bytes;
    return r;
}

void ring_free(struct ring *r) {
    if (r == NULL) return;
    mem_free(r->data);
    mem_free(r);
}

static uint64_t *head_at(const struct ring *r, uint64_t position) {
    return (uint64_t *)(void *)(r->data + (position & (r->capacity - 1)));
}

/* Reads how far the reader is. Where the writer began again at the front it had read all before that, told or not. */
static void read_look(struct ring *r) {
    uint64_t read = atomic_load_explicit(&r->read, memory_order_acquire);
    uint64_t rewound = atomic_load_explicit(&r->rewound, memory_order_relaxed);
    r->read_seen = read > rewound ? read : rewound;
}

/* The reader has caught up: what comes next may lie at the front again. Returns the position to write at. */
static uint64_t rewind_if_empty(struct ring *r, uint64_t from) {
    if ((from & (r->capacity - 1)) < r->capacity / REWIND_PART) return from;
    read_look(r);
    if (r->read_seen < from) return from;
    if (r->read_seen == from) r->read_seen = (from | (r->capacity - 1)) + 1;
    /* the reader sees it with the item that will be written there */
    atomic_store_explicit(&r->rewound, r->read_seen, memory_order_relaxed);
    return r->read_seen;
}

void *ring_reserve(struct ring *r, size_t n) {
    size_t bytes = ITEM_HEAD + ((n + 7) & ~(size_t)7);
    uint64_t from = rewind_if_empty(r, atomic_load_explicit(&r->written, memory_order_relaxed));
    size_t to_end = r->capacity - (size_t)(from & (r->capacity - 1));
    size_t skipped = to_end < bytes ? to_end : 0;
    if (from + skipped + bytes - r->read_seen > r->capacity) {
        read_look(r);
        if (from + skipped + bytes - r->read_seen > r->capacity) {
            atomic_store_explicit(&r->dropped, atomic_load_explicit(&r->dropped, memory_order_relaxed) + 1,
                                  memory_order_relaxed);
            return NULL;
        }
    }
    if (skipped > 0) *head_at(r, from) = SKIP;
    r->reserved_from = from + skipped;
    r->reserved_bytes = bytes;
    *head_at(r, r->reserved_from) = n;
    return head_at(r, r->reserved_from) + 1;
}

void ring_commit(struct ring *r) {
    assert(r->reserved_bytes > 0);
    atomic_store_explicit(&r->written, r->reserved_from + r->reserved_bytes, memory_order_release);
    r->reserved_bytes = 0;
}

const void *ring_peek(struct ring *r, size_t *n) {
    uint64_t at = atomic_load_explicit(&r->read, memory_order_relaxed);
    if (at == r->written_seen) {
        r->written_seen = atomic_load_explicit(&r->written, memory_order_acquire);
        if (at == r->written_seen) return NULL;
        r->rewound_seen = atomic_load_explicit(&r->rewound, memory_order_relaxed);
    }
    uint64_t item = at > r->rewound_seen ? at : r->rewound_seen;
    if (*head_at(r, item) == SKIP) item += r->capacity - (item & (r->capacity - 1));
    const uint64_t *head = head_at(r, item);
    *n = (size_t)*head;
    r->peeked_bytes = item - at + ITEM_HEAD + ((*n + 7) & ~(size_t)7);
    return head + 1;
}

void ring_release(struct ring *r) {
    assert(r->peeked_bytes > 0);
    uint64_t at = atomic_load_explicit(&r->read, memory_order_relaxed);
    atomic_store_explicit(&r->read, at + r->peeked_bytes, memory_order_release);
    r->peeked_bytes = 0;
}

uint64_t ring_dropped(const struct ring *r) {
    return atomic_load_explicit(&r->dropped, memory_order_relaxed);
}
