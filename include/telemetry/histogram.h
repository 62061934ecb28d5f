/* telemetry/histogram.h: the one histogram of weir: base-2 exponential with 32 buckets an octave (OpenTelemetry scale
 * 5, Prometheus native schema 5), so a quantile is off by at most 1.1 % and histograms merge by adding. Bucket i holds
 * the values in (2^(i/32), 2^((i+1)/32)], as OpenTelemetry and Prometheus have it: a bucket's edge belongs to the
 * bucket below it, so a count of what is "at most" an edge is exact. Integer code only. One thread adds, any thread
 * reads; cumulative since the start: readers take differences. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define HISTOGRAM_OCTAVES 44 /* 1 ns … 4.8 h; larger values count in the last bucket */
#define HISTOGRAM_PER_OCTAVE 32
#define HISTOGRAM_BUCKETS (HISTOGRAM_OCTAVES * HISTOGRAM_PER_OCTAVE)

struct histogram { /* zero-initialise; octaves are allocated when first hit, and owned */
    _Atomic(_Atomic uint64_t *) octaves[HISTOGRAM_OCTAVES];
    _Atomic uint64_t sum, max;
};

/* The writing thread only; 0 counts as 1. Many: the same value, `count` times. */
void histogram_add_many(struct histogram *h, uint64_t value, unsigned count);
static inline void histogram_add(struct histogram *h, uint64_t value) {
    histogram_add_many(h, value, 1);
}
void histogram_clear(struct histogram *h);               /* frees; nobody may be reading */

struct histogram_view { /* a snapshot, or a sum of snapshots */
    uint64_t counts[HISTOGRAM_BUCKETS], count, sum, max;
};
void histogram_read(const struct histogram *h,
                    struct histogram_view *into);                      /* adds h to the view; count = sum of buckets */
uint64_t histogram_quantile(const struct histogram_view *v, double q); /* 0 when empty */

unsigned histogram_bucket_of(uint64_t value);      /* 0 and 1 are in the first */
uint64_t histogram_bucket_low(unsigned bucket);    /* the smallest value of that bucket */
uint64_t histogram_bucket_edge(unsigned bucket);   /* the largest value of all buckets below it: 2^(bucket/32), cut */
uint64_t histogram_bucket_middle(unsigned bucket); /* what a value in it is taken for */
