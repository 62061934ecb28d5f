/* The metrics page. Workers keep one group per tenant, provider, model and workload. All groups of all workers are
 * sorted, provider and model first, so that those that share a family's labels stand next to each other: a run of
 * them is summed into one series, and no label combination appears twice. Bucket edges are powers of two of a
 * nanosecond: exact, because they are edges of the histogram's own buckets. */
#include "admin/metrics.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "facts/names.h"

enum { EDGE_FIRST = 10, EDGE_LAST = 37 }; /* 2^10 ns = 1 µs … 2^37 ns = 137 s */

struct page {
    struct buf *out;
    const struct traffic_group **groups; /* sorted */
    size_t count, capacity;
    char edges[EDGE_LAST + 1][24]; /* in seconds */
};

/* By how many of provider, model, tenant and workload (in this order) groups are told apart. */
enum labels { LABELS_MODEL = 2, LABELS_TENANT = 3, LABELS_WORKLOAD = 4 };

/* ---- groups ---- */

static int groups_compare(const struct traffic_group *a, const struct traffic_group *b, enum labels labels) {
    const uint32_t left[] = {a->provider, a->model, a->tenant, a->workload};
    const uint32_t right[] = {b->provider, b->model, b->tenant, b->workload};
    for (unsigned i = 0; i < labels; i++)
        if (left[i] != right[i]) return left[i] < right[i] ? -1 : 1;
    return 0;
}

static int by_all_labels(const void *a, const void *b) {
    const struct traffic_group *const *left = a, *const *right = b;
    return groups_compare(*left, *right, LABELS_WORKLOAD);
}

static void groups_collect(struct page *p, const struct metrics_sources *s) {
    for (unsigned i = 0; i < s->worker_count; i++) {
        unsigned cursor = 0;
        for (const struct traffic_group *g; (g = traffic_next(s->traffics[i], &cursor)) != NULL;) {
            p->groups = mem_array_grow(p->groups, &p->capacity, sizeof *p->groups, p->count + 1);
            p->groups[p->count++] = g;
        }
    }
    if (p->count > 1) qsort(p->groups, p->count, sizeof *p->groups, by_all_labels);
}

/* Where the run that begins at `at` ends: the first group with other labels. */
static size_t run_end(const struct page *p, size_t at, enum labels labels) {
    size_t end = at + 1;
    while (end < p->count && groups_compare(p->groups[at], p->groups[end], labels) == 0) end++;
    return end;
}

/* ---- writing ---- */

