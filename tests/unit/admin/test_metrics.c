/* The metrics page as a scraper reads it: each family described once and in one piece, no series twice, histograms
 * whose buckets only grow and end in their count, labels that no name can break out of, numbers summed over workers. */
#include "records.h"

#include <stdio.h>

#include "admin/metrics.h"
#include "base/clock.h"

/* ---- a reader of the text format, strict where scrapers are ---- */

struct sample {
    char *series, *value; /* name{labels} */
};

static struct buf page;
static char *text; /* the page, with its line ends overwritten */
static struct sample *samples;
static size_t sample_count, sample_capacity;
static char families[64][64];
static char types[64][16];
static size_t family_count;

static bool name_char(char c, bool first) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || (!first && c >= '0' && c <= '9');
}

static const char *name_skip(const char *at) {
    assert_true(name_char(*at, true));
    while (name_char(*at, false)) at++;
    return at;
}

static bool utf8_valid(const char *s) {
    for (const uint8_t *p = (const uint8_t *)s; *p; p++) {
        int more = *p < 0x80                 ? 0
                   : *p >= 0xc2 && *p < 0xe0 ? 1
                   : (*p & 0xf0) == 0xe0     ? 2
                   : *p >= 0xf0 && *p < 0xf5 ? 3
                                             : -1;
        if (more < 0) return false;
        for (; more > 0; more--)
            if ((*++p & 0xc0) != 0x80) return false;
    }
    return true;
}

/* Past `{a="b",…}`; every backslash must begin one of the three escapes. */
static const char *labels_skip(const char *at) {
    if (*at != '{') return at;
    do {
        at = name_skip(at + 1);
        assert_true(at[0] == '=' && at[1] == '"');
        for (at += 2; *at != '"'; at++) {
            assert_true(*at != '\0');
            if (*at == '\\') {
                at++;
                assert_true(*at == '\\' || *at == '"' || *at == 'n');
            }
        }
        at++;
    } while (*at == ',');
    assert_int_equal(*at, '}');
    return at + 1;
}

static void family_line(const char *line) {
    char name[64], rest[200];
    static bool helped;
    if (sscanf(line, "# HELP %63s %199[^\n]", name, rest) == 2) {
        for (size_t i = 0; i < family_count; i++) assert_string_not_equal(families[i], name);
        assert_in_range(family_count, 0, 63);
        strcpy(families[family_count++], name);
        helped = true;
        return;
    }
    assert_int_equal(sscanf(line, "# TYPE %63s %15s", name, rest), 2);
    assert_true(helped);
    helped = false;
    assert_string_equal(name, families[family_count - 1]);
    assert_true(strcmp(rest, "counter") == 0 || strcmp(rest, "gauge") == 0 || strcmp(rest, "histogram") == 0);
    strcpy(types[family_count - 1], rest);
}

/* A sample belongs to the family that was described last: families stand in one piece. */
static void sample_line(char *line) {
    const char *family = families[family_count - 1], *type = types[family_count - 1];
    const char *name_end = name_skip(line), *labels_end = labels_skip(name_end);
    size_t n = strlen(family);
    assert_memory_equal(line, family, n);
    const char *suffix = line + n;
    size_t suffix_bytes = (size_t)(name_end - suffix);
    bool fits = strcmp(type, "histogram") != 0 ? suffix_bytes == 0
                                               : (suffix_bytes == 7 && memcmp(suffix, "_bucket", 7) == 0) ||
                                                     (suffix_bytes == 4 && memcmp(suffix, "_sum", 4) == 0) ||
                                                     (suffix_bytes == 6 && memcmp(suffix, "_count", 6) == 0);
    if (!fits) fail_msg("%s is not of the %s %s", line, type, family);
    assert_int_equal(*labels_end, ' ');
    char *end;
    double value = strtod(labels_end + 1, &end);
    assert_true(*end == '\0' && value >= 0);
    assert_true(utf8_valid(line));
    samples = mem_array_grow(samples, &sample_capacity, sizeof *samples, sample_count + 1);
    line[labels_end - line] = '\0';
    samples[sample_count++] = (struct sample){line, (char *)(uintptr_t)labels_end + 1};
}

