/* Request bodies in recycled 16 KiB blocks. The budget is one process-wide atomic counter, charged per block: it is
 * touched once per 16 KiB, so sharing it between workers costs nothing. */
#include "base/blocks.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/mem.h"

enum { IDLE_BLOCKS_MAX = 64 };

static _Atomic size_t budget_bytes = SIZE_MAX;
static _Atomic size_t in_use_bytes;

void blocks_budget_set(size_t bytes) {
    atomic_store(&budget_bytes, bytes);
}

size_t blocks_in_use_bytes(void) {
    return atomic_load_explicit(&in_use_bytes, memory_order_relaxed);
}

void block_pool_clear(struct block_pool *pool) {
    for (struct block *b = pool->idle, *next; b != NULL; b = next) {
        next = b->next;
        mem_free(b);
    }
    *pool = (struct block_pool){0};
}

static bool block_charge(void) {
    size_t before = atomic_fetch_add_explicit(&in_use_bytes, BLOCK_BYTES, memory_order_relaxed);
    if (before + BLOCK_BYTES <= atomic_load_explicit(&budget_bytes, memory_order_relaxed)) return true;
    atomic_fetch_sub_explicit(&in_use_bytes, BLOCK_BYTES, memory_order_relaxed);
    return false;
}

static struct block *block_take(struct block_pool *pool) {
    if (!block_charge()) return NULL;
    struct block *b = pool->idle;
    if (b != NULL) {
        pool->idle = b->next;
        pool->idle_count--;
    } else {
        b = mem_alloc(sizeof *b);
    }
    b->next = NULL;
    return b;
}

static void block_give(struct block_pool *pool, struct block *b) {
    atomic_fetch_sub_explicit(&in_use_bytes, BLOCK_BYTES, memory_order_relaxed);
    if (pool->idle_count >= IDLE_BLOCKS_MAX) {
        mem_free(b);
        return;
    }
    b->next = pool->idle;
    pool->idle = b;
    pool->idle_count++;
}

/* All blocks the bytes will need, or none: a body is never left with half a piece. */
static bool blocks_add(struct body *b, struct block_pool *pool, size_t count) {
    struct block *first = NULL, *last = NULL;
    for (size_t i = 0; i < count; i++) {
        struct block *block = block_take(pool);
        if (block == NULL) {
            while (first != NULL) {
                struct block *next = first->next;
                block_give(pool, first);
                first = next;
            }
            return false;
        }
        if (first == NULL)
            first = block;
        else
            last->next = block;
        last = block;
    }
    if (b->first == NULL)
        b->first = first;
    else
        b->last->next = first;
    b->block_count += count;
    return true;
}

bool body_append(struct body *b, struct block_pool *pool, const void *p, size_t n) {
    size_t room = b->block_count * BLOCK_BYTES - b->length;
    struct block *at = b->last;
    if (n > room && !blocks_add(b, pool, (n - room + BLOCK_BYTES - 1) / BLOCK_BYTES)) return false;
    if (at == NULL) at = b->first;
    const char *from = p;
    while (n > 0) {
        size_t used = b->length % BLOCK_BYTES;
        assert(at != NULL);
        if (used == 0 && b->length > 0) at = at->next;
        assert(at != NULL);
        size_t take = BLOCK_BYTES - used < n ? BLOCK_BYTES - used : n;
        memcpy(at->data + used, from, take);
        b->last = at;
        b->length += take;
        from += take;
        n -= take;
    }
    return true;
}

void body_clear(struct body *b, struct block_pool *pool) {
    for (struct block *block = b->first, *next; block != NULL; block = next) {
        next = block->next;
        block_give(pool, block);
    }
    *b = (struct body){0};
}

size_t body_read(const struct body *b, size_t offset, void *out, size_t n) {
    struct iovec run[8];
    size_t copied = 0, covered;
    while (copied < n && offset + copied < b->length) {
        int count = body_iovec(b, offset + copied, n - copied, run, 8, &covered);
        for (int i = 0; i < count; i++) {
            memcpy((char *)out + copied, run[i].iov_base, run[i].iov_len);
            copied += run[i].iov_len;
        }
    }
    return copied;
}

int body_iovec(const struct body *b, size_t offset, size_t n, struct iovec *out, int max, size_t *covered) {
    int count = 0;
    *covered = 0;
    if (offset >= b->length) return 0;
    if (n > b->length - offset) n = b->length - offset;
    struct block *block = b->first;
    for (size_t skip = offset / BLOCK_BYTES; skip > 0; skip--) block = block->next;
    size_t within = offset % BLOCK_BYTES;
    for (; n > 0 && count < max; block = block->next, within = 0) {
        size_t take = BLOCK_BYTES - within < n ? BLOCK_BYTES - within : n;
        out[count++] = (struct iovec){block->data + within, take};
        *covered += take;
        n -= take;
    }
    return count;
}
