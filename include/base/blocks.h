/* base/blocks.h: request bodies held in recycled 16 KiB blocks, charged to a process-wide budget. A `struct body` is
 * written once at its end and read by offset; it is never changed, edits are spliced in when it is sent. */
#pragma once
#include <stdbool.h>
#include <sys/uio.h>

#include "base/slice.h"

#define BLOCK_BYTES ((size_t)16384)

struct block {
    struct block *next;
    char data[BLOCK_BYTES];
};

struct block_pool { /* one per worker; not thread-safe */
    struct block *idle;
    size_t idle_count;
};

struct body {
    struct block *first, *last;
    size_t length; /* bytes held */
    size_t block_count;
};

void blocks_budget_set(size_t bytes);           /* process-wide ceiling (http.buffered_bytes); any thread */
size_t blocks_in_use_bytes(void);               /* process-wide; any thread */
void block_pool_clear(struct block_pool *pool); /* frees the idle blocks */

bool body_append(struct body *b, struct block_pool *pool, const void *p,
                 size_t n);                                                 /* false: budget spent, nothing added */
void body_clear(struct body *b, struct block_pool *pool);                   /* gives the blocks and budget back */
size_t body_read(const struct body *b, size_t offset, void *out, size_t n); /* returns bytes copied */
/* Fills at most `max` iovecs with the bytes [offset, offset + n) of the body; returns how many were used and sets
 * *covered to the bytes they hold (less than n when `max` was too small). */
int body_iovec(const struct body *b, size_t offset, size_t n, struct iovec *out, int max, size_t *covered);
