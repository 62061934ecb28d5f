/* The traffic table: open addressing over a fixed array of pointers. The writer publishes a new group with a release
 * store after filling it in; counters are single-writer, so an addition is a relaxed load and store. */
#include "telemetry/traffic.h"

#include <stdatomic.h>

#include "base/mem.h"
#include "facts/names.h"

static void counter_add(_Atomic uint64_t *counter, uint64_t by) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

static uint32_t key_hash(const uint32_t key[4]) {
    uint64_t h = 0;
    for (int i = 0; i < 4; i++) h = (h ^ key[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> 32);
}

static bool key_is(const struct traffic_group *g, const uint32_t key[4]) {
    return g->tenant == key[0] && g->provider == key[1] && g->model == key[2] && g->workload == key[3];
}

static struct traffic_group *group_find(struct traffic *t, const uint32_t key[4]) {
    const unsigned mask = 2 * TRAFFIC_GROUPS_MAX - 1;
    unsigned at = key_hash(key) & mask;
    for (struct traffic_group *g; (g = atomic_load_explicit(&t->groups[at], memory_order_relaxed)) != NULL;
         at = (at + 1) & mask)
        if (key_is(g, key)) return g;
    if (t->count >= TRAFFIC_GROUPS_MAX - 1 && key[2] != NAME_OTHER)
        return group_find(t, (uint32_t[4]){NAME_OTHER, NAME_OTHER, NAME_OTHER, NAME_OTHER});
    struct traffic_group *g = mem_zalloc(sizeof *g);
    g->tenant = key[0], g->provider = key[1], g->model = key[2], g->workload = key[3];
    t->count++;
    atomic_store_explicit(&t->groups[at], g, memory_order_release);
    return g;
}

static void outcome_add(struct traffic_group *g, uint16_t status, uint8_t error) {
    struct outcome *_Atomic *link = &g->outcomes;
    for (struct outcome *o; (o = atomic_load_explicit(link, memory_order_relaxed)) != NULL; link = &o->next) {
        if (o->status != status || o->error != error) continue;
        counter_add(&o->count, 1);
        return;
    }
    struct outcome *o = mem_zalloc(sizeof *o);
    o->status = status;
    o->error = error;
    atomic_store_explicit(&o->count, 1, memory_order_relaxed);
    atomic_store_explicit(link, o, memory_order_release);
}

uint64_t record_overhead_ns(const struct record *r) {
    return r->phase_ns[PHASE_ADMIT] + r->phase_ns[PHASE_QUEUE] + r->phase_ns[PHASE_LOOP];
}

static void measure_add(struct traffic_group *g, enum measure m, uint64_t ns) {
    if (ns != TIME_UNKNOWN_NS) histogram_add(&g->measures[m], ns);
}

void traffic_add(struct traffic *t, const struct record *r) {
    struct traffic_group *g = group_find(t, (uint32_t[4]){r->tenant, r->provider, r->model, r->workload});
    outcome_add(g, r->status, r->error);
    const uint32_t tokens[TOKEN_TYPE_COUNT] = {r->usage.input, r->usage.output, r->usage.cache_read,
                                               r->usage.cache_write, r->usage.reasoning};
    for (int i = 0; i < TOKEN_TYPE_COUNT; i++)
        if (tokens[i] > 0) counter_add(&g->tokens[i], tokens[i]);
    if (r->cost_pico_usd > 0) counter_add(&g->cost_pico_usd, (uint64_t)r->cost_pico_usd);
    measure_add(g, MEASURE_TTFT, r->ttft_ns);
    measure_add(g, MEASURE_FIRST_VISIBLE, r->first_visible_ns);
    measure_add(g, MEASURE_TPOT, r->tpot_ns);
    measure_add(g, MEASURE_TOTAL, r->total_ns);
    measure_add(g, MEASURE_OVERHEAD, record_overhead_ns(r));
    for (int i = 0; i < PHASE_COUNT; i++)
        if (r->phase_ns[i] > 0) histogram_add(&g->measures[MEASURE_PHASE + i], r->phase_ns[i]);
}

static void group_free(struct traffic_group *g) {
    for (struct outcome *o = atomic_load(&g->outcomes), *next; o != NULL; o = next) {
        next = atomic_load(&o->next);
        mem_free(o);
    }
    for (int i = 0; i < MEASURE_COUNT; i++) histogram_clear(&g->measures[i]);
    mem_free(g);
}

void traffic_clear(struct traffic *t) {
    for (unsigned i = 0; i < 2 * TRAFFIC_GROUPS_MAX; i++) {
        struct traffic_group *g = atomic_load(&t->groups[i]);
        if (g != NULL) group_free(g);
        atomic_store(&t->groups[i], NULL);
    }
    t->count = 0;
}

const struct traffic_group *traffic_next(const struct traffic *t, unsigned *cursor) {
    while (*cursor < 2 * TRAFFIC_GROUPS_MAX) {
        const struct traffic_group *g = atomic_load_explicit(&t->groups[(*cursor)++], memory_order_acquire);
        if (g != NULL) return g;
    }
    return NULL;
}