static int by_series(const void *a, const void *b) {
    return strcmp(((const struct sample *)a)->series, ((const struct sample *)b)->series);
}

static uint64_t whole(const char *value) {
    uint64_t v;
    assert_true(slice_to_u64(slice_of(value), &v));
    return v;
}

/* Buckets as they stand on the page: edges and counts grow, +Inf comes last and equals _count, _sum lies between. */
static void histograms_check(void) {
    double last_edge = -1;
    uint64_t last_count = 0;
    for (size_t i = 0; i < sample_count; i++) {
        char *le = strstr(samples[i].series, ",le=\"");
        if (le == NULL) continue;
        double edge = strcmp(le, ",le=\"+Inf\"}") == 0 ? 1e300 : strtod(le + 5, NULL);
        uint64_t count = whole(samples[i].value);
        assert_true(edge > last_edge && count >= last_count);
        last_edge = edge, last_count = count;
        if (edge < 1e300) continue;
        assert_true(i + 2 < sample_count);
        assert_non_null(strstr(samples[i + 1].series, "_sum{"));
        assert_non_null(strstr(samples[i + 2].series, "_count{"));
        assert_int_equal(whole(samples[i + 2].value), count);
        assert_memory_equal(strchr(samples[i].series, '{'), strchr(samples[i + 2].series, '{'),
                            (size_t)(le - strchr(samples[i].series, '{')));
        last_edge = -1, last_count = 0;
    }
    assert_true(last_edge < 0);
}

static void page_read(void) {
    buf_append(&page, "", 1);
    text = page.data + page.start;
    assert_int_equal(text[strlen(text) - 1], '\n');
    for (char *line = text, *end; *line; line = end + 1) {
        end = strchr(line, '\n');
        *end = '\0';
        if (line[0] == '#')
            family_line(line);
        else
            sample_line(line);
    }
    histograms_check();
    qsort(samples, sample_count, sizeof *samples, by_series);
    for (size_t i = 1; i < sample_count; i++)
        if (by_series(&samples[i - 1], &samples[i]) == 0) fail_msg("twice: %s", samples[i].series);
}

static const char *value_of(const char *series) {
    struct sample key = {(char *)(uintptr_t)series, NULL};
    const struct sample *found = bsearch(&key, samples, sample_count, sizeof *samples, by_series);
    return found != NULL ? found->value : NULL;
}

static void expect(const char *series, const char *value) {
    const char *found = value_of(series);
    if (found == NULL) fail_msg("no %s", series);
    if (strcmp(found, value) != 0) fail_msg("%s is %s, not %s", series, found, value);
}

/* The sum of all series of a family, of whatever labels. */
static uint64_t family_sum(const char *name) {
    uint64_t sum = 0;
    for (size_t i = 0; i < sample_count; i++)
        if (strncmp(samples[i].series, name, strlen(name)) == 0 && samples[i].series[strlen(name)] == '{')
            sum += whole(samples[i].value);
    return sum;
}

/* ---- what the page is written from ---- */

enum { WORKERS = 3 };
static struct traffic *traffics[WORKERS];
static struct histogram lags[WORKERS];
static struct limiter *limiter;

static uint64_t in_flight(void *context) {
    (void)context;
    return 301;
}
static uint64_t open_clients(void *context) {
    (void)context;
    return 9000;
}
static bool exporters(void *context, unsigned i, struct metrics_exporter *e) {
    static const struct metrics_exporter all[] = {
        {SLICE_INIT("collector:4318"), SLICE_INIT("traces"), .sent = 4, .dropped = 2},
        {SLICE_INIT("collector:4318"), SLICE_INIT("logs"), .sent = 5},
        {SLICE_INIT("collector:4318"), SLICE_INIT("traces"), .sent = 3, .rejected = 1}, /* another path there */
    };
    (void)context;
    if (i < sizeof all / sizeof *all) *e = all[i];
    return i < sizeof all / sizeof *all;
}

