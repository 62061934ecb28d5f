/* The token bucket. Exact in integers: N tokens in 60e9 ns are N units a nanosecond when a token is 60e9 units; 128
 * bits hold that for any N, any debt and any time. */
#include "bucket.h"

static bucket_units units(uint64_t tokens) {
    return (bucket_units)tokens * BUCKET_PERIOD_NS;
}

void bucket_advance(struct bucket *b, uint64_t max, uint64_t now_ns) {
    if (now_ns <= b->at_ns) return;
    bucket_units refill = (bucket_units)max * (now_ns - b->at_ns);
    b->missing = b->missing > refill ? b->missing - refill : 0;
    b->at_ns = now_ns;
}

bool bucket_fits(const struct bucket *b, uint64_t max, uint64_t tokens) {
    return b->missing + units(tokens > 0 ? tokens : 1) <= units(max);
}

void bucket_reserve(struct bucket *b, uint64_t tokens) {
    b->missing += units(tokens);
    b->reserved += tokens;
}

void bucket_settle(struct bucket *b, uint64_t reserved, uint64_t actual) {
    b->reserved -= reserved < b->reserved ? reserved : b->reserved;
    if (actual >= reserved) {
        b->missing += units(actual - reserved);
    } else {
        bucket_units back = units(reserved - actual);
        b->missing = b->missing > back ? b->missing - back : 0;
    }
}

uint64_t bucket_retry_ns(const struct bucket *b, uint64_t max, uint64_t tokens) {
    bucket_units wanted = b->missing + units(tokens > 0 ? tokens : 1);
    if (wanted <= units(max)) return 0;
    bucket_units wait = (wanted - units(max) + max - 1) / max;
    return wait > UINT64_MAX ? UINT64_MAX : (uint64_t)wait;
}

uint64_t bucket_missing(const struct bucket *b) {
    bucket_units tokens = (b->missing + BUCKET_PERIOD_NS - 1) / BUCKET_PERIOD_NS;
    return tokens > UINT64_MAX ? UINT64_MAX : (uint64_t)tokens;
}
