/* Sparse histograms: sorted arrays of cells. Merging is done from the end, in place, so that it needs no second array.
 */
#include "telemetry/sparse.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "telemetry/histogram.h"

static uint64_t cell_of(unsigned bucket, uint64_t count) {
    return (uint64_t)bucket << SPARSE_COUNT_BITS | (count < SPARSE_COUNT_MAX ? count : SPARSE_COUNT_MAX);
}

static void room_make(struct sparse *s, size_t cells) {
    size_t capacity = s->capacity;
    s->cells = mem_array_grow(s->cells, &capacity, sizeof *s->cells, cells);
    s->capacity = (uint32_t)capacity;
}

/* The first cell that is not below this bucket. */
static uint32_t place_of(const struct sparse *s, unsigned bucket) {
    if (s->cell_count == 0 || sparse_bucket(s->cells[s->cell_count - 1]) < bucket) return s->cell_count;
    uint32_t low = 0, high = s->cell_count - 1;
    while (low < high) {
        uint32_t middle = (low + high) / 2;
        if (sparse_bucket(s->cells[middle]) < bucket)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

void sparse_add(struct sparse *s, unsigned bucket, uint64_t count) {
    assert(bucket < HISTOGRAM_BUCKETS);
    if (count == 0) return;
    s->count += count;
    uint32_t at = place_of(s, bucket);
    if (at < s->cell_count && sparse_bucket(s->cells[at]) == bucket) {
        s->cells[at] = cell_of(bucket, sparse_count(s->cells[at]) + count);
        return;
    }
    room_make(s, (size_t)s->cell_count + 1);
    memmove(s->cells + at + 1, s->cells + at, (s->cell_count - at) * sizeof *s->cells);
    s->cells[at] = cell_of(bucket, count);
    s->cell_count++;
}

static uint32_t missing_count(const struct sparse *into, const struct sparse *from) {
    uint32_t missing = 0, at = 0;
    for (uint32_t i = 0; i < from->cell_count; i++) {
        while (at < into->cell_count && sparse_bucket(into->cells[at]) < sparse_bucket(from->cells[i])) at++;
        missing += at == into->cell_count || sparse_bucket(into->cells[at]) != sparse_bucket(from->cells[i]);
    }
    return missing;
}

static void cells_merge(struct sparse *into, const struct sparse *from, uint32_t missing) {
    uint32_t mine = into->cell_count, theirs = from->cell_count, at = mine + missing;
    while (theirs > 0) {
        unsigned bucket = sparse_bucket(from->cells[theirs - 1]);
        if (mine > 0 && sparse_bucket(into->cells[mine - 1]) > bucket) {
            into->cells[--at] = into->cells[--mine];
            continue;
        }
        uint64_t count = sparse_count(from->cells[--theirs]);
        if (mine > 0 && sparse_bucket(into->cells[mine - 1]) == bucket) count += sparse_count(into->cells[--mine]);
        into->cells[--at] = cell_of(bucket, count);
    }
    into->cell_count += missing;
}

void sparse_merge(struct sparse *into, const struct sparse *from) {
    if (from->cell_count > 0) {
        uint32_t missing = missing_count(into, from);
        room_make(into, (size_t)into->cell_count + missing);
        cells_merge(into, from, missing);
    }
    into->count += from->count;
    into->sum += from->sum;
    if (from->max > into->max) into->max = from->max;
}

uint64_t sparse_quantile(const struct sparse *s, double q) {
    if (s->count == 0) return 0;
    uint64_t rank = (uint64_t)ceil(q * (double)s->count), seen = 0;
    if (rank == 0) rank = 1;
    for (uint32_t i = 0; i < s->cell_count; i++) {
        seen += sparse_count(s->cells[i]);
        if (seen < rank) continue;
        uint64_t middle = histogram_bucket_middle(sparse_bucket(s->cells[i]));
        return middle > s->max ? s->max : middle;
    }
    return s->max;
}

void sparse_clear(struct sparse *s) {
    mem_free(s->cells);
    *s = (struct sparse){0};
}