static bool dropped(void *context, unsigned sink, struct metrics_dropped *d) {
    static const struct metrics_dropped all[] = {{SLICE_INIT("log"), 5}, {SLICE_INIT("store"), 0}};
    (void)context;
    if (sink >= 2) return false;
    *d = all[sink];
    return true;
}
static bool connections(void *context, unsigned provider, struct metrics_connections *c) {
    static const struct metrics_connections all[] = {{SLICE_INIT("openai"), 3, 10}, {SLICE_INIT("other"), 4, 3}};
    (void)context;
    if (provider >= 2) return false;
    *c = all[provider]; /* the second was read while it changed: more idle than open */
    return true;
}

static void reloads(void *context, struct metrics_reloads *r) {
    (void)context;
    *r = (struct metrics_reloads){.good = 7, .bad = 2, .last_was_good = true, .loaded_unix_s = 1795342528};
}

static struct metrics *metrics;
static struct exemplars *exemplars;

static void page_write_as(enum metrics_format format) {
    static const struct histogram *lag_list[WORKERS];
    for (int i = 0; i < WORKERS; i++) lag_list[i] = &lags[i];
    if (metrics == NULL)
        metrics = metrics_new(&(struct metrics_sources){.traffics = (const struct traffic *const *)traffics,
                                                        .loop_lags = lag_list,
                                                        .worker_count = WORKERS,
                                                        .limiter = limiter,
                                                        .exemplars = exemplars,
                                                        .in_flight = in_flight,
                                                        .open_clients = open_clients,
                                                        .dropped = dropped,
                                                        .exporters = exporters,
                                                        .connections = connections,
                                                        .reloads = reloads});
    page.start = page.end = 0;
    sample_count = family_count = 0;
    metrics_write(metrics, &page, format);
}

static void page_write(void) {
    page_write_as(METRICS_TEXT);
    page_read();
}

static int setup(void **state) {
    (void)state;
    for (int i = 0; i < WORKERS; i++) traffics[i] = mem_zalloc(sizeof *traffics[i]);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    for (int i = 0; i < WORKERS; i++) {
        traffic_clear(traffics[i]);
        mem_free(traffics[i]);
        histogram_clear(&lags[i]);
    }
    metrics_free(metrics);
    metrics = NULL;
    exemplars_free(exemplars);
    exemplars = NULL;
    buf_clear(&page);
    mem_free(samples);
    samples = NULL;
    sample_count = sample_capacity = family_count = 0;
    return 0;
}

static struct record *record_of(const char *tenant, const char *provider, const char *model, const char *workload) {
    struct record *r = record_usual();
    r->tenant = name_id(slice_of(tenant)), r->provider = name_id(slice_of(provider));
    r->model = name_id(slice_of(model)), r->workload = name_id(slice_of(workload));
    r->status = 200, r->error = FAILURE_NONE;
    return r;
}

static void count(unsigned worker, struct record *r) {
    traffic_add(traffics[worker], r);
    mem_free(r);
}

/* ---- tests ---- */

static void those_that_wait_are_summed_over_all_workers(void **state) {
    (void)state;
    const struct traffic_key key = {name_id(SLICE("acme")), name_id(SLICE("openai")), name_id(SLICE("m")), 0};
    struct traffic_group *a = traffic_enter(traffics[0], &key, 0), *b = traffic_enter(traffics[1], &key, 0);
    traffic_queue(a, true);
    traffic_queue(a, true);
    traffic_queue(b, true);
    page_write();
    expect("weir_queued", "3");
    traffic_queue(a, false);
    traffic_queue(b, false);
    page_write();
    expect("weir_queued", "1");
    traffic_queue(a, false);
    traffic_leave(a);
    traffic_leave(b);
}

