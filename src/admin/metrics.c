/* The metrics page: the table of families, and those that are not about exchanges. docs/metrics.md describes them. The
 * edges of histograms are edges of the histogram's own buckets, so cumulative counts are exact. */
#include "admin/metrics.h"

#include <stdatomic.h>
#include <stdio.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "facts/names.h"
#include "limit/shared.h"
#include "metrics_page.h"
#include "upstream/health.h"

/* Powers of two of a nanosecond are bucket numbers that are multiples of HISTOGRAM_PER_OCTAVE. */
#define OCTAVE(n) ((n)*HISTOGRAM_PER_OCTAVE)
#define HALF (HISTOGRAM_PER_OCTAVE / 2)

static const struct edges whole = {OCTAVE(20), OCTAVE(39), HALF, false}; /* 1 ms … 550 s, each a factor of 1.41 */
static const struct edges token = {OCTAVE(17), OCTAVE(33), HALF, false}; /* 131 µs … 8.6 s */
static const struct edges ours = {OCTAVE(13), OCTAVE(35), HISTOGRAM_PER_OCTAVE, false};   /* 8 µs … 34 s */
static const struct edges phases = {OCTAVE(13), OCTAVE(39), HISTOGRAM_PER_OCTAVE, false}; /* 8 µs … 550 s */
/* The advised 10, 20, 40 ms … 82 s: their nearest bucket edges are a quarter of a percent below. */
static const struct edges genai = {OCTAVE(23) + 8, OCTAVE(36) + 8, HISTOGRAM_PER_OCTAVE, false};
static const struct edges token_counts = {0, OCTAVE(26), 2 * HISTOGRAM_PER_OCTAVE, true}; /* 1, 4, 16 … 67 million */

/* ---- the gateway itself ---- */

static void in_flight_put(struct page *p, const struct family *f) {
    sample_begin(p, f);
    sample_u64(p, false, p->sources->in_flight(p->sources->context));
}

static void queued_put(struct page *p, const struct family *f) {
    uint64_t queued = 0;
    for (unsigned i = 0; i < p->sources->worker_count; i++) {
        unsigned cursor = 0;
        for (const struct traffic_group *g; (g = traffic_next(p->sources->traffics[i], &cursor)) != NULL;)
            queued += atomic_load_explicit(&g->queued, memory_order_relaxed);
    }
    sample_begin(p, f);
    sample_u64(p, false, queued);
}

static void clients_put(struct page *p, const struct family *f) {
    sample_begin(p, f);
    sample_u64(p, false, p->sources->open_clients(p->sources->context));
}

static void connections_put(struct page *p, const struct family *f) {
    struct metrics_connections c;
    for (unsigned i = 0; p->sources->connections(p->sources->context, i, &c); i++) {
        for (int idle = 0; idle < 2; idle++) {
            sample_begin(p, f);
            label_put(p->out, "provider", c.provider, true);
            label_put(p->out, "state", idle ? SLICE("idle") : SLICE("busy"), false);
            sample_u64(p, true, idle ? c.idle : c.open > c.idle ? c.open - c.idle : 0);
        }
    }
}

/* One sample for each state, 1 for the one it is in. */
static void targets_put(struct page *p, const struct family *f) {
    unsigned cursor = 0;
    for (const struct health *h; (h = health_next(&cursor)) != NULL;) {
        enum health_state state = health_state_of(h);
        for (enum health_state s = HEALTH_UP; s <= HEALTH_PROBING; s++) {
            sample_begin(p, f);
            label_put(p->out, "provider", name_of(h->provider), true);
            label_put(p->out, "model", name_of(h->model), false);
            label_put(p->out, "state", slice_of(health_state_name(s)), false);
            sample_u64(p, true, s == state);
        }
    }
}

static void refusals_put(struct page *p, const struct family *f) {
    const void *cursor = NULL;
    struct slice tenant;
    uint64_t counts[LIMIT_COUNT];
    while (p->sources->limiter != NULL && limiter_refusals(p->sources->limiter, &cursor, &tenant, counts)) {
        for (enum limit_kind k = 0; k < LIMIT_COUNT; k++) {
            if (counts[k] == 0) continue;
            sample_begin(p, f);
            label_put(p->out, "tenant", tenant, true);
            label_put(p->out, "limit", limit_name(k), false);
            sample_u64(p, true, counts[k]);
        }
    }
}

static void limit_replicas_put(struct page *p, const struct family *f) {
    unsigned count = p->sources->limiter != NULL ? limiter_share(p->sources->limiter) : 0;
    if (count == 0) return;
    sample_begin(p, f);
    sample_u64(p, false, count);
}

static void limits_alone_put(struct page *p, const struct family *f) {
    sample_begin(p, f);
    sample_u64(p, false, limit_shared_decided_alone());
}

