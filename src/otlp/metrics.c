/* Metrics from the traffic tables. Groups of all workers are sorted by the labels a metric has, so that those alike
 * stand together and are summed into one data point. The hard part: weir counts nanoseconds, the conventions want
 * seconds, and a thousand millionth is no power of 2^(1/32): a bucket of nanoseconds is told as the nearest bucket of
 * seconds, which moves it by a third of a bucket, 0.7 %. Counts and sums are exact. */
#include "metrics.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "attribute.h"
#include "base/clock.h"
#include "base/mem.h"
#include "facts/names.h"
#include "messages.h"
#include "telemetry/traffic.h"
#include "view.h"

enum { SCALE = 5, SECONDS_SHIFT = -957 }; /* 32 * log2(1e-9) = -956.68 */
_Static_assert(HISTOGRAM_PER_OCTAVE == 1 << SCALE, "the histogram's buckets are those of that scale");

enum labels { BY_TENANT, BY_WORKLOAD, BY_MODEL, BY_GENAI, BY_NOTHING };
enum shape { SUM_TOKENS, SUM_REQUESTS, SUM_TRIES, SUM_USD, SECONDS, TOKENS, PHASES, LOOP_LAG, IN_FLIGHT };
enum filter { EVERY, INFERENCES, OTHERS };

