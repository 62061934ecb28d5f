/* The metrics page. Workers keep one group per tenant, provider, model and workload; a family is written by merging the
 * groups that share its labels, so that no label combination appears twice. Bucket edges are powers of two of a
 * microsecond: exact, because they are edges of the histogram's own buckets. */
#include "admin/metrics.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "facts/names.h"

/* ---- the snapshot: the groups of all workers, merged ---- */

struct merged {
    uint32_t tenant, provider, model, workload;
    struct {
        uint16_t status;
        uint8_t error;
        uint64_t count;
    } outcomes[64];
    unsigned outcome_count;
    uint64_t tokens[TOKEN_TYPE_COUNT], cost_pico_usd;
    struct histogram_view measures[MEASURE_COUNT];
};

struct page {
    struct buf *out;
    struct merged **groups;
    size_t count, capacity;
};

static struct merged *merged_find(struct page *p, const struct traffic_group *g) {
    for (size_t i = 0; i < p->count; i++) {
        struct merged *m = p->groups[i];
        if (m->tenant == g->tenant && m->provider == g->provider && m->model == g->model && m->workload == g->workload)
            return m;
    }
    p->groups = mem_array_grow(p->groups, &p->capacity, sizeof *p->groups, p->count + 1);
    struct merged *m = mem_zalloc(sizeof *m);
    m->tenant = g->tenant, m->provider = g->provider, m->model = g->model, m->workload = g->workload;
    return p->groups[p->count++] = m;
}

static void outcome_merge(struct merged *m, const struct outcome *o) {
    const unsigned max = sizeof m->outcomes / sizeof m->outcomes[0];
    unsigned i = 0;
    while (i < m->outcome_count && !(m->outcomes[i].status == o->status && m->outcomes[i].error == o->error)) i++;
    if (i == max) return;
    if (i == m->outcome_count) {
        m->outcomes[i].status = o->status;
        m->outcomes[i].error = o->error;
        m->outcome_count++;
    }
    m->outcomes[i].count += atomic_load_explicit(&o->count, memory_order_relaxed);
}

static void group_merge(struct page *p, const struct traffic_group *g) {
    struct merged *m = merged_find(p, g);
    for (const struct outcome *o = atomic_load_explicit(&g->outcomes, memory_order_acquire); o != NULL;
         o = atomic_load_explicit(&o->next, memory_order_acquire))
        outcome_merge(m, o);
    for (int i = 0; i < TOKEN_TYPE_COUNT; i++) m->tokens[i] += atomic_load_explicit(&g->tokens[i], memory_order_relaxed);
    m->cost_pico_usd += atomic_load_explicit(&g->cost_pico_usd, memory_order_relaxed);
    for (int i = 0; i < MEASURE_COUNT; i++) histogram_read(&g->measures[i], &m->measures[i]);
}

/* ---- writing ---- */

