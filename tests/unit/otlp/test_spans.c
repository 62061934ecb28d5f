/* A record laid out in time: whatever its phases, the spans fill it exactly, children stay within their parents, and no
 * text is too long. Decoding by the real packages is tests/e2e/test_otlp.py's. */
#include "records.h"

#include "base/random.h"
#include "spans.h"

static struct places *places_from(const char *providers) {
    struct conf_errors errors = {0};
    struct config *c = config_load_text("t", slice_of(providers), &errors, NULL);
    assert_non_null(c);
    struct places *p = places_new(c);
    conf_errors_clear(&errors);
    config_free(c);
    return p;
}

static struct places *usual_places(void) {
    return places_from("providers:\n  openai: {dialect: openai, base_url: \"https://api.openai.com/v1\", api_key: k}\n"
                       "  azure: {dialect: openai, base_url: \"https://me.openai.azure.com:8443/openai\", api_key: k}\n"
                       "  local: {dialect: openai, base_url: \"http://[::1]:11434/v1\", auth: none}\n"
                       "  google: {dialect: gemini, base_url: \"http://10.0.0.1\", api_key: k}\n");
}

static const struct place *place_named(const struct places *p, const char *name) {
    return places_find(p, name_id(slice_of(name)));
}

static void providers_are_called_by_the_conventions(void **state) {
    (void)state;
    static const struct {
        const char *name, *system, *host, *origin;
        uint64_t port;
    } rows[] = {{"openai", "openai", "api.openai.com", "https://api.openai.com", 443},
                {"azure", "azure.ai.openai", "me.openai.azure.com", "https://me.openai.azure.com:8443", 8443},
                {"local", "local", "::1", "http://[::1]:11434", 11434},
                {"google", "gcp.gemini", "10.0.0.1", "http://10.0.0.1", 80}};
    struct places *all = usual_places();
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct place *p = place_named(all, rows[i].name);
        assert_true(slice_equal(p->system, slice_of(rows[i].system)));
        assert_true(slice_equal(p->host, slice_of(rows[i].host)));
        assert_true(slice_equal(p->origin, slice_of(rows[i].origin)));
        assert_int_equal(p->port, rows[i].port);
    }
    assert_null(place_named(all, "elsewhere"));
    assert_null(places_find(all, NAME_NONE));
    places_free(all);
}

static void paths_become_routes_and_urls(void **state) {
    (void)state;
    static const struct {
        const char *provider, *operation, *path, *route, *url;
    } rows[] = {
        {"openai", "chat", "/v1/chat/completions", "/v1/chat/completions",
         "https://api.openai.com/v1/chat/completions"},
        {"google", "generate_content", "/v1beta/models/gemini-x:generateContent",
         "/v1beta/models/{model}:generateContent", "http://10.0.0.1/v1beta/models/gpt-4o-mini:generateContent"},
        {"openai", "passthrough", "/openai/v1/files/f-1", "/openai/*", "https://api.openai.com/v1/files/f-1"},
        {"gone", "chat", "/v1/chat/completions", "/v1/chat/completions", ""},
        {"openai", "", "/v1/nothing", "", "https://api.openai.com/v1/nothing"},
    };
    struct places *all = usual_places();
    struct view *v = mem_zalloc(sizeof *v);
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        const struct slice texts[RECORD_TEXT_COUNT] = {[RECORD_TEXT_METHOD] = SLICE("POST"),
                                                       [RECORD_TEXT_PATH] = slice_of(rows[i].path),
                                                       [RECORD_TEXT_OPERATION] = slice_of(rows[i].operation)};
        struct record *r = record_with(texts);
        r->attempts = 1;
        r->provider = name_id(slice_of(rows[i].provider));
        r->model = name_id(SLICE("gpt-4o-mini"));
        view_make(v, r, all);
        if (!slice_equal(v->route, slice_of(rows[i].route)))
            fail_msg("%s: %.*s", rows[i].path, (int)v->route.n, v->route.p);
        struct slice url = view_url(v, &v->attempts[0]);
        if (!slice_equal(url, slice_of(rows[i].url))) fail_msg("%s: %.*s", rows[i].path, (int)url.n, url.p);
        mem_free(r);
    }
    mem_free(v);
    places_free(all);
}