static const struct metric {
    const char *name, *unit, *description;
    enum labels labels;
    enum shape shape;
    enum filter filter;
    int what;          /* enum measure or enum token_type */
    const char *token; /* gen_ai.token.type, or the token's type; NULL: none */
} metrics[] = {
    {"weir_requests_total", "1", "Exchanges that ended, by status and error", BY_TENANT, SUM_REQUESTS, EVERY, 0, NULL},
    {"weir_attempts_total", "1", "Tries at a provider, by what became of them", BY_TENANT, SUM_TRIES, EVERY, 0, NULL},
#define TOKEN_ROW(id, name)                                                                                            \
    {"weir_tokens_total", "{token}",  "Tokens; input includes cached ones, output includes reasoning",                 \
     BY_TENANT,           SUM_TOKENS, EVERY,                                                                           \
     TOKEN_##id,          #name},
    TOKEN_TYPES(TOKEN_ROW)
#undef TOKEN_ROW
        {"weir_cost_usd_total", "{usd}", "US dollars, where the price is known", BY_TENANT, SUM_USD, EVERY, 0, NULL},
    {"weir_ttft_seconds", "s", "Whole request received to first token written to the client", BY_WORKLOAD, SECONDS,
     EVERY, MEASURE_TTFT, NULL},
    {"weir_first_visible_seconds", "s", "The same to the first token a person sees", BY_WORKLOAD, SECONDS, EVERY,
     MEASURE_FIRST_VISIBLE, NULL},
    {"weir_tpot_seconds", "s", "Time per output token after the first", BY_WORKLOAD, SECONDS, EVERY, MEASURE_TPOT,
     NULL},
    {"weir_total_seconds", "s", "First byte of the request to last byte of the answer taken", BY_WORKLOAD, SECONDS,
     EVERY, MEASURE_TOTAL, NULL},
    {"weir_overhead_seconds", "s", "What the client lost to weir", BY_WORKLOAD, SECONDS, EVERY, MEASURE_OVERHEAD, NULL},
    {"weir_gap_seconds", "s", "Each gap between two tokens of an answer", BY_WORKLOAD, SECONDS, EVERY, MEASURE_GAP,
     NULL},
    {"weir_gap_max_seconds", "s", "The longest gap between two tokens of an answer", BY_WORKLOAD, SECONDS, EVERY,
     MEASURE_GAP_MAX, NULL},
    {"weir_phase_seconds", "s", "Time spent in each phase, where any was", BY_MODEL, PHASES, EVERY, 0, NULL},
    {"weir_loop_lag_seconds", "s", "From a worker's wake-up to an exchange that was ready", BY_NOTHING, LOOP_LAG, EVERY,
     0, NULL},
    {"weir_in_flight", "1", "Exchanges that have begun and not ended", BY_NOTHING, IN_FLIGHT, EVERY, 0, NULL},
    /* GenAI, newest */
    {"gen_ai.client.inference.duration", "s", "An inference, retries included", BY_GENAI, SECONDS, INFERENCES,
     MEASURE_INFERENCE, NULL},
    {"gen_ai.client.inference.time_to_first_chunk", "s", "Request sent to first token read", BY_GENAI, SECONDS,
     INFERENCES, MEASURE_FIRST_CHUNK, NULL},
    {"gen_ai.client.inference.time_per_output_chunk", "s", "From one token to the next", BY_GENAI, SECONDS, INFERENCES,
     MEASURE_GAP, NULL},
    {"gen_ai.client.inference.usage.input_tokens", "{token}", "Input tokens, cached ones included", BY_GENAI,
     SUM_TOKENS, INFERENCES, TOKEN_INPUT, NULL},
    {"gen_ai.client.inference.usage.output_tokens", "{token}", "Output tokens, reasoning included", BY_GENAI,
     SUM_TOKENS, INFERENCES, TOKEN_OUTPUT, NULL},
    {"gen_ai.client.inference.usage.cache_read.input_tokens", "{token}", "Input tokens read from a cache", BY_GENAI,
     SUM_TOKENS, INFERENCES, TOKEN_CACHE_READ, NULL},
    {"gen_ai.client.inference.usage.cache_write.input_tokens", "{token}", "Input tokens written to a cache", BY_GENAI,
     SUM_TOKENS, INFERENCES, TOKEN_CACHE_WRITE, NULL},
    {"gen_ai.client.inference.usage.reasoning.output_tokens", "{token}", "Output tokens of reasoning", BY_GENAI,
     SUM_TOKENS, INFERENCES, TOKEN_REASONING, NULL},
    {"gen_ai.client.inference.operation.input_tokens", "{token}", "Input tokens of an inference", BY_GENAI, TOKENS,
     INFERENCES, MEASURE_INPUT_TOKENS, NULL},
    {"gen_ai.client.inference.operation.output_tokens", "{token}", "Output tokens of an inference", BY_GENAI, TOKENS,
     INFERENCES, MEASURE_OUTPUT_TOKENS, NULL},
    {"gen_ai.client.operation.duration", "s", "A call of a model", BY_GENAI, SECONDS, EVERY, MEASURE_INFERENCE, NULL},
    /* … older ones that dashboards still ask for */
    {"gen_ai.client.token.usage", "{token}", "Tokens of a call", BY_GENAI, TOKENS, EVERY, MEASURE_INPUT_TOKENS,
     "input"},
    {"gen_ai.client.token.usage", "{token}", "Tokens of a call", BY_GENAI, TOKENS, EVERY, MEASURE_OUTPUT_TOKENS,
     "output"},
    {"gen_ai.server.time_to_first_token", "s", "Request sent to first token read", BY_GENAI, SECONDS, INFERENCES,
     MEASURE_FIRST_CHUNK, NULL},
    {"gen_ai.server.time_per_output_token", "s", "Time per output token after the first", BY_GENAI, SECONDS, INFERENCES,
     MEASURE_TPOT, NULL},
};
enum { METRICS = sizeof metrics / sizeof metrics[0] };

/* ---- groups ---- */

enum { KEY_NAMES = 4 };

struct member {
    uint32_t key[KEY_NAMES]; /* by the labels sorted for; unused ones 0 */
    enum call_kind call;
    const struct traffic_group *group;
};

struct pass {
    const struct exports_sources *sources;
    const struct places *places;
    const struct metrics_times *times;
    struct member *members;
    size_t count, capacity;
    struct histogram_view view;
    struct buf out;
    unsigned points;
};

static void members_collect(struct pass *p) {
    for (unsigned i = 0; i < p->sources->worker_count; i++) {
        unsigned cursor = 0;
        for (const struct traffic_group *g; (g = traffic_next(p->sources->traffics[i], &cursor)) != NULL;) {
            p->members = mem_array_grow(p->members, &p->capacity, sizeof *p->members, p->count + 1);
            p->members[p->count++] = (struct member){.group = g};
        }
    }
}

static void member_key(const struct pass *p, struct member *m, enum labels labels) {
    const struct traffic_group *g = m->group;
    struct slice operation = SLICE("");
    m->call = call_of(name_of(g->operation), &operation);
    memset(m->key, 0, sizeof m->key);
    if (labels == BY_GENAI) {
        const struct place *place = places_find(p->places, g->provider);
        m->key[0] = name_id(operation);
        m->key[1] = place != NULL ? name_id(place->system) : g->provider;
    } else {
        m->key[0] = labels == BY_MODEL ? 0 : g->tenant;
        m->key[1] = g->provider;
        m->key[3] = labels == BY_WORKLOAD ? g->workload : 0;
    }
    m->key[2] = g->model;
}

static int by_key(const void *a, const void *b) {
    const struct member *left = a, *right = b;
    for (int i = 0; i < KEY_NAMES; i++)
        if (left->key[i] != right->key[i]) return left->key[i] < right->key[i] ? -1 : 1;
    return 0;
}

static void members_sort(struct pass *p, enum labels labels) {
    for (size_t i = 0; i < p->count; i++) member_key(p, &p->members[i], labels);
    if (p->count > 1) qsort(p->members, p->count, sizeof *p->members, by_key);
}

static size_t run_end(const struct pass *p, size_t at) {
    size_t end = at + 1;
    while (end < p->count && by_key(&p->members[at], &p->members[end]) == 0) end++;
    return end;
}

static bool passes(const struct member *m, const struct metric *row) {
    if (row->labels == BY_GENAI && (m->call == CALL_NONE || m->group->provider == NAME_NONE)) return false;
    return row->filter == EVERY || (m->call == CALL_LLM) == (row->filter == INFERENCES);
}

/* ---- data points ---- */

static void labels_put(struct buf *out, unsigned field, const struct metric *row, const struct member *m) {
    static const char *const plain[KEY_NAMES] = {"tenant", "provider", "model", "workload"};
    static const char *const genai[KEY_NAMES] = {"gen_ai.operation.name", "gen_ai.provider.name",
                                                 "gen_ai.request.model"};
    const char *const *names = row->labels == BY_GENAI ? genai : plain;
    for (int i = 0; m != NULL && i < KEY_NAMES; i++)
        if (names[i] != NULL) attribute_text(out, field, names[i], name_of(m->key[i]));
    if (row->token != NULL)
        attribute_text(out, field, row->labels == BY_GENAI ? "gen_ai.token.type" : "type", slice_of(row->token));
    if (row->labels == BY_GENAI && row->shape == SUM_TOKENS)
        attribute_text(out, field, "gen_ai.token.modality", SLICE("unknown"));
}

static size_t number_open(struct pass *p) {
    size_t point = proto_open(&p->out, DATA_POINTS);
    proto_fixed64(&p->out, NUMBER_START, p->times->start_unix_ns);
    proto_fixed64(&p->out, NUMBER_TIME, p->times->now_unix_ns);
    p->points++;
    return point;
}

static uint64_t zigzag(int64_t n) {
    return n < 0 ? ((uint64_t)-n << 1) - 1 : (uint64_t)n << 1;
}

/* Bucket 0 holds what is 0 or 1, and a logarithm has no place for the 0: OpenTelemetry calls both zero, and says up to
 * where that is so. */
static void zeros_put(struct buf *out, uint64_t count, double one) {
    if (count == 0) return;
    proto_fixed64(out, EXPONENTIAL_ZERO_COUNT, count);
    proto_double(out, EXPONENTIAL_ZERO_THRESHOLD, one);
}

static void buckets_put(struct buf *out, const struct histogram_view *v, int shift) {
    int first = 1, last = HISTOGRAM_BUCKETS - 1;
    while (first <= last && v->counts[first] == 0) first++;
    while (last > first && v->counts[last] == 0) last--;
    if (first > last) return;
    size_t buckets = proto_open(out, EXPONENTIAL_POSITIVE);
    if (first + shift != 0) proto_uint(out, BUCKETS_OFFSET, zigzag(first + shift));
    size_t counts = proto_open(out, BUCKETS_COUNTS);
    for (int i = first; i <= last; i++) proto_varint(out, v->counts[i]);
    proto_close(out, counts);
    proto_close(out, buckets);
}

/* The view as one data point; `phase` NULL: it is of none. */
static void histogram_point(struct pass *p, const struct metric *row, const struct member *m, const char *phase) {
    const struct histogram_view *v = &p->view;
    bool tokens = row->shape == TOKENS;
    double unit = tokens ? 1 : (double)NS_PER_S;
    if (v->count == 0) return;
    size_t point = proto_open(&p->out, DATA_POINTS);
    if (phase != NULL) attribute_text(&p->out, EXPONENTIAL_ATTRIBUTES, "phase", slice_of(phase));
    labels_put(&p->out, EXPONENTIAL_ATTRIBUTES, row, m);
    proto_fixed64(&p->out, EXPONENTIAL_START, p->times->start_unix_ns);
    proto_fixed64(&p->out, EXPONENTIAL_TIME, p->times->now_unix_ns);
    proto_fixed64(&p->out, EXPONENTIAL_COUNT, v->count);
    proto_double(&p->out, EXPONENTIAL_SUM, (double)v->sum / unit);
    proto_uint(&p->out, EXPONENTIAL_SCALE, zigzag(SCALE));
    zeros_put(&p->out, v->counts[0], 1 / unit);
    buckets_put(&p->out, v, tokens ? 0 : SECONDS_SHIFT);
    proto_double(&p->out, EXPONENTIAL_MAX, (double)v->max / unit);
    proto_close(&p->out, point);
    p->points++;
}

static uint64_t counter_read(const _Atomic uint64_t *c) {
    return atomic_load_explicit(c, memory_order_relaxed);
}

static void run_histogram(struct pass *p, const struct metric *row, size_t from, size_t to, int measure,
                          const char *phase) {
    memset(&p->view, 0, sizeof p->view);
    for (size_t i = from; i < to; i++)
        if (passes(&p->members[i], row)) histogram_read(&p->members[i].group->measures[measure], &p->view);
    histogram_point(p, row, &p->members[from], phase);
}

static void run_sum(struct pass *p, const struct metric *row, size_t from, size_t to) {
    uint64_t sum = 0;
    bool any = false;
    for (size_t i = from; i < to; i++) {
        const struct traffic_group *g = p->members[i].group;
        if (!passes(&p->members[i], row)) continue;
        any = true;
        sum += counter_read(row->shape == SUM_USD ? &g->cost_pico_usd : &g->tokens[row->what]);
    }
    if (!any) return;
    size_t point = number_open(p);
    if (row->shape == SUM_USD)
        proto_double(&p->out, NUMBER_DOUBLE, (double)sum / 1e12);
    else
        proto_fixed64(&p->out, NUMBER_INT, sum);
    labels_put(&p->out, NUMBER_ATTRIBUTES, row, &p->members[from]);
    proto_close(&p->out, point);
}

/* ---- requests by status and error, tries by what became of them, within a run ---- */

enum { OUTCOMES_MAX = 128 };
struct outcomes {
    unsigned count;
    struct {
        uint16_t status;
        uint8_t error;
        uint64_t count;
    } items[OUTCOMES_MAX];
};

static void outcome_count(struct outcomes *all, const struct outcome *o) {
    unsigned i = 0;
    while (i < all->count && !(all->items[i].status == o->status && all->items[i].error == o->error)) i++;
    if (i == OUTCOMES_MAX) i--; /* a provider that makes statuses up: the rest is counted with the last */
    if (i == all->count) {
        all->items[i].status = o->status;
        all->items[i].error = o->error;
        all->items[i].count = 0;
        all->count++;
    }
    all->items[i].count += counter_read(&o->count);
}

static void outcome_labels(struct buf *out, bool tries, uint16_t status, uint8_t error) {
    const struct outcome o = {.status = status, .error = error};
    if (tries) {
        attribute_text(out, NUMBER_ATTRIBUTES, "outcome", slice_of(try_end_name(&o)));
        return;
    }
    attribute_put(out, NUMBER_ATTRIBUTES, SLICE("status"), value_int(status));
    attribute_text(out, NUMBER_ATTRIBUTES, "error", slice_of(failure_row((enum failure)error)->name));
}

static void run_outcomes(struct pass *p, const struct metric *row, size_t from, size_t to) {
    struct outcomes all = {0};
    bool tries = row->shape == SUM_TRIES;
    for (size_t i = from; i < to; i++) {
        const struct traffic_group *g = p->members[i].group;
        for (const struct outcome *o = atomic_load_explicit(tries ? &g->tries : &g->outcomes, memory_order_acquire);
             o != NULL; o = atomic_load_explicit(&o->next, memory_order_acquire))
            outcome_count(&all, o);
    }
    for (unsigned i = 0; i < all.count; i++) {
        size_t point = number_open(p);
        proto_fixed64(&p->out, NUMBER_INT, all.items[i].count);
        labels_put(&p->out, NUMBER_ATTRIBUTES, row, &p->members[from]);
        outcome_labels(&p->out, tries, all.items[i].status, all.items[i].error);
        proto_close(&p->out, point);
    }
}

/* ---- metrics ---- */

static void run_put(struct pass *p, const struct metric *row, size_t from, size_t to) {
    switch (row->shape) {
    case SUM_REQUESTS:
    case SUM_TRIES:
        run_outcomes(p, row, from, to);
        break;
    case SUM_TOKENS:
    case SUM_USD:
        run_sum(p, row, from, to);
        break;
    case PHASES:
        for (int i = 0; i < PHASE_COUNT; i++)
            run_histogram(p, row, from, to, MEASURE_PHASE + i, phase_name((enum phase)i));
        break;
    default:
        run_histogram(p, row, from, to, row->what, NULL);
    }
}

static void own_put(struct pass *p, const struct metric *row) {
    if (row->shape == IN_FLIGHT) {
        size_t point = number_open(p);
        proto_fixed64(&p->out, NUMBER_INT, p->sources->in_flight(p->sources->context));
        proto_close(&p->out, point);
        return;
    }
    memset(&p->view, 0, sizeof p->view);
    for (unsigned i = 0; i < p->sources->worker_count; i++) histogram_read(p->sources->loop_lags[i], &p->view);
    histogram_point(p, row, NULL, NULL);
}

static void points_put(struct pass *p, const struct metric *row) {
    if (row->labels == BY_NOTHING) {
        own_put(p, row);
        return;
    }
    for (size_t at = 0, end; at < p->count; at = end) {
        end = run_end(p, at);
        run_put(p, row, at, end);
    }
}

static unsigned data_field(enum shape shape) {
    if (shape == IN_FLIGHT) return METRIC_GAUGE;
    bool sum = shape == SUM_TOKENS || shape == SUM_REQUESTS || shape == SUM_TRIES || shape == SUM_USD;
    return sum ? METRIC_SUM : METRIC_EXPONENTIAL;
}

/* Rows of one name follow each other and are one metric. */
static int metric_put(struct pass *p, int i) {
    const struct metric *row = &metrics[i];
    unsigned field = data_field(row->shape);
    p->points = 0;
    p->out.start = p->out.end = 0;
    size_t metric = proto_open(&p->out, SCOPE_ITEMS);
    proto_text(&p->out, METRIC_NAME, slice_of(row->name));
    proto_text(&p->out, METRIC_DESCRIPTION, slice_of(row->description));
    proto_text(&p->out, METRIC_UNIT, slice_of(row->unit));
    size_t data = proto_open(&p->out, field);
    for (; i < METRICS && strcmp(metrics[i].name, row->name) == 0; i++) points_put(p, &metrics[i]);
    if (field != METRIC_GAUGE) proto_uint(&p->out, DATA_TEMPORALITY, TEMPORALITY_CUMULATIVE);
    if (field == METRIC_SUM) proto_uint(&p->out, DATA_MONOTONIC, true);
    proto_close(&p->out, data);
    proto_close(&p->out, metric);
    return i;
}

void metrics_give(const struct exports_sources *s, const struct places *places, const struct metrics_times *times,
                  metric_give *give, void *context) {
    struct pass *p = mem_zalloc(sizeof *p);
    enum labels sorted = BY_NOTHING;
    p->sources = s;
    p->places = places;
    p->times = times;
    members_collect(p);
    for (int i = 0; i < METRICS;) {
        if (metrics[i].labels != BY_NOTHING && metrics[i].labels != sorted) members_sort(p, metrics[i].labels);
        if (metrics[i].labels != BY_NOTHING) sorted = metrics[i].labels;
        i = metric_put(p, i);
        if (p->points > 0) give(context, buf_slice(&p->out), p->points);
    }
    buf_clear(&p->out);
    mem_free(p->members);
    mem_free(p);
}
