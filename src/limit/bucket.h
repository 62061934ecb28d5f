/* limit/bucket.h: a token bucket of N per 60 s with burst N, kept as what is missing from it, so that a changed N holds
 * at once. More may be missing than N: a debt. Not thread-safe; `now_ns` is monotonic and may run a little behind. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"

#define BUCKET_PERIOD_NS (60 * NS_PER_S)
typedef unsigned __int128
    bucket_units; /* a token is BUCKET_PERIOD_NS of them: refilling N a period is N a nanosecond */

struct bucket { /* zero-initialise */
    bucket_units missing;
    uint64_t reserved; /* tokens of requests that have not settled; part of `missing` as far as not yet refilled */
    uint64_t at_ns;
};

void bucket_advance(struct bucket *b, uint64_t max, uint64_t now_ns);
/* The following expect bucket_advance() with the same time. A request of unknown size (0) fits while anything is left.
 */
bool bucket_fits(const struct bucket *b, uint64_t max, uint64_t tokens);
void bucket_reserve(struct bucket *b, uint64_t tokens);
void bucket_settle(struct bucket *b, uint64_t reserved, uint64_t actual);
uint64_t bucket_retry_ns(const struct bucket *b, uint64_t max, uint64_t tokens); /* until so many fit; 0: now */
uint64_t bucket_missing(const struct bucket *b);                                 /* whole tokens, rounded up */
static inline uint64_t bucket_reset_ns(const struct bucket *b, uint64_t max) {
    return (uint64_t)((b->missing + max - 1) / max);
}