static void family(struct page *p, const char *name, const char *type, const char *help) {
    buf_printf(p->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* A label's value: any text; three characters are escaped, and what is not UTF-8 would make a scraper refuse the
 * page. */
static void value_escape(struct buf *out, struct slice value) {
    for (size_t i = 0, length; i < value.n; i += length) {
        const char *c = value.p + i;
        length = utf8_length((const unsigned char *)c, value.n - i);
        if (length == 0)
            buf_append_text(out, UTF8_REPLACEMENT);
        else if (*c == '\n')
            buf_append(out, "\\n", 2);
        else if (*c == '\\' || *c == '"')
            buf_append(out, (char[]){'\\', *c}, 2);
        else
            buf_append(out, c, length);
        if (length == 0) length = 1;
    }
}

static void label(struct buf *out, const char *name, struct slice value, bool first) {
    buf_append(out, first ? "{" : ",", 1);
    buf_append_text(out, name);
    buf_append(out, "=\"", 2);
    value_escape(out, value);
    buf_append(out, "\"", 1);
}

static void value_u64(struct buf *out, uint64_t v) {
    buf_append(out, "} ", 2);
    buf_append_u64(out, v);
    buf_append(out, "\n", 1);
}

static void value_seconds(struct buf *out, uint64_t ns) {
    buf_printf(out, "} %llu.%09llu\n", (unsigned long long)(ns / NS_PER_S), (unsigned long long)(ns % NS_PER_S));
}

static void labels_tenant(struct buf *out, const struct traffic_group *g) {
    label(out, "tenant", name_of(g->tenant), true);
    label(out, "provider", name_of(g->provider), false);
    label(out, "model", name_of(g->model), false);
}

/* ---- counters ---- */

static uint64_t counter_read(const _Atomic uint64_t *c) {
    return atomic_load_explicit(c, memory_order_relaxed);
}

struct outcomes {
    struct {
        uint16_t status;
        uint8_t error;
        uint64_t count;
    } * items;
    size_t count, capacity;
};

static void outcome_add(struct outcomes *all, const struct outcome *o) {
    size_t i = 0;
    while (i < all->count && !(all->items[i].status == o->status && all->items[i].error == o->error)) i++;
    if (i == all->count) {
        all->items = mem_array_grow(all->items, &all->capacity, sizeof *all->items, all->count + 1);
        all->items[i].status = o->status;
        all->items[i].error = o->error;
        all->items[i].count = 0;
        all->count++;
    }
    all->items[i].count += counter_read(&o->count);
}

static void outcomes_add(struct outcomes *all, const struct traffic_group *g) {
    for (const struct outcome *o = atomic_load_explicit(&g->outcomes, memory_order_acquire); o != NULL;
         o = atomic_load_explicit(&o->next, memory_order_acquire))
        outcome_add(all, o);
}

static void requests_write(struct page *p) {
    struct outcomes all = {0};
    family(p, "weir_requests_total", "counter", "Exchanges by how they ended.");
    for (size_t at = 0, end; at < p->count; at = end) {
        end = run_end(p, at, LABELS_TENANT);
        all.count = 0;
        for (size_t i = at; i < end; i++) outcomes_add(&all, p->groups[i]);
        for (size_t i = 0; i < all.count; i++) {
            char status[8];
            snprintf(status, sizeof status, "%u", all.items[i].status);
            buf_append_text(p->out, "weir_requests_total");
            labels_tenant(p->out, p->groups[at]);
            label(p->out, "status", slice_of(status), false);
            label(p->out, "error", slice_of(failure_row((enum failure)all.items[i].error)->name), false);
            value_u64(p->out, all.items[i].count);
        }
    }
    mem_free(all.items);
}

static void tokens_write(struct page *p) {
#define TOKEN_NAME(id, name) #name,
    static const char *const types[] = {TOKEN_TYPES(TOKEN_NAME)};
#undef TOKEN_NAME
    family(p, "weir_tokens_total", "counter", "Tokens; input includes cached ones, output includes reasoning.");
    for (size_t at = 0, end; at < p->count; at = end) {
        end = run_end(p, at, LABELS_TENANT);
        for (int t = 0; t < TOKEN_TYPE_COUNT; t++) {
            uint64_t sum = 0;
            for (size_t i = at; i < end; i++) sum += counter_read(&p->groups[i]->tokens[t]);
            buf_append_text(p->out, "weir_tokens_total");
            labels_tenant(p->out, p->groups[at]);
            label(p->out, "type", slice_of(types[t]), false);
            value_u64(p->out, sum);
        }
    }
}

static void cost_write(struct page *p) {
    const uint64_t usd = UINT64_C(1000000000000);
    family(p, "weir_cost_usd_total", "counter", "US dollars, where the price is known.");
    for (size_t at = 0, end; at < p->count; at = end) {
        uint64_t sum = 0;
        end = run_end(p, at, LABELS_TENANT);
        for (size_t i = at; i < end; i++) sum += counter_read(&p->groups[i]->cost_pico_usd);
        buf_append_text(p->out, "weir_cost_usd_total");
        labels_tenant(p->out, p->groups[at]);
        buf_printf(p->out, "} %llu.%012llu\n", (unsigned long long)(sum / usd), (unsigned long long)(sum % usd));
    }
}

/* ---- histograms ---- */

static void edges_write(struct page *p) {
    for (int e = EDGE_FIRST; e <= EDGE_LAST; e++) {
        unsigned long long ns = 1ull << e;
        snprintf(p->edges[e], sizeof p->edges[e], "%llu.%09llu", ns / NS_PER_S, ns % NS_PER_S);
    }
}

static void bucket_line(struct page *p, const char *name, struct slice labels, const char *edge, uint64_t count) {
    buf_append_text(p->out, name);
    buf_append_text(p->out, "_bucket");
    buf_append_slice(p->out, labels);
    buf_append_text(p->out, ",le=\"");
    buf_append_text(p->out, edge);
    buf_append(p->out, "\"", 1);
    value_u64(p->out, count);
}

static void histogram_lines(struct page *p, const char *name, struct slice labels, const struct histogram_view *v) {
    uint64_t below = 0;
    for (int e = 0; e <= EDGE_LAST; e++) { /* octave e begins at 2^e */
        if (e >= EDGE_FIRST) bucket_line(p, name, labels, p->edges[e], below);
        for (int i = 0; i < HISTOGRAM_PER_OCTAVE; i++) below += v->counts[e * HISTOGRAM_PER_OCTAVE + i];
    }
    bucket_line(p, name, labels, "+Inf", v->count);
    buf_append_text(p->out, name);
    buf_append_text(p->out, "_sum");
    buf_append_slice(p->out, labels);
    value_seconds(p->out, v->sum);
    buf_append_text(p->out, name);
    buf_append_text(p->out, "_count");
    buf_append_slice(p->out, labels);
    value_u64(p->out, v->count);
}

/* One family of histograms. `phase` NULL: labels tenant, provider, model, workload; else phase, provider, model. */
static void histograms_write(struct page *p, const char *name, int measure, const char *phase) {
    struct histogram_view *v = mem_alloc(sizeof *v);
    struct buf labels = {0};
    for (size_t at = 0, end; at < p->count; at = end) {
        const struct traffic_group *g = p->groups[at];
        end = run_end(p, at, phase == NULL ? LABELS_WORKLOAD : LABELS_MODEL);
        memset(v, 0, sizeof *v);
        for (size_t i = at; i < end; i++) histogram_read(&p->groups[i]->measures[measure], v);
        if (v->count == 0) continue;
        labels.start = labels.end = 0;
        if (phase != NULL)
            label(&labels, "phase", slice_of(phase), true);
        else
            label(&labels, "tenant", name_of(g->tenant), true);
        label(&labels, "provider", name_of(g->provider), false);
        label(&labels, "model", name_of(g->model), false);
        if (phase == NULL) label(&labels, "workload", name_of(g->workload), false);
        histogram_lines(p, name, buf_slice(&labels), v);
    }
    buf_clear(&labels);
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
    for (int i = 0; i < PHASE_COUNT; i++)
        histograms_write(p, "weir_phase_seconds", MEASURE_PHASE + i, phase_name((enum phase)i));
}

static void loop_lag_write(struct page *p, const struct metrics_sources *s) {
    struct histogram_view *v = mem_zalloc(sizeof *v);
    for (unsigned i = 0; i < s->worker_count; i++) histogram_read(s->loop_lags[i], v);
    family(p, "weir_loop_lag_seconds", "histogram", "From a worker's wake-up to an exchange that was ready.");
    histogram_lines(p, "weir_loop_lag_seconds", SLICE("{loop=\"worker\""), v);
    mem_free(v);
}

/* ---- the rest ---- */

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
            label(p->out, "provider", c.provider, true);
            label(p->out, "state", idle ? SLICE("idle") : SLICE("busy"), false);
            value_u64(p->out, idle ? c.idle : c.open > c.idle ? c.open - c.idle : 0);
        }
    }
}

