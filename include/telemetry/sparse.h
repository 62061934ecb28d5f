/* telemetry/sparse.h: a histogram as telemetry/histogram.h's, of which only the buckets that were hit are kept, eight
 * bytes each: for sums over time, groups and replicas, which merge without loss. Not thread-safe. */
#pragma once
#include <stddef.h>
#include <stdint.h>

#define SPARSE_COUNT_BITS 53 /* of a cell; a bucket's number stands above */
#define SPARSE_COUNT_MAX ((UINT64_C(1) << SPARSE_COUNT_BITS) - 1)

struct sparse {      /* zero-initialise */
    uint64_t *cells; /* owned; ascending by bucket, none of them empty */
    uint32_t cell_count, capacity;
    uint64_t count, sum, max; /* of the values; `max` is exact, or an upper bound within 2.2 % */
};

static inline unsigned sparse_bucket(uint64_t cell) {
    return (unsigned)(cell >> SPARSE_COUNT_BITS);
}
static inline uint64_t sparse_count(uint64_t cell) {
    return cell & SPARSE_COUNT_MAX;
}

void sparse_add(struct sparse *s, unsigned bucket, uint64_t count); /* not `sum` and `max`; cheapest in order */
void sparse_merge(struct sparse *into, const struct sparse *from);
uint64_t sparse_quantile(const struct sparse *s, double q); /* as histogram_quantile(); 0 when empty */
void sparse_clear(struct sparse *s);                        /* frees; it can be used again */