static void loop_lag_put(struct page *p, const struct family *f) {
    memset(&p->view, 0, sizeof p->view);
    for (unsigned i = 0; i < p->sources->worker_count; i++) histogram_read(p->sources->loop_lags[i], &p->view);
    histogram_put(p, f, SLICE("{loop=\"worker\""), &p->view, NULL, 0);
}

static void dropped_put(struct page *p, const struct family *f) {
    struct metrics_dropped d;
    for (unsigned i = 0; p->sources->dropped(p->sources->context, i, &d); i++) {
        sample_begin(p, f);
        label_put(p->out, "sink", d.sink, true);
        sample_u64(p, true, d.records);
    }
}

static bool exporters_are_one(const struct metrics_exporter *a, const struct metrics_exporter *b) {
    return slice_equal(a->endpoint, b->endpoint) && slice_equal(a->signal, b->signal);
}

/* The i-th exporter, with all behind it that have the same labels (other paths, other headers): they are one series.
 * False: there is none; *told: it was among those of one before it. */
static bool exporter_sum(const struct page *p, unsigned i, struct metrics_exporter *e, bool *told) {
    struct metrics_exporter other;
    *told = false;
    if (!p->sources->exporters(p->sources->context, i, e)) return false;
    for (unsigned j = 0; p->sources->exporters(p->sources->context, j, &other); j++) {
        if (j == i || !exporters_are_one(e, &other)) continue;
        if (j < i) *told = true;
        e->sent += other.sent;
        e->dropped += other.dropped;
        e->rejected += other.rejected;
    }
    return true;
}

static void exporters_put(struct page *p, const struct family *f) {
    struct metrics_exporter e;
    bool told;
    for (unsigned i = 0; exporter_sum(p, i, &e, &told); i++) {
        if (told) continue;
        const struct {
            struct slice name;
            uint64_t count;
        } outcomes[] = {{SLICE("sent"), e.sent}, {SLICE("dropped"), e.dropped}, {SLICE("rejected"), e.rejected}};
        for (size_t o = 0; o < sizeof outcomes / sizeof *outcomes; o++) {
            sample_begin(p, f);
            label_put(p->out, "endpoint", e.endpoint, true);
            label_put(p->out, "signal", e.signal, false);
            label_put(p->out, "outcome", outcomes[o].name, false);
            sample_u64(p, true, outcomes[o].count);
        }
    }
}

static void reloads_put(struct page *p, const struct family *f) {
    struct metrics_reloads r;
    p->sources->reloads(p->sources->context, &r);
    for (int good = 1; good >= 0; good--) {
        sample_begin(p, f);
        label_put(p->out, "result", good ? SLICE("ok") : SLICE("failed"), true);
        sample_u64(p, true, good ? r.good : r.bad);
    }
}

static void reload_last_put(struct page *p, const struct family *f) {
    struct metrics_reloads r;
    p->sources->reloads(p->sources->context, &r);
    sample_begin(p, f);
    sample_u64(p, false, r.last_was_good);
}

static void loaded_put(struct page *p, const struct family *f) {
    struct metrics_reloads r;
    p->sources->reloads(p->sources->context, &r);
    sample_begin(p, f);
    sample_u64(p, false, (uint64_t)r.loaded_unix_s);
}

static void build_put(struct page *p, const struct family *f) {
    sample_begin(p, f);
    label_put(p->out, "version", SLICE(WEIR_VERSION), true);
    sample_u64(p, true, 1);
}

static void started_put(struct page *p, const struct family *f) {
    sample_begin(p, f);
    sample_decimal(p, false, (uint64_t)p->started_unix_ns / NS_PER_S, (uint64_t)p->started_unix_ns % NS_PER_S, 9);
}

static void cpu_put(struct page *p, const struct family *f) {
    struct rusage u;
    if (getrusage(RUSAGE_SELF, &u) != 0) return;
    uint64_t us = (uint64_t)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 +
                  (uint64_t)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
    sample_begin(p, f);
    sample_decimal(p, false, us / 1000000, us % 1000000, 6);
}

static void memory_put(struct page *p, const struct family *f) {
    char line[128] = "";
    uint64_t pages;
    FILE *statm = fopen("/proc/self/statm", "re");
    if (statm == NULL) return;
    struct slice rest = slice_of(fgets(line, sizeof line, statm)), all, resident;
    if (slice_cut(&rest, ' ', &all) && slice_cut(&rest, ' ', &resident) && slice_to_u64(resident, &pages)) {
        sample_begin(p, f);
        sample_u64(p, false, pages * (uint64_t)sysconf(_SC_PAGESIZE));
    }
    fclose(statm);
}

/* ---- the table ---- */