static void a_page_without_traffic_has_every_family(void **state) {
    (void)state;
    static const char *const expected[] = {"weir_requests_total",
                                           "weir_tokens_total",
                                           "weir_cost_usd_total",
                                           "weir_ttft_seconds",
                                           "weir_first_visible_seconds",
                                           "weir_tpot_seconds",
                                           "weir_total_seconds",
                                           "weir_overhead_seconds",
                                           "weir_phase_seconds",
                                           "weir_upstream_connections",
                                           "weir_loop_lag_seconds",
                                           "weir_in_flight",
                                           "weir_queued",
                                           "weir_records_dropped_total",
                                           "weir_build_info",
                                           "weir_limit_refusals_total",
                                           "weir_config_reloads_total",
                                           "weir_gap_max_seconds",
                                           "process_start_time_seconds",
                                           "process_cpu_seconds_total",
                                           "process_resident_memory_bytes",
                                           "gen_ai_client_inference_duration_seconds",
                                           "gen_ai_client_inference_usage_input_tokens_total"};
    page_write();
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        bool found = false;
        for (size_t j = 0; j < family_count; j++) found = found || strcmp(families[j], expected[i]) == 0;
        if (!found) fail_msg("no %s", expected[i]);
    }
    expect("weir_in_flight", "301");
    expect("weir_client_connections", "9000");
    expect("weir_records_dropped_total{sink=\"log\"}", "5");
    expect("weir_config_reloads_total{result=\"ok\"}", "7");
    expect("weir_config_reloads_total{result=\"failed\"}", "2");
    expect("weir_config_last_reload_successful", "1");
    expect("weir_config_loaded_timestamp_seconds", "1795342528");
    expect("weir_records_dropped_total{sink=\"store\"}", "0");
    expect("weir_otlp_items_total{endpoint=\"collector:4318\",signal=\"traces\",outcome=\"sent\"}", "7");
    expect("weir_otlp_items_total{endpoint=\"collector:4318\",signal=\"traces\",outcome=\"dropped\"}", "2");
    expect("weir_otlp_items_total{endpoint=\"collector:4318\",signal=\"traces\",outcome=\"rejected\"}", "1");
    expect("weir_otlp_items_total{endpoint=\"collector:4318\",signal=\"logs\",outcome=\"sent\"}", "5");
    expect("weir_upstream_connections{provider=\"openai\",state=\"idle\"}", "3");
    expect("weir_upstream_connections{provider=\"openai\",state=\"busy\"}", "7");
    expect("weir_upstream_connections{provider=\"other\",state=\"busy\"}", "0");
    assert_int_equal(family_sum("weir_requests_total"), 0);
    assert_int_equal(family_sum("weir_build_info"), 1);
}

#define ACME "{tenant=\"acme\",provider=\"openai\",model=\"gpt-4o\""

static void workers_and_workloads_are_merged(void **state) {
    (void)state;
    for (unsigned w = 0; w < WORKERS; w++) {
        count(w, record_of("acme", "openai", "gpt-4o", "support"));
        count(w, record_of("acme", "openai", "gpt-4o", "batch"));
    }
    struct record *refused = record_of("acme", "openai", "gpt-4o", "batch"); /* an outcome only one group has */
    refused->status = 429, refused->error = FAILURE_RATE_LIMITED;
    refused->cost_pico_usd = COST_UNKNOWN, refused->usage = (struct usage){0};
    count(2, refused);
    count(1, record_of("beta", "openai", "gpt-4o", "support"));
    page_write();
    expect("weir_requests_total" ACME ",status=\"200\",error=\"\"}", "6");
    expect("weir_requests_total" ACME ",status=\"429\",error=\"rate_limited\"}", "1");
    assert_int_equal(family_sum("weir_requests_total"), 8);
    expect("weir_tokens_total" ACME ",type=\"input\"}", "11040");
    expect("weir_tokens_total" ACME ",type=\"output\"}", "984");
    expect("weir_tokens_total" ACME ",type=\"cache_read\"}", "6144");
    expect("weir_tokens_total" ACME ",type=\"cache_write\"}", "72");
    expect("weir_tokens_total" ACME ",type=\"reasoning\"}", "384");
    expect("weir_cost_usd_total" ACME "}", "0.001785600000");
    expect("weir_total_seconds_count" ACME ",workload=\"support\"}", "3");
    expect("weir_total_seconds_count" ACME ",workload=\"batch\"}", "4");
    expect("weir_total_seconds_sum" ACME ",workload=\"support\"}", "3.390001251");
    expect("weir_phase_seconds_count{phase=\"loop\",provider=\"openai\",model=\"gpt-4o\"}", "8");
    expect("weir_phase_seconds_sum{phase=\"admit\",provider=\"openai\",model=\"gpt-4o\"}", "0.008000008");
    assert_null(
        value_of("weir_phase_seconds_count{phase=\"receive\",provider=\"openai\",model=\"gpt-4o\"}")); /* 0 ns */
}

