/* The histogram. The hard part is finding the bucket without floating point: the top 6 bits below the leading one pick
 * one of 64 cells, each cell holds at most one of the 33 boundaries 2^(i/32), and one comparison tells the side. */
#include "telemetry/histogram.h"

#include <math.h>
#include <stdatomic.h>

#include "base/mem.h"

static uint64_t boundaries[HISTOGRAM_PER_OCTAVE + 1]; /* fraction of the octave as 64-bit fixed point */
static uint8_t cell_bucket[64];

/* Before main(): an addition has nothing to ask first. */
__attribute__((constructor)) static void tables_make(void) {
    for (int i = 0; i < HISTOGRAM_PER_OCTAVE; i++)
        boundaries[i] = (uint64_t)((exp2((double)i / HISTOGRAM_PER_OCTAVE) - 1.0) * 0x1p63) << 1;
    boundaries[HISTOGRAM_PER_OCTAVE] = UINT64_MAX;
    for (unsigned cell = 0, bucket = 0; cell < 64; cell++) {
        while (bucket + 1 < HISTOGRAM_PER_OCTAVE && boundaries[bucket + 1] <= (uint64_t)cell << 58) bucket++;
        cell_bucket[cell] = (uint8_t)bucket;
    }
}

/* An edge belongs to the bucket below it, and of all edges only powers of two are whole numbers: one less in the last
 * place takes these into the octave below, and no other number over a boundary. */
static inline unsigned bucket_of(uint64_t value) {
    if (value <= 1) return 0;
    if (value > UINT64_C(1) << HISTOGRAM_OCTAVES) return HISTOGRAM_BUCKETS - 1;
    unsigned zeros = (unsigned)__builtin_clzll(value);
    uint64_t below = (value << zeros) - 1;
    unsigned fell = (unsigned)(below >> 63) ^ 1;
    uint64_t fraction = below << fell << 1;
    unsigned bucket = cell_bucket[fraction >> 58];
    bucket += fraction >= boundaries[bucket + 1];
    return (63 - zeros - fell) * HISTOGRAM_PER_OCTAVE + bucket;
}

unsigned histogram_bucket_of(uint64_t value) {
    return bucket_of(value);
}

uint64_t histogram_bucket_edge(unsigned bucket) {
    unsigned octave = bucket / HISTOGRAM_PER_OCTAVE;
    uint64_t fraction = boundaries[bucket % HISTOGRAM_PER_OCTAVE];
    return octave == 0 ? 1 : (UINT64_C(1) << octave) + (fraction >> (64 - octave));
}

uint64_t histogram_bucket_low(unsigned bucket) {
    return bucket == 0 ? 1 : histogram_bucket_edge(bucket) + 1;
}

static void cell_add(_Atomic uint64_t *cell, uint64_t by) {
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + by, memory_order_relaxed);
}

/* The first value of an octave. Apart, and called last: an addition then has nothing to keep over a call. */
__attribute__((noinline, cold)) static void octave_begin(struct histogram *h, unsigned octave, uint64_t value,
                                                         unsigned count) {
    atomic_store_explicit(&h->octaves[octave], mem_zalloc(HISTOGRAM_PER_OCTAVE * sizeof(uint64_t)),
                          memory_order_release);
    histogram_add_many(h, value, count);
}

void histogram_add_many(struct histogram *h, uint64_t value, unsigned count) {
    unsigned bucket = bucket_of(value);
    _Atomic uint64_t *octave = atomic_load_explicit(&h->octaves[bucket / HISTOGRAM_PER_OCTAVE], memory_order_relaxed);
    if (octave == NULL) {
        octave_begin(h, bucket / HISTOGRAM_PER_OCTAVE, value, count);
        return;
    }
    if (value > atomic_load_explicit(&h->max, memory_order_relaxed))
        atomic_store_explicit(&h->max, value, memory_order_relaxed);
    cell_add(&octave[bucket % HISTOGRAM_PER_OCTAVE], count);
    cell_add(&h->sum, value * count);
}

void histogram_clear(struct histogram *h) {
    for (int i = 0; i < HISTOGRAM_OCTAVES; i++) {
        mem_free((void *)atomic_load(&h->octaves[i]));
        atomic_store(&h->octaves[i], NULL);
    }
    atomic_store(&h->sum, 0);
    atomic_store(&h->max, 0);
}

void histogram_read(const struct histogram *h, struct histogram_view *into) {
    for (int i = 0; i < HISTOGRAM_OCTAVES; i++) {
        const _Atomic uint64_t *octave = atomic_load_explicit(&h->octaves[i], memory_order_acquire);
        if (octave == NULL) continue;
        for (int j = 0; j < HISTOGRAM_PER_OCTAVE; j++) {
            uint64_t n = atomic_load_explicit(&octave[j], memory_order_relaxed);
            into->counts[i * HISTOGRAM_PER_OCTAVE + j] += n;
            into->count += n;
        }
    }
    into->sum += atomic_load_explicit(&h->sum, memory_order_relaxed);
    uint64_t max = atomic_load_explicit(&h->max, memory_order_relaxed);
    if (max > into->max) into->max = max;
}

uint64_t histogram_bucket_middle(unsigned bucket) {
    return (uint64_t)exp2(((double)bucket + 0.5) / HISTOGRAM_PER_OCTAVE);
}

uint64_t histogram_quantile(const struct histogram_view *v, double q) {
    if (v->count == 0) return 0;
    uint64_t rank = (uint64_t)ceil(q * (double)v->count), seen = 0;
    if (rank == 0) rank = 1;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += v->counts[i];
        if (seen < rank) continue;
        uint64_t middle = histogram_bucket_middle(i);
        return middle > v->max ? v->max : middle;
    }
    return v->max;
}