/* ---- random records ---- */

static struct record *record_random(void) {
    static char long_text[UINT16_MAX];
    struct slice texts[RECORD_TEXT_COUNT];
    memset(long_text, 0xe4, sizeof long_text); /* no UTF-8, too */
    for (int i = 0; i < RECORD_TEXT_COUNT; i++) texts[i] = (struct slice){long_text, random_u64() % 3 ? 10 : 1024};
    texts[RECORD_TEXT_OPERATION] = random_u64() % 2 ? SLICE("chat") : SLICE("passthrough");
    texts[RECORD_TEXT_TAGS] = SLICE("a\0b\0c\0");
    unsigned given_up = random_u64() % (RECORD_GIVEN_UP_MAX + 1);
    struct record *plain = record_with(texts);
    struct record *r = mem_zalloc(plain->size_bytes + 8 + given_up * sizeof(struct record_attempt));
    memcpy(r, plain, plain->size_bytes);
    mem_free(plain);
    r->trace_flags = 1, r->span_id[0] = 1, r->trace_id[0] = 1;
    r->provider = name_id(SLICE("openai"));
    r->ttft_ns = r->tpot_ns = TIME_UNKNOWN_NS;
    for (int i = 0; i < PHASE_COUNT; i++) r->total_ns += r->phase_ns[i] = random_u64() % 3 * (random_u64() % 1000000);
    r->attempts = (uint16_t)(random_u64() % 4 ? given_up + 1 : 0);
    r->given_up_count = (uint16_t)given_up;
    struct record_attempt *a = (struct record_attempt *)(uintptr_t)record_given_up(r);
    for (unsigned i = 0; i < given_up; i++) {
        a[i] = (struct record_attempt){.n = (uint16_t)(i + 1), .from_ns = random_u64() % 3000000};
        for (int p = 0; p < PHASE_COUNT; p++) a[i].phase_ns[p] = random_u64() % 300000;
    }
    return r;
}

static void expect_within(struct span_time inner, struct span_time outer) {
    assert_true(inner.from_ns <= inner.to_ns);
    if (inner.from_ns == inner.to_ns) return;
    assert_true(outer.from_ns <= inner.from_ns && inner.to_ns <= outer.to_ns);
}

static void attempt_expect(const struct view *v, const struct view_attempt *a) {
    expect_within(a->time, v->inference);
    for (int i = 0; i < PHASE_COUNT; i++) expect_within(a->phases[i], a->time);
}

static void spans_fill_the_exchange_and_stay_within_it(void **state) {
    (void)state;
    struct places *all = usual_places();
    struct view *v = mem_zalloc(sizeof *v);
    struct buf out = {0};
    for (int round = 0; round < 3000; round++) {
        struct record *r = record_random();
        uint64_t sum = 0, end = 0;
        view_make(v, r, all);
        for (int i = 0; i < PHASE_COUNT; i++) {
            struct span_time t = v->phases[i];
            if (t.to_ns == t.from_ns && r->attempts > 0) t = v->attempts[0].phases[i];
            sum += t.to_ns - t.from_ns;
            if (t.to_ns > end) end = t.to_ns;
        }
        assert_int_equal(sum, r->total_ns);
        assert_int_equal(end, r->total_ns);
        for (unsigned i = 0; i < v->attempt_count; i++) attempt_expect(v, &v->attempts[i]);
        out.start = out.end = 0;
        assert_true(spans_put(&out, v, round % 2 ? SEMCONV_OPENINFERENCE : SEMCONV_LANGFUSE) > 0);
        assert_true(v->scratch_used <= VIEW_SCRATCH_BYTES);
        mem_free(r);
    }
    buf_clear(&out);
    mem_free(v);
    places_free(all);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(providers_are_called_by_the_conventions),
        cmocka_unit_test(paths_become_routes_and_urls),
        cmocka_unit_test(spans_fill_the_exchange_and_stay_within_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