static void buckets_hold_what_is_at_most_their_edge(void **state) {
    (void)state;
    const uint64_t ms = UINT64_C(1) << 20, long_ns = UINT64_C(1) << 39;
    const uint64_t totals[] = {1, ms, ms + 1, 1482910, 1482911, 2 * ms, 2 * ms + 1, long_ns, long_ns + 1};
    for (size_t i = 0; i < sizeof totals / sizeof totals[0]; i++) {
        struct record *r = record_of("acme", "openai", "gpt-4o", "chat");
        r->total_ns = totals[i];
        memset(r->phase_ns, 0, sizeof r->phase_ns);
        r->ttft_ns = TIME_UNKNOWN_NS; /* not measured is not in any bucket */
        count((unsigned)i % WORKERS, r);
    }
    page_write();
#define TOTAL "weir_total_seconds_bucket" ACME ",workload=\"chat\",le="
    expect(TOTAL "\"0.001048576\"}", "2");
    expect(TOTAL "\"0.001482910\"}", "4"); /* half an octave on: the largest whole number of that bucket */
    expect(TOTAL "\"0.002097152\"}", "6");
    expect(TOTAL "\"549.755813888\"}", "8");
    expect(TOTAL "\"+Inf\"}", "9");
    assert_null(value_of("weir_ttft_seconds_count" ACME ",workload=\"chat\"}"));
}

#define GENAI(op) "{gen_ai_operation_name=\"" op "\",gen_ai_provider_name=\"gcp.gemini\",gen_ai_request_model=\"g\""

static void gaps_are_counted_while_an_answer_streams(void **state) {
    (void)state;
    const struct traffic_key key = {name_id(SLICE("acme")), name_id(SLICE("openai")), name_id(SLICE("gpt-4o")),
                                    NAME_NONE};
    struct traffic_group *g = traffic_enter(traffics[0], &key, name_id(SLICE("chat")));
    for (int i = 0; i < 3; i++) traffic_gap(g, i == 0 ? 0 : UINT64_C(1) << (24 + i), 1);
    traffic_leave(g);
    page_write();
    expect("weir_gap_seconds_count" ACME ",workload=\"\"}", "3");
    expect("weir_gap_seconds_bucket" ACME ",workload=\"\",le=\"0.000131072\"}", "1");
    expect("weir_gap_seconds_bucket" ACME ",workload=\"\",le=\"0.033554432\"}", "2");
    expect("gen_ai_client_inference_time_per_output_chunk_seconds_count{gen_ai_operation_name=\"chat\","
           "gen_ai_provider_name=\"openai\",gen_ai_request_model=\"gpt-4o\"}",
           "3");
    assert_int_equal(family_sum("weir_requests_total"), 0);
}

