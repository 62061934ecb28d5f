/* bench/histogram.h: latencies in log-linear steps: 64 to each power of two, so a percentile is off by at most 1.6 %.
 */
#pragma once
#include <math.h>
#include <stddef.h>
#include <stdint.h>

#define STEP_BITS 6
#define HISTOGRAM_SIZE ((64 - STEP_BITS + 1) << STEP_BITS)
struct histogram {
    uint64_t counts[HISTOGRAM_SIZE], n, max;
};

static inline size_t histogram_slot(uint64_t v) {
    if (v < (1u << STEP_BITS)) return (size_t)v;
    int shift = 63 - __builtin_clzll(v) - STEP_BITS;
    return ((size_t)(shift + 1) << STEP_BITS) + (size_t)((v >> shift) - (1u << STEP_BITS));
}

static inline uint64_t histogram_value(size_t slot) { /* the middle of what the slot holds */
    if (slot < (1u << STEP_BITS)) return slot;
    int shift = (int)(slot >> STEP_BITS) - 1;
    uint64_t base = ((uint64_t)(slot & ((1u << STEP_BITS) - 1)) + (1u << STEP_BITS)) << shift;
    return base + ((UINT64_C(1) << shift) >> 1);
}

static inline void histogram_record(struct histogram *h, uint64_t v) {
    h->counts[histogram_slot(v)]++;
    h->n++;
    if (v > h->max) h->max = v;
}

static inline uint64_t histogram_at(const struct histogram *h, double share) {
    uint64_t rank = (uint64_t)ceil(share * (double)h->n), seen = 0;
    for (size_t i = 0; i < HISTOGRAM_SIZE; i++) {
        seen += h->counts[i];
        if (seen >= rank && seen > 0) return histogram_value(i) < h->max ? histogram_value(i) : h->max;
    }
    return h->max;
}
