/* The traffic table: open addressing over a fixed array of pointers. The writer publishes a new group with a release
 * store after filling it in; counters are single-writer, so an addition is a relaxed load and store. */
#include "telemetry/traffic.h"

#include <stdatomic.h>

#include "base/mem.h"
#include "facts/names.h"

static void counter_add(_Atomic uint64_t *counter, uint64_t by) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

static void gauge_add(_Atomic uint32_t *gauge, uint32_t by) {
    atomic_store_explicit(gauge, atomic_load_explicit(gauge, memory_order_relaxed) + by, memory_order_relaxed);
}

struct kind { /* of exchange, beside the key */
    uint32_t operation;
    bool own;
};

static uint32_t key_hash(const struct traffic_key *k, struct kind kind) {
    const uint32_t parts[] = {k->tenant, k->provider, k->model, k->workload, kind.operation, kind.own};
    uint64_t h = 0;
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) h = (h ^ parts[i]) * UINT64_C(0x9e3779b97f4a7c15);
    return (uint32_t)(h >> 32);
}

static bool group_is(const struct traffic_group *g, const struct traffic_key *k, struct kind kind) {
    return g->tenant == k->tenant && g->provider == k->provider && g->model == k->model && g->workload == k->workload &&
           g->operation == kind.operation && g->own == kind.own;
}

static bool is_folded(const struct traffic_key *k) {
    return k->provider == NAME_OTHER && k->model == NAME_OTHER && k->workload == NAME_OTHER;
}

/* Whether the table has room for one more of its kind: details, then tenants' rests, then the rest of all. */
static bool has_room(const struct traffic *t, const struct traffic_key *k) {
    if (!is_folded(k)) return t->count < TRAFFIC_DETAIL_MAX;
    return t->count < TRAFFIC_GROUPS_MAX - 2 || k->tenant == NAME_OTHER;
}

static struct traffic_group *group_search(struct traffic *t, const struct traffic_key *k, struct kind kind) {
    unsigned at = key_hash(k, kind) & (TRAFFIC_SLOTS - 1);
    for (struct traffic_group *g; (g = atomic_load_explicit(&t->groups[at], memory_order_relaxed)) != NULL;
         at = (at + 1) & (TRAFFIC_SLOTS - 1))
        if (group_is(g, k, kind)) return g;
    if (!has_room(t, k)) {
        uint32_t tenant = is_folded(k) ? NAME_OTHER : k->tenant;
        const struct traffic_key rest = {tenant, NAME_OTHER, NAME_OTHER, NAME_OTHER};
        return group_search(t, &rest, (struct kind){NAME_OTHER, kind.own});
    }
    struct traffic_group *g = mem_zalloc(sizeof *g);
    g->tenant = k->tenant, g->provider = k->provider, g->model = k->model, g->workload = k->workload;
    g->operation = kind.operation;
    g->own = kind.own;
    t->count++;
    atomic_store_explicit(&t->groups[at], g, memory_order_release);
    return g;
}

/* Most exchanges go the way of the one before them. */
static struct traffic_group *group_find(struct traffic *t, const struct traffic_key *k, struct kind kind) {
    if (t->latest == NULL || !group_is(t->latest, k, kind)) t->latest = group_search(t, k, kind);
    return t->latest;
}