static void opentelemetrys_names_stand_beside(void **state) {
    (void)state;
    static const char *const operations[] = {"chat", "responses", "embeddings", "chat"};
    for (unsigned i = 0; i < 4; i++) {
        struct record *r = record_of(i == 3 ? "beta" : "acme", "gemini", "g", "");
        r->operation = name_id(slice_of(operations[i]));
        r->usage = (struct usage){.input = 64, .output = 65, .cache_read = 3};
        count(i % WORKERS, r);
    }
    struct record *refused = record_of("acme", "", "", ""); /* never asked a provider */
    refused->attempts = 0;
    count(0, refused);
    page_write();
    /* the Responses API is a chat in their words, and the tenant is none of theirs */
    expect("gen_ai_client_inference_duration_seconds_count" GENAI("chat") "}", "3");
    expect("gen_ai_client_inference_time_to_first_chunk_seconds_count" GENAI("chat") "}", "3");
    expect("gen_ai_client_operation_duration_seconds_count" GENAI("embeddings") "}", "1");
    assert_int_equal(family_sum("gen_ai_client_inference_duration_seconds_count"), 3);
    expect("gen_ai_client_inference_usage_input_tokens_total" GENAI("chat") ",gen_ai_token_modality=\"unknown\"}",
           "192");
    expect("gen_ai_client_inference_usage_cache_read_input_tokens_total" GENAI(
               "chat") ",gen_ai_token_modality=\"unknown\"}",
           "9");
    expect("gen_ai_client_inference_operation_input_tokens_bucket" GENAI("chat") ",le=\"64\"}", "3");
    expect("gen_ai_client_inference_operation_input_tokens_bucket" GENAI("chat") ",le=\"16\"}", "0");
    expect("gen_ai_client_inference_operation_output_tokens_bucket" GENAI("chat") ",le=\"64\"}", "0");
    expect("gen_ai_client_inference_operation_output_tokens_bucket" GENAI("chat") ",le=\"256\"}", "3");
    expect("gen_ai_client_inference_operation_output_tokens_sum" GENAI("chat") "}", "195");
}

static void openmetrics_has_exemplars_in_the_buckets_they_are_of(void **state) {
    (void)state;
    exemplars = exemplars_new();
    for (int i = 0; i < 3; i++) { /* two of one bucket: the newer one is shown */
        struct record *r = record_of("acme", "openai", "gpt-4o", "chat");
        r->trace_id[0] = (uint8_t)(0xa0 + i);
        r->start_unix_ns += i;
        r->total_ns = i == 2 ? UINT64_C(1) << 40 : (UINT64_C(1) << 30) - (uint64_t)i;
        exemplars_add(exemplars, r);
        count(0, r);
    }
    page_write_as(METRICS_OPENMETRICS);
    buf_append(&page, "", 1);
    const char *got = page.data + page.start;
    assert_string_equal(got + strlen(got) - 6, "# EOF\n");
    assert_non_null(strstr(got, "# TYPE weir_requests counter\n"));
    assert_non_null(strstr(got, "\nweir_requests_total{"));
    assert_non_null(strstr(got, "# UNIT weir_ttft_seconds seconds\n"));
    assert_non_null(strstr(got,
                           TOTAL "\"1.073741824\"} 2 # {trace_id=\"a11e2d3c4b5a69788796a5b4c3d2e1f0\"} 1.073741823 "
                                 "1795342528.563\n"));
    assert_non_null(strstr(got, TOTAL "\"0.759250124\"} 0\n"));
    assert_non_null(strstr(got, TOTAL "\"1.518500249\"} 2\n")); /* … and in no other bucket */
    assert_non_null(strstr(got, TOTAL "\"+Inf\"} 3 # {trace_id=\"a21e"));
    assert_non_null(strstr(got, "weir_phase_seconds_bucket{phase=\"wait\""));
    page_write_as(METRICS_TEXT);
    assert_null(memmem(page.data + page.start, page.end - page.start, "trace_id", 8));
}

static void loop_lag_is_of_all_workers(void **state) {
    (void)state;
    for (int i = 0; i < WORKERS; i++)
        for (int j = 0; j <= i; j++) histogram_add(&lags[i], 5000);
    page_write();
    expect("weir_loop_lag_seconds_count{loop=\"worker\"}", "6");
    expect("weir_loop_lag_seconds_sum{loop=\"worker\"}", "0.000030000");
}

static void no_name_breaks_out_of_its_label(void **state) {
    (void)state;
    count(0, record_of("a\"} 1\nforged{x=\"", "b\\", "c\n\xff\xc3\xa9\xe2\x82", "d\"\\\""));
    page_write();
    assert_int_equal(family_sum("weir_requests_total"), 1);
    expect("weir_requests_total{tenant=\"a\\\"} 1\\nforged{x=\\\"\",provider=\"b\\\\\","
           "model=\"c\\n\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\",status=\"200\",error=\"\"}",
           "1");
}

