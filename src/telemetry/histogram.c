/* The histogram. The hard part is finding the bucket without floating point: the top 6 bits below the leading one pick
 * one of 64 cells, each cell holds at most one of the 33 boundaries 2^(i/32), and one comparison tells the side. */
#include "telemetry/histogram.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"

static uint64_t boundaries[HISTOGRAM_PER_OCTAVE + 1]; /* fraction of the octave as 64-bit fixed point */
static uint8_t cell_bucket[64];
static pthread_once_t tables_once = PTHREAD_ONCE_INIT;

static void tables_make(void) {
    for (int i = 0; i < HISTOGRAM_PER_OCTAVE; i++)
        boundaries[i] = (uint64_t)((exp2((double)i / HISTOGRAM_PER_OCTAVE) - 1.0) * 0x1p63) << 1;
    boundaries[HISTOGRAM_PER_OCTAVE] = UINT64_MAX;
    for (unsigned cell = 0, bucket = 0; cell < 64; cell++) {
        while (bucket + 1 < HISTOGRAM_PER_OCTAVE && boundaries[bucket + 1] <= (uint64_t)cell << 58) bucket++;
        cell_bucket[cell] = (uint8_t)bucket;
    }
}

unsigned histogram_bucket_of(uint64_t value) {
    pthread_once(&tables_once, tables_make);
    if (value == 0) value = 1;
    unsigned octave = 63u - (unsigned)__builtin_clzll(value);
    if (octave >= HISTOGRAM_OCTAVES) return HISTOGRAM_BUCKETS - 1;
    uint64_t fraction = octave == 0 ? 0 : value << (64 - octave);
    unsigned bucket = cell_bucket[fraction >> 58];
    if (bucket + 1 < HISTOGRAM_PER_OCTAVE && fraction >= boundaries[bucket + 1]) bucket++;
    return octave * HISTOGRAM_PER_OCTAVE + bucket;
}

uint64_t histogram_bucket_low(unsigned bucket) {
    pthread_once(&tables_once, tables_make);
    unsigned octave = bucket / HISTOGRAM_PER_OCTAVE;
    uint64_t fraction = boundaries[bucket % HISTOGRAM_PER_OCTAVE];
    if (octave == 0) return 1;
    uint64_t offset = fraction >> (64 - octave);
    if (fraction << octave) offset++;
    return (UINT64_C(1) << octave) + offset;
}

static void cell_add(_Atomic uint64_t *cell, uint64_t by) {
    atomic_store_explicit(cell, atomic_load_explicit(cell, memory_order_relaxed) + by, memory_order_relaxed);
}

void histogram_add(struct histogram *h, uint64_t value) {
    unsigned bucket = histogram_bucket_of(value);
    _Atomic(_Atomic uint64_t *) *slot = &h->octaves[bucket / HISTOGRAM_PER_OCTAVE];
    _Atomic uint64_t *octave = atomic_load_explicit(slot, memory_order_relaxed);
    if (octave == NULL) {
        octave = mem_zalloc(HISTOGRAM_PER_OCTAVE * sizeof *octave);
        atomic_store_explicit(slot, octave, memory_order_release);
    }
    cell_add(&octave[bucket % HISTOGRAM_PER_OCTAVE], 1);
    cell_add(&h->sum, value);
    if (value > atomic_load_explicit(&h->max, memory_order_relaxed))
        atomic_store_explicit(&h->max, value, memory_order_relaxed);
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

uint64_t histogram_quantile(const struct histogram_view *v, double q) {
    if (v->count == 0) return 0;
    uint64_t rank = (uint64_t)ceil(q * (double)v->count), seen = 0;
    if (rank == 0) rank = 1;
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        seen += v->counts[i];
        if (seen < rank) continue;
        double middle = exp2(((double)i + 0.5) / HISTOGRAM_PER_OCTAVE);
        return middle > (double)v->max ? v->max : (uint64_t)middle;
    }
    return v->max;
}