static void family(struct page *p, const char *name, const char *type, const char *help) {
    buf_printf(p->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void label(struct page *p, const char *name, struct slice value, bool first) {
    buf_append_text(p->out, first ? "{" : ",");
    buf_append_text(p->out, name);
    buf_append_text(p->out, "=\"");
    for (size_t i = 0; i < value.n; i++) {
        char c = value.p[i];
        if (c == '\\' || c == '"') buf_append(p->out, (char[]){'\\', c}, 2);
        else if (c == '\n') buf_append_text(p->out, "\\n");
        else buf_append(p->out, &c, 1);
    }
    buf_append_text(p->out, "\"");
}

static void value(struct page *p, uint64_t v) {
    buf_append_text(p->out, "} ");
    buf_append_u64(p->out, v);
    buf_append_text(p->out, "\n");
}

static void labels_of(struct page *p, const struct merged *m, bool tenant) {
    if (tenant) label(p, "tenant", name_of(m->tenant), true);
    label(p, "provider", name_of(m->provider), !tenant);
    label(p, "model", name_of(m->model), false);
}

/* Is this the first group with these labels? Then the family's line is written from the sum over all that share them. */
static bool shares(const struct merged *a, const struct merged *b, bool tenant, bool workload) {
    return a->provider == b->provider && a->model == b->model && (!tenant || a->tenant == b->tenant) &&
           (!workload || a->workload == b->workload);
}

static bool is_first(const struct page *p, size_t at, bool tenant, bool workload) {
    for (size_t i = 0; i < at; i++)
        if (shares(p->groups[i], p->groups[at], tenant, workload)) return false;
    return true;
}

static uint64_t outcome_sum(const struct page *p, size_t at, unsigned which) {
    const struct merged *m = p->groups[at];
    uint64_t sum = 0;
    for (size_t i = at; i < p->count; i++)
        for (unsigned j = 0; shares(p->groups[i], m, true, false) && j < p->groups[i]->outcome_count; j++)
            if (p->groups[i]->outcomes[j].status == m->outcomes[which].status &&
                p->groups[i]->outcomes[j].error == m->outcomes[which].error)
                sum += p->groups[i]->outcomes[j].count;
    return sum;
}

/* Groups that differ only in their workload may each have an outcome the first one lacks. */
static bool outcome_is_first(const struct page *p, size_t at, unsigned which) {
    const struct merged *m = p->groups[at];
    for (size_t i = 0; i < at; i++)
        for (unsigned j = 0; shares(p->groups[i], m, true, false) && j < p->groups[i]->outcome_count; j++)
            if (p->groups[i]->outcomes[j].status == m->outcomes[which].status &&
                p->groups[i]->outcomes[j].error == m->outcomes[which].error)
                return false;
    return true;
}

static void requests_write(struct page *p) {
    family(p, "weir_requests_total", "counter", "Exchanges by how they ended.");
    for (size_t i = 0; i < p->count; i++)
        for (unsigned j = 0; j < p->groups[i]->outcome_count; j++) {
            const struct merged *m = p->groups[i];
            if (!outcome_is_first(p, i, j)) continue;
            char status[8];
            snprintf(status, sizeof status, "%u", m->outcomes[j].status);
            buf_append_text(p->out, "weir_requests_total");
            labels_of(p, m, true);
            label(p, "status", slice_of(status), false);
            label(p, "error", slice_of(failure_row((enum failure)m->outcomes[j].error)->name), false);
            value(p, outcome_sum(p, i, j));
        }
}

static void tokens_write(struct page *p) {
#define TOKEN_NAME(id, name) #name,
    static const char *const types[] = {TOKEN_TYPES(TOKEN_NAME)};
#undef TOKEN_NAME
    family(p, "weir_tokens_total", "counter", "Tokens; input includes cached ones, output includes reasoning.");
    for (size_t i = 0; i < p->count; i++) {
        if (!is_first(p, i, true, false)) continue;
        for (int t = 0; t < TOKEN_TYPE_COUNT; t++) {
            uint64_t sum = 0;
            for (size_t j = i; j < p->count; j++)
                if (shares(p->groups[i], p->groups[j], true, false)) sum += p->groups[j]->tokens[t];
            buf_append_text(p->out, "weir_tokens_total");
            labels_of(p, p->groups[i], true);
            label(p, "type", slice_of(types[t]), false);
            value(p, sum);
        }
    }
}

static void cost_write(struct page *p) {
    family(p, "weir_cost_usd_total", "counter", "US dollars, where the price is known.");
    for (size_t i = 0; i < p->count; i++) {
        if (!is_first(p, i, true, false)) continue;
        uint64_t sum = 0;
        for (size_t j = i; j < p->count; j++)
            if (shares(p->groups[i], p->groups[j], true, false)) sum += p->groups[j]->cost_pico_usd;
        buf_append_text(p->out, "weir_cost_usd_total");
        labels_of(p, p->groups[i], true);
        buf_printf(p->out, "} %llu.%012llu\n", (unsigned long long)(sum / 1000000000000), (unsigned long long)(sum % 1000000000000));
    }
}

enum { EDGE_FIRST = 10, EDGE_LAST = 37 }; /* 2^10 ns = 1 µs … 2^37 ns = 137 s */

static void histogram_lines(struct page *p, const char *name, const struct buf *labels, const struct histogram_view *v) {
    struct slice l = buf_slice(labels);
    for (int e = EDGE_FIRST; e <= EDGE_LAST; e++)
        buf_printf(p->out, "%s_bucket%.*s,le=\"%.9g\"} %llu\n", name, (int)l.n, l.p, (double)(UINT64_C(1) << e) / 1e9,
                   (unsigned long long)histogram_count_below(v, UINT64_C(1) << e));
    buf_printf(p->out, "%s_bucket%.*s,le=\"+Inf\"} %llu\n", name, (int)l.n, l.p, (unsigned long long)v->count);
    buf_printf(p->out, "%s_sum%.*s} %llu.%09llu\n", name, (int)l.n, l.p, (unsigned long long)(v->sum / NS_PER_S),
               (unsigned long long)(v->sum % NS_PER_S));
    buf_printf(p->out, "%s_count%.*s} %llu\n", name, (int)l.n, l.p, (unsigned long long)v->count);
}

static void histogram_sum(const struct page *p, size_t at, int measure, bool tenant, bool workload, struct histogram_view *v) {
    memset(v, 0, sizeof *v);
    for (size_t j = at; j < p->count; j++) {
        if (!shares(p->groups[at], p->groups[j], tenant, workload)) continue;
        const struct histogram_view *from = &p->groups[j]->measures[measure];
        for (int b = 0; b < HISTOGRAM_BUCKETS; b++) v->counts[b] += from->counts[b];
        v->count += from->count;
        v->sum += from->sum;
        if (from->max > v->max) v->max = from->max;
    }
}

/* One family of histograms. `phase` NULL: labels tenant, provider, model, workload; else phase, provider, model. */
static void histograms_write(struct page *p, const char *name, int measure, const char *phase) {
    bool fine = phase == NULL;
    struct histogram_view *v = mem_alloc(sizeof *v);
    for (size_t i = 0; i < p->count; i++) {
        if (!is_first(p, i, fine, fine)) continue;
        histogram_sum(p, i, measure, fine, fine, v);
        if (v->count == 0) continue;
        struct buf labels = {0};
        struct page inner = {.out = &labels};
        if (!fine) label(&inner, "phase", slice_of(phase), true);
        if (fine) label(&inner, "tenant", name_of(p->groups[i]->tenant), true);
        label(&inner, "provider", name_of(p->groups[i]->provider), false);
        label(&inner, "model", name_of(p->groups[i]->model), false);
        if (fine) label(&inner, "workload", name_of(p->groups[i]->workload), false);
        histogram_lines(p, name, &labels, v);
        buf_clear(&labels);
    }
    mem_free(v);
}

static void measures_write(struct page *p) {
#define MEASURE_NAME(id, name) #name,
    static const char *const names[] = {MEASURES(MEASURE_NAME)};
#undef MEASURE_NAME
    char name[64];
    for (int i = 0; i < MEASURE_PHASE; i++) {
        snprintf(name, sizeof name, "weir_%s_seconds", names[i]);
        family(p, name, "histogram", "Seconds an exchange took (docs/records.md says from when to when).");
        histograms_write(p, name, i, NULL);
    }
    family(p, "weir_phase_seconds", "histogram", "Seconds spent in each phase of an exchange, where any was.");
    for (int i = 0; i < PHASE_COUNT; i++) histograms_write(p, "weir_phase_seconds", MEASURE_PHASE + i, phase_name((enum phase)i));
}

static void gauge(struct page *p, const char *name, const char *help, uint64_t v) {
    family(p, name, "gauge", help);
    buf_printf(p->out, "%s %llu\n", name, (unsigned long long)v);
}

static void connections_write(struct page *p, const struct metrics_sources *s) {
    struct metrics_connections c;
    family(p, "weir_upstream_connections", "gauge", "Open connections to a provider.");
    for (unsigned i = 0; s->connections(s->context, i, &c); i++) {
        for (int idle = 0; idle < 2; idle++) {
            buf_append_text(p->out, "weir_upstream_connections");
            label(p, "provider", c.provider, true);
            label(p, "state", idle ? SLICE("idle") : SLICE("busy"), false);
            value(p, idle ? c.idle : c.open > c.idle ? c.open - c.idle : 0);
        }
    }
}

static void loop_lag_write(struct page *p, const struct metrics_sources *s) {
    struct histogram_view *v = mem_zalloc(sizeof *v);
    for (unsigned i = 0; i < s->worker_count; i++) histogram_read(s->loop_lags[i], v);
    family(p, "weir_loop_lag_seconds", "histogram", "From a worker's wake-up to the callback of an exchange that was ready.");
    struct buf labels = {0};
    buf_append_text(&labels, "{loop=\"worker\"");
    histogram_lines(p, "weir_loop_lag_seconds", &labels, v);
    buf_clear(&labels);
    mem_free(v);
}

void metrics_write(struct buf *out, const struct metrics_sources *s) {
    struct page p = {.out = out};
    for (unsigned i = 0; i < s->worker_count; i++) {
        unsigned cursor = 0;
        for (const struct traffic_group *g; (g = traffic_next(s->traffics[i], &cursor)) != NULL;) group_merge(&p, g);
    }
    requests_write(&p);
    tokens_write(&p);
    cost_write(&p);
    measures_write(&p);
    connections_write(&p, s);
    loop_lag_write(&p, s);
    gauge(&p, "weir_in_flight", "Exchanges that have begun and not ended.", s->in_flight(s->context));
    gauge(&p, "weir_client_connections", "Open client connections.", s->open_clients(s->context));
    family(&p, "weir_records_dropped_total", "counter", "Records that a sink could not take in time.");
    buf_printf(out, "weir_records_dropped_total{sink=\"log\"} %llu\n", (unsigned long long)s->log_dropped(s->context));
    family(&p, "weir_build_info", "gauge", "The running version.");
    buf_printf(out, "weir_build_info{version=\"%s\"} 1\n", WEIR_VERSION);
    for (size_t i = 0; i < p.count; i++) mem_free(p.groups[i]);
    mem_free(p.groups);
}