static void refusals_write(struct page *p, struct limiter *l) {
    const void *cursor = NULL;
    struct slice tenant;
    uint64_t counts[LIMIT_COUNT];
    family(p, "weir_limit_refusals_total", "counter", "Requests that a limit of their tenant refused.");
    while (l != NULL && limiter_refusals(l, &cursor, &tenant, counts)) {
        for (enum limit_kind k = 0; k < LIMIT_COUNT; k++) {
            if (counts[k] == 0) continue;
            buf_append_text(p->out, "weir_limit_refusals_total");
            label(p->out, "tenant", tenant, true);
            label(p->out, "limit", limit_name(k), false);
            value_u64(p->out, counts[k]);
        }
    }
}

void metrics_write(struct buf *out, const struct metrics_sources *s) {
    struct page p = {.out = out};
    edges_write(&p);
    groups_collect(&p, s);
    requests_write(&p);
    tokens_write(&p);
    cost_write(&p);
    measures_write(&p);
    connections_write(&p, s);
    refusals_write(&p, s->limiter);
    loop_lag_write(&p, s);
    gauge(&p, "weir_in_flight", "Exchanges that have begun and not ended.", s->in_flight(s->context));
    gauge(&p, "weir_client_connections", "Open client connections.", s->open_clients(s->context));
    family(&p, "weir_records_dropped_total", "counter", "Records that a sink could not take in time.");
    buf_printf(out, "weir_records_dropped_total{sink=\"log\"} %llu\n", (unsigned long long)s->log_dropped(s->context));
    family(&p, "weir_build_info", "gauge", "The running version.");
    buf_printf(out, "weir_build_info{version=\"%s\"} 1\n", WEIR_VERSION);
    mem_free(p.groups);
}