#define C METRIC_COUNTER
#define G METRIC_GAUGE
#define H METRIC_HISTOGRAM
/* clang-format off */
static const struct family families[] = {
    {"weir_requests", "", C, requests_put, 0, NULL, "Exchanges that ended, by status and error."},
    {"weir_attempts", "", C, tries_put, 0, NULL, "Tries at a provider, by what became of them."},
    {"weir_tokens", "", C, tokens_put, 0, NULL, "Tokens; input includes cached ones, output includes reasoning."},
    {"weir_cost_usd", "usd", C, spent_put, SPENT_USD, NULL, "US dollars, where the price is known."},
    {"weir_waste_usd", "usd", C, spent_put, SPENT_WASTE_USD, NULL, "The part of them that nobody got anything for."},
    {"weir_waste_tokens", "tokens", C, spent_put, SPENT_WASTE_TOKENS, NULL, "Tokens that nobody got anything of."},
    {"weir_ttft_seconds", "seconds", H, measure_put, MEASURE_TTFT, &whole,
     "Whole request received to first token written to the client."},
    {"weir_first_visible_seconds", "seconds", H, measure_put, MEASURE_FIRST_VISIBLE, &whole,
     "The same to the first token a person sees."},
    {"weir_tpot_seconds", "seconds", H, measure_put, MEASURE_TPOT, &token, "Time per output token after the first."},
    {"weir_total_seconds", "seconds", H, measure_put, MEASURE_TOTAL, &whole,
     "First byte of the request to last byte of the answer taken."},
    {"weir_overhead_seconds", "seconds", H, measure_put, MEASURE_OVERHEAD, &ours,
     "What the client lost to weir: admit, queue and loop."},
    {"weir_gap_seconds", "seconds", H, measure_put, MEASURE_GAP, &token, "Each gap between two tokens of an answer."},
    {"weir_gap_max_seconds", "seconds", H, measure_put, MEASURE_GAP_MAX, &token,
     "The longest gap between two tokens of an answer."},
    {"weir_phase_seconds", "seconds", H, phases_put, 0, &phases,
     "Time spent in each phase of an exchange, where any was."},
    {"weir_in_flight", "", G, in_flight_put, 0, NULL, "Exchanges that have begun and not ended."},
    {"weir_queued", "", G, queued_put, 0, NULL, "Exchanges that wait for a limit or a provider's connection."},
    {"weir_client_connections", "", G, clients_put, 0, NULL, "Open client connections."},
    {"weir_upstream_connections", "", G, connections_put, 0, NULL, "Open connections to a provider."},
    {"weir_target_health", "", G, targets_put, 0, NULL, "Whether a target is used: up, cooling or probing."},
    {"weir_limit_refusals", "", C, refusals_put, 0, NULL, "Requests that a limit of their tenant refused."},
    {"weir_limit_replicas", "", G, limit_replicas_put, 0, NULL,
     "Instances that share limits, this one included, as last heard of."},
    {"weir_limit_decided_alone", "", C, limits_alone_put, 0, NULL,
     "Decisions about shared limits that were made without Redis."},
    {"weir_loop_lag_seconds", "seconds", H, loop_lag_put, 0, &ours,
     "From a worker's wake-up to an exchange that was ready."},
    {"weir_records_dropped", "", C, dropped_put, 0, NULL,
     "Records (of otlp: spans) that a sink could not take in time."},
    {"weir_otlp_items", "", C, exporters_put, 0, NULL,
     "Spans, log records and data points for a collector, by what became of them."},
    {"weir_redis_up", "", G, redis_up_put, 0, NULL, "Whether the shared Redis answers every thread of this instance."},
    {"weir_redis_calls", "", C, redis_calls_put, 0, NULL, "Calls to the shared Redis by what became of them."},
    {"weir_redis_seconds", "seconds", H, redis_latency_put, 0, &ours, "Calls to the shared Redis that were answered."},
    {"weir_redis_connects", "", C, redis_connects_put, 0, NULL,
     "Connections to the shared Redis that came to be used."},
    {"weir_config_reloads", "", C, reloads_put, 0, NULL, "Times the configuration was loaded again, by how it went."},
    {"weir_config_last_reload_successful", "", G, reload_last_put, 0, NULL,
     "Whether the last reload (or the start) went well."},
    {"weir_config_loaded_timestamp_seconds", "seconds", G, loaded_put, 0, NULL,
     "When the running configuration was loaded, in Unix time."},
    {"weir_build_info", "", G, build_put, 0, NULL, "The running version."},
    {"process_start_time_seconds", "seconds", G, started_put, 0, NULL, "When the process began, in Unix time."},
    {"process_cpu_seconds", "seconds", C, cpu_put, 0, NULL, "CPU time, user and system, of all threads."},
    {"process_resident_memory_bytes", "bytes", G, memory_put, 0, NULL, "Resident memory."},
    /* OpenTelemetry's names, of the newest conventions, in Prometheus' spelling */
    {"gen_ai_client_inference_duration_seconds", "seconds", H, genai_measure_put, MEASURE_INFERENCE, &genai,
     "An inference, retries included: total without receive, admit, queue and drain."},
    {"gen_ai_client_inference_time_to_first_chunk_seconds", "seconds",
     H, genai_measure_put, MEASURE_FIRST_CHUNK, &genai,
     "Streams: request sent to first token read."},
    {"gen_ai_client_inference_time_per_output_chunk_seconds", "seconds", H, genai_measure_put, MEASURE_GAP, &genai,
     "Streams: from one token to the next."},
    {"gen_ai_client_operation_duration_seconds", "seconds", H, genai_other_put, MEASURE_INFERENCE, &genai,
     "The same for operations that are no inference."},
    {"gen_ai_client_inference_usage_input_tokens", "tokens", C, genai_tokens_put, TOKEN_INPUT, NULL,
     "Input tokens, cached ones included."},
    {"gen_ai_client_inference_usage_output_tokens", "tokens", C, genai_tokens_put, TOKEN_OUTPUT, NULL,
     "Output tokens, reasoning included."},
    {"gen_ai_client_inference_usage_cache_read_input_tokens", "tokens", C, genai_tokens_put, TOKEN_CACHE_READ, NULL,
     "Input tokens read from the provider's cache."},
    {"gen_ai_client_inference_usage_cache_write_input_tokens", "tokens", C, genai_tokens_put, TOKEN_CACHE_WRITE, NULL,
     "Input tokens written to the provider's cache."},
    {"gen_ai_client_inference_usage_reasoning_output_tokens", "tokens", C, genai_tokens_put, TOKEN_REASONING, NULL,
     "Output tokens of reasoning."},
    {"gen_ai_client_inference_operation_input_tokens", "tokens",
     H, genai_measure_put, MEASURE_INPUT_TOKENS, &token_counts,
     "Input tokens of an inference."},
    {"gen_ai_client_inference_operation_output_tokens", "tokens",
     H, genai_measure_put, MEASURE_OUTPUT_TOKENS, &token_counts,
     "Output tokens of an inference."},
};
/* clang-format on */

