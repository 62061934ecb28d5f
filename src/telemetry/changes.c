/* Differences of the workers' tables. What was seen of a group is kept beside it, octave by octave like the histogram
 * itself. A group whose count of settled exchanges has not moved is passed over; that count is written last, so
 * whatever belongs to it is seen with it, and what is seen too early is part of a later difference of 0. */
#include "telemetry/changes.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/mem.h"

struct seen_histogram {
    uint64_t *octaves[HISTOGRAM_OCTAVES]; /* as far as anything was seen in them */
    uint64_t sum;
};

struct seen_group {
    uint64_t settled, counters[ROW_COUNTER_COUNT];
    struct seen_histogram measures[ROW_MEASURE_COUNT];
};

struct changes_seen { /* of one worker's table; groups by their place in it */
    const struct traffic *traffic;
    struct seen_group *groups[TRAFFIC_SLOTS];
};

void changes_init(struct changes *c) {
    *c = (struct changes){.rows.detail_max = TRAFFIC_DETAIL_MAX};
}

void changes_watch(struct changes *c, const struct traffic *t) {
    unsigned n = atomic_load(&c->watched);
    assert(n < CHANGES_TRAFFICS_MAX);
    c->seen[n] = mem_zalloc(sizeof *c->seen[n]);
    c->seen[n]->traffic = t;
    atomic_store_explicit(&c->watched, n + 1, memory_order_release);
}

static uint64_t load(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

/* ---- counters ---- */

static void counters_load(const struct traffic_group *g, uint64_t c[ROW_COUNTER_COUNT]) {
    c[ROW_REQUESTS] = 0;
    for (int i = 0; i < SOURCE_COUNT; i++) c[ROW_REQUESTS] += load(&g->by_source[i]);
    c[ROW_ERRORS] = load(&g->by_source[SOURCE_PROVIDER]) + load(&g->by_source[SOURCE_GATEWAY]);
    c[ROW_REFUSED] = load(&g->by_source[SOURCE_POLICY]);
    c[ROW_ABANDONED] = load(&g->by_source[SOURCE_CLIENT]);
    for (int i = 0; i < TOKEN_TYPE_COUNT; i++) c[ROW_INPUT_TOKENS + i] = load(&g->tokens[i]);
    c[ROW_COST] = load(&g->cost_pico_usd);
    c[ROW_WASTE] = load(&g->waste_pico_usd);
}
_Static_assert(ROW_REASONING_TOKENS - ROW_INPUT_TOKENS == TOKEN_REASONING - TOKEN_INPUT, "tokens in the same order");

static void counters_read(const struct traffic_group *g, struct seen_group *seen, struct row *row) {
    uint64_t now[ROW_COUNTER_COUNT];
    counters_load(g, now);
    for (int i = 0; i < ROW_COUNTER_COUNT; i++) {
        row->counters[i] += now[i] - seen->counters[i];
        seen->counters[i] = now[i];
    }
}

/* ---- histograms ---- */

/* The largest value of a difference: the largest ever when that is in its highest bucket, else that bucket's end. */
static uint64_t max_of(const struct sparse *s, uint64_t max_ever) {
    if (s->cell_count == 0) return 0;
    unsigned bucket = sparse_bucket(s->cells[s->cell_count - 1]);
    uint64_t end = bucket + 1 < HISTOGRAM_BUCKETS ? histogram_bucket_low(bucket + 1) - 1 : UINT64_MAX;
    return end < max_ever ? end : max_ever;
}

static void octave_read(const _Atomic uint64_t *octave, int at, uint64_t *seen, struct sparse *into) {
    for (int j = 0; j < HISTOGRAM_PER_OCTAVE; j++) {
        uint64_t now = load(&octave[j]);
        sparse_add(into, (unsigned)(at * HISTOGRAM_PER_OCTAVE + j), now - seen[j]);
        seen[j] = now;
    }
}

static void histogram_read_changes(const struct histogram *h, struct seen_histogram *seen, struct sparse *total) {
    struct sparse now = {0};
    for (int i = 0; i < HISTOGRAM_OCTAVES; i++) {
        const _Atomic uint64_t *octave = atomic_load_explicit(&h->octaves[i], memory_order_acquire);
        if (octave == NULL) continue;
        if (seen->octaves[i] == NULL) seen->octaves[i] = mem_zalloc(HISTOGRAM_PER_OCTAVE * sizeof(uint64_t));
        octave_read(octave, i, seen->octaves[i], &now);
    }
    uint64_t sum = load(&h->sum);
    now.max = max_of(&now, load(&h->max));
    now.sum = sum - seen->sum;
    seen->sum = sum;
    sparse_merge(total, &now);
    sparse_clear(&now);
}

/* ---- groups ---- */

static void group_read(struct changes *c, const struct traffic_group *g, struct seen_group **place) {
    uint64_t settled = atomic_load_explicit(&g->settled, memory_order_acquire);
    uint32_t in_flight = atomic_load_explicit(&g->in_flight, memory_order_relaxed);
    bool moved = settled != (*place != NULL ? (*place)->settled : 0);
    if (g->own || (!moved && in_flight == 0)) return;
    struct row *row = row_table_get(&c->rows, &(struct traffic_key){g->tenant, g->provider, g->model, g->workload});
    row->in_flight += in_flight;
    row->queued += atomic_load_explicit(&g->queued, memory_order_relaxed);
    if (!moved) return;
    if (*place == NULL) *place = mem_zalloc(sizeof **place);
    struct seen_group *seen = *place;
    seen->settled = settled;
    counters_read(g, seen, row);
    for (int i = 0; i < ROW_MEASURE_COUNT; i++)
        histogram_read_changes(&g->measures[i], &seen->measures[i], &row->measures[i]);
}

void changes_read(struct changes *c, uint64_t now_ns, int64_t unix_ns) {
    unsigned watched = atomic_load_explicit(&c->watched, memory_order_acquire);
    row_table_clear(&c->rows);
    c->from_ns = c->to_ns;
    c->from_unix_ns = c->to_ns != 0 ? c->to_unix_ns : unix_ns;
    c->to_ns = now_ns;
    c->to_unix_ns = unix_ns;
    for (unsigned i = 0; i < watched; i++) {
        unsigned cursor = 0;
        for (const struct traffic_group *g; (g = traffic_next(c->seen[i]->traffic, &cursor)) != NULL;)
            group_read(c, g, &c->seen[i]->groups[cursor - 1]);
    }
}

static void seen_group_free(struct seen_group *g) {
    if (g == NULL) return;
    for (int m = 0; m < ROW_MEASURE_COUNT; m++)
        for (int i = 0; i < HISTOGRAM_OCTAVES; i++) mem_free(g->measures[m].octaves[i]);
    mem_free(g);
}

void changes_clear(struct changes *c) {
    for (unsigned i = 0; i < atomic_load(&c->watched); i++) {
        for (unsigned j = 0; j < TRAFFIC_SLOTS; j++) seen_group_free(c->seen[i]->groups[j]);
        mem_free(c->seen[i]);
    }
    row_table_free(&c->rows);
}