static void outcome_add(struct outcome *_Atomic *link, uint16_t status, uint8_t error) {
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

/* What was spent on the client's side of the exchange, or before there was anything to ask a provider. */
static uint64_t inference_ns(const struct record *r) {
    static const enum phase ours[] = {PHASE_RECEIVE, PHASE_ADMIT, PHASE_QUEUE, PHASE_DRAIN};
    uint64_t ns = r->total_ns;
    for (size_t i = 0; i < sizeof ours / sizeof *ours; i++) ns -= r->phase_ns[ours[i]];
    return ns;
}

void record_measures(const struct record *r, uint64_t values[MEASURE_COUNT]) {
    bool asked = r->attempts > 0;
    values[MEASURE_TTFT] = r->ttft_ns;
    values[MEASURE_FIRST_VISIBLE] = r->first_visible_ns;
    values[MEASURE_TPOT] = r->tpot_ns;
    values[MEASURE_TOTAL] = r->total_ns;
    values[MEASURE_OVERHEAD] = record_overhead_ns(r);
    values[MEASURE_GAP] = MEASURE_UNKNOWN; /* traffic_gap() */
    values[MEASURE_GAP_MAX] = r->gap_max_ns;
    values[MEASURE_INFERENCE] = asked ? inference_ns(r) : MEASURE_UNKNOWN;
    values[MEASURE_FIRST_CHUNK] = r->attempt_ttft_ns;
    values[MEASURE_INPUT_TOKENS] = asked ? r->usage.input : MEASURE_UNKNOWN;
    values[MEASURE_OUTPUT_TOKENS] = asked ? r->usage.output : MEASURE_UNKNOWN;
    for (int i = 0; i < PHASE_COUNT; i++)
        values[MEASURE_PHASE + i] = r->phase_ns[i] > 0 ? r->phase_ns[i] : MEASURE_UNKNOWN;
}

static void money_add(_Atomic uint64_t *counter, int64_t pico_usd) {
    if (pico_usd > 0) counter_add(counter, (uint64_t)pico_usd); /* unknown is negative */
}

static void measures_add(struct traffic_group *g, const struct record *r) {
    uint64_t values[MEASURE_COUNT];
    record_measures(r, values);
    for (int i = 0; i < MEASURE_COUNT; i++)
        if (values[i] != MEASURE_UNKNOWN) histogram_add(&g->measures[i], values[i]);
}

const char *try_end_name(const struct outcome *o) {
    if (o->status == TRY_LOST) return "lost";
    if (o->status == TRY_STALE) return "stale";
    return o->error != FAILURE_NONE ? failure_row((enum failure)o->error)->name : "answered";
}

static enum try_end end_of(const struct record_attempt *a) {
    if (a->stale) return TRY_STALE;
    return a->error == FAILURE_NONE ? TRY_LOST : TRY_ENDED;
}

/* An exchange belongs to the target that counted in the end, each of its attempts to its own. */
static void tries_add(struct traffic *t, struct traffic_group *last, const struct record *r) {
    if (r->attempt != 0) outcome_add(&last->tries, TRY_ENDED, r->error); /* 0: it was only waited for */
    for (unsigned i = 0; i < r->given_up_count; i++) {
        const struct record_attempt *a = &record_given_up(r)[i];
        const struct traffic_key key = {r->tenant, a->provider, a->model, r->workload};
        struct traffic_group *g = group_find(t, &key, (struct kind){r->operation, r->own});
        outcome_add(&g->tries, (uint16_t)end_of(a), a->error);
    }
}

void traffic_add(struct traffic *t, const struct record *r) {
    const struct traffic_key key = {r->tenant, r->provider, r->model, r->workload};
    struct traffic_group *g = group_find(t, &key, (struct kind){r->operation, r->own});
    outcome_add(&g->outcomes, r->status, r->error);
    tries_add(t, g, r);
    counter_add(&g->by_source[r->error_source], 1);
    const uint32_t tokens[TOKEN_TYPE_COUNT] = {r->usage.input, r->usage.output, r->usage.cache_read,
                                               r->usage.cache_write, r->usage.reasoning};
    for (int i = 0; i < TOKEN_TYPE_COUNT; i++)
        if (tokens[i] > 0) counter_add(&g->tokens[i], tokens[i]);
    money_add(&g->cost_pico_usd, r->cost_pico_usd != COST_UNKNOWN ? r->cost_pico_usd : r->known_pico_usd);
    money_add(&g->waste_pico_usd, r->waste_pico_usd);
    if (r->waste_tokens > 0) counter_add(&g->waste_tokens, r->waste_tokens);
    measures_add(g, r);
    uint64_t settled = atomic_load_explicit(&g->settled, memory_order_relaxed);
    atomic_store_explicit(&g->settled, settled + 1, memory_order_release);
}

struct traffic_group *traffic_enter(struct traffic *t, const struct traffic_key *key, uint32_t operation) {
    struct traffic_group *g = group_find(t, key, (struct kind){operation, false});
    gauge_add(&g->in_flight, 1);
    return g;
}

void traffic_leave(struct traffic_group *g) {
    gauge_add(&g->in_flight, (uint32_t)-1);
}

void traffic_gap(struct traffic_group *g, uint64_t ns, unsigned count) {
    histogram_add_many(&g->measures[MEASURE_GAP], ns, count);
}

void traffic_queue(struct traffic_group *g, bool waits) {
    gauge_add(&g->queued, waits ? 1 : (uint32_t)-1);
}

static void outcomes_free(struct outcome *o) {
    for (struct outcome *next; o != NULL; o = next) {
        next = atomic_load(&o->next);
        mem_free(o);
    }
}

static void group_free(struct traffic_group *g) {
    outcomes_free(atomic_load(&g->outcomes));
    outcomes_free(atomic_load(&g->tries));
    for (int i = 0; i < MEASURE_COUNT; i++) histogram_clear(&g->measures[i]);
    mem_free(g);
}

void traffic_clear(struct traffic *t) {
    for (unsigned i = 0; i < TRAFFIC_SLOTS; i++) {
        struct traffic_group *g = atomic_load(&t->groups[i]);
        if (g != NULL) group_free(g);
        atomic_store(&t->groups[i], NULL);
    }
    t->count = 0;
    t->latest = NULL;
}

const struct traffic_group *traffic_next(const struct traffic *t, unsigned *cursor) {
    while (*cursor < TRAFFIC_SLOTS) {
        const struct traffic_group *g = atomic_load_explicit(&t->groups[(*cursor)++], memory_order_acquire);
        if (g != NULL) return g;
    }
    return NULL;
}