struct slice metrics_content_type(enum metrics_format f) {
    return f == METRICS_OPENMETRICS ? SLICE("application/openmetrics-text; version=1.0.0; charset=utf-8")
                                    : SLICE("text/plain; version=0.0.4; charset=utf-8");
}

struct metrics {
    struct metrics_sources sources;
    struct page page;
};

struct metrics *metrics_new(const struct metrics_sources *s) {
    static const unsigned max[] = {
#define SERIES_MAX(id, max) max,
        SERIES_KINDS(SERIES_MAX)
#undef SERIES_MAX
    };
    /* provider, model, tenant, workload, operation: those that the kind tells apart */
    static const uint32_t others[SERIES_KIND_COUNT][SERIES_NAMES] = {
        [SERIES_TENANT] = {NAME_OTHER, NAME_OTHER, NAME_OTHER},
        [SERIES_WORKLOAD] = {NAME_OTHER, NAME_OTHER, NAME_OTHER, NAME_OTHER},
        [SERIES_MODEL] = {NAME_OTHER, NAME_OTHER},
        [SERIES_GENAI] = {NAME_OTHER, NAME_OTHER, 0, 0, NAME_OTHER},
    };
    static const uint32_t other_outcome[SERIES_NAMES] = {NAME_OTHER, NAME_OTHER, NAME_OTHER, UINT32_MAX, UINT32_MAX};
    struct metrics *m = mem_zalloc(sizeof *m);
    m->sources = *s;
    m->page.sources = &m->sources;
    m->page.started_unix_ns = clock_real_ns();
    for (int kind = 0; kind < SERIES_KIND_COUNT; kind++) series_set_init(&m->page.sets[kind], max[kind], others[kind]);
    series_set_init(&m->page.outcomes, OUTCOMES_MAX, other_outcome);
    series_set_init(&m->page.tries, OUTCOMES_MAX, other_outcome);
    return m;
}

void metrics_free(struct metrics *m) {
    if (m == NULL) return;
    for (int kind = 0; kind < SERIES_KIND_COUNT; kind++) series_set_clear(&m->page.sets[kind]);
    series_set_clear(&m->page.outcomes);
    series_set_clear(&m->page.tries);
    buf_clear(&m->page.labels);
    mem_free(m->page.members);
    mem_free(m);
}

void metrics_write(struct metrics *m, struct buf *out, enum metrics_format format) {
    struct page *p = &m->page;
    p->out = out;
    p->format = format;
    members_collect(p);
    for (size_t i = 0; i < sizeof families / sizeof *families; i++) {
        family_head(p, &families[i]);
        families[i].write(p, &families[i]);
    }
    if (format == METRICS_OPENMETRICS) buf_append_text(out, "# EOF\n");
}