static void every_outcome_is_counted_however_many_there_are(void **state) {
    (void)state;
    for (unsigned status = 400; status < 600; status++) { /* a provider may answer anything */
        struct record *r = record_of("acme", "openai", "gpt-4o", status % 2 ? "odd" : "even");
        r->status = (uint16_t)status, r->error = FAILURE_PROVIDER_REJECTED;
        count(status % WORKERS, r);
    }
    page_write();
    assert_int_equal(family_sum("weir_requests_total"), 200);
    assert_int_equal(family_sum("weir_total_seconds_count"), 200);
}

static void a_full_table_keeps_every_count_on_a_page_of_bounded_size(void **state) {
    (void)state;
    enum { MODELS = TRAFFIC_DETAIL_MAX + 100 };
    char model[32];
    for (int i = 0; i < MODELS; i++) {
        snprintf(model, sizeof model, "model-%d", i);
        struct record *r = record_of("acme", "openai", model, "chat");
        r->operation = name_id(SLICE("chat"));
        count(0, r);
    }
    page_write();
    assert_int_equal(family_sum("weir_requests_total"), MODELS);
    assert_int_equal(family_sum("weir_total_seconds_count"), MODELS);
    assert_int_equal(family_sum("gen_ai_client_inference_duration_seconds_count") +
                         family_sum("gen_ai_client_operation_duration_seconds_count"), /* of `_other` operation */
                     MODELS);
    const char *others = value_of(
        "weir_requests_total{tenant=\"_other\",provider=\"_other\",model=\"_other\",status=\"200\",error=\"\"}");
    assert_non_null(others);
    assert_in_range(whole(others), MODELS - 1100, MODELS - 999); /* 999 have a series of their own */
    assert_in_range(page.end, 1 << 20, 16 << 20);
}

static void a_series_stays_the_same_whatever_comes_later(void **state) {
    (void)state;
    char model[32];
    for (int i = 0; i < 1200; i++) {
        snprintf(model, sizeof model, "early-%d", i);
        count(1, record_of("acme", "openai", model, "chat"));
    }
    page_write();
#define OTHER "weir_requests_total{tenant=\"_other\",provider=\"_other\",model=\"_other\",status=\"200\",error=\"\"}"
    expect(OTHER, "201");
    for (int i = 0; i < 300; i++) { /* on another worker, which is read first */
        snprintf(model, sizeof model, "late-%d", i);
        count(0, record_of("acme", "openai", model, "chat"));
    }
    page_write();
    expect(OTHER, "501");
}

static void refusals_are_told_by_tenant_and_limit(void **state) {
    (void)state;
    struct config_limits limits = {.limit = {.requests_per_minute = 1}};
    const struct tenant acme = {.name = SLICE("acme\"}"), .limits = &limits};
    struct limit_request want = {0};
    struct limit_refusal why;
    struct reservation hold;
    limiter = limiter_new();
    for (int i = 0; i < 4; i++) limiter_take(limiter, &acme, SLICE(""), 1, 1, &want, &hold, &why);
    page_write();
    limiter_free(limiter);
    limiter = NULL;
    expect("weir_limit_refusals_total{tenant=\"acme\\\"}\",limit=\"requests_per_minute\"}", "3");
    assert_int_equal(family_sum("weir_limit_refusals_total"), 3);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(those_that_wait_are_summed_over_all_workers),
        TEST(a_page_without_traffic_has_every_family),
        TEST(workers_and_workloads_are_merged),
        TEST(buckets_hold_what_is_at_most_their_edge),
        TEST(loop_lag_is_of_all_workers),
        TEST(no_name_breaks_out_of_its_label),
        TEST(every_outcome_is_counted_however_many_there_are),
        TEST(a_full_table_keeps_every_count_on_a_page_of_bounded_size),
        TEST(refusals_are_told_by_tenant_and_limit),
        TEST(gaps_are_counted_while_an_answer_streams),
        TEST(opentelemetrys_names_stand_beside),
        TEST(openmetrics_has_exemplars_in_the_buckets_they_are_of),
        TEST(a_series_stays_the_same_whatever_comes_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
