/* The tables say what is promised to clients, and a record's texts are found. The lists here are written out on
 * purpose: a name, a status or a source that changes by accident must fail. */
#include "unit.h"

#include <string.h>

#include "base/mem.h"
#include "facts/dialect.h"
#include "facts/record.h"
#include "facts/span_ids.h"

/* Every error that is documented (docs/api.md), in no particular order. */
static const struct {
    const char *name;
    enum error_source source;
    unsigned status;
    bool retried;
} documented[] = {
    {"bad_request", SOURCE_CLIENT, 400, false},
    {"bad_request", SOURCE_CLIENT, 417, false}, /* an expectation other than 100-continue */
    {"bad_json", SOURCE_CLIENT, 400, false},
    {"conflicting_keys", SOURCE_CLIENT, 400, false},
    {"no_model", SOURCE_CLIENT, 400, false},
    {"bad_weir_header", SOURCE_CLIENT, 400, false},
    {"not_found", SOURCE_CLIENT, 404, false},
    {"method_not_allowed", SOURCE_CLIENT, 405, false},
    {"receive_timeout", SOURCE_CLIENT, 408, false},
    {"body_too_large", SOURCE_CLIENT, 413, false},
    {"uri_too_long", SOURCE_CLIENT, 414, false},
    {"unsupported_encoding", SOURCE_CLIENT, 415, false},
    {"head_too_large", SOURCE_CLIENT, 431, false},
    {"upgrade_refused", SOURCE_CLIENT, 501, false},
    {"client_gone", SOURCE_CLIENT, 499, false},
    {"client_stalled", SOURCE_CLIENT, 499, false},
    {"no_key", SOURCE_POLICY, 401, false},
    {"unknown_key", SOURCE_POLICY, 401, false},
    {"expired_key", SOURCE_POLICY, 401, false},
    {"tenant_disabled", SOURCE_POLICY, 403, false},
    {"path_not_allowed", SOURCE_POLICY, 403, false},
    {"model_not_allowed", SOURCE_POLICY, 404, false},
    {"unknown_model", SOURCE_POLICY, 404, false},
    {"limit_exceeded", SOURCE_POLICY, 429, false},
    {"never_fits", SOURCE_POLICY, 400, false},
    {"limiter_down", SOURCE_POLICY, 503, false},
    {"dns_failed", SOURCE_PROVIDER, 502, true},
    {"connect_failed", SOURCE_PROVIDER, 502, true},
    {"connect_timeout", SOURCE_PROVIDER, 504, true},
    {"tls_failed", SOURCE_PROVIDER, 502, true},
    {"send_timeout", SOURCE_PROVIDER, 504, false},
    {"first_token_timeout", SOURCE_PROVIDER, 504, true},
    {"idle_timeout", SOURCE_PROVIDER, 504, false},
    {"total_timeout", SOURCE_PROVIDER, 504, false},
    {"reset", SOURCE_PROVIDER, 502, true},
    {"truncated", SOURCE_PROVIDER, 502, false},
    {"bad_response", SOURCE_PROVIDER, 502, true},
    {"provider_auth", SOURCE_PROVIDER, 502, false},
    {"no_target", SOURCE_PROVIDER, 503, false},
    {"rate_limited", SOURCE_PROVIDER, 429, true},
    {"overloaded", SOURCE_PROVIDER, 503, true},
    {"provider_error", SOURCE_PROVIDER, 502, true},
    {"provider_rejected", SOURCE_PROVIDER, 400, false},
    {"stream_error", SOURCE_PROVIDER, 200, false},
    {"wrong_dialect", SOURCE_PROVIDER, 502, false},
    {"queue_full", SOURCE_GATEWAY, 503, false},
    {"queue_timeout", SOURCE_GATEWAY, 503, false},
    {"too_busy", SOURCE_GATEWAY, 503, false},
    {"draining", SOURCE_GATEWAY, 503, false},
    {"internal", SOURCE_GATEWAY, 500, false},
};
enum { DOCUMENTED = sizeof documented / sizeof documented[0] };

static void every_documented_failure_is_there_and_no_other(void **state) {
    (void)state;
    assert_int_equal(FAILURE_COUNT - 1, DOCUMENTED);
    for (int f = FAILURE_NONE + 1; f < FAILURE_COUNT; f++) {
        const struct failure_row *row = failure_row((enum failure)f);
        int same = 0;
        for (int i = 0; i < DOCUMENTED; i++)
            same += strcmp(row->name, documented[i].name) == 0 && row->source == documented[i].source &&
                    row->status == documented[i].status && row->retried == documented[i].retried;
        if (same != 1) fail_msg("%s %u is not as documented", row->name, row->status);
    }
}

static void no_failure_is_no_error(void **state) {
    (void)state;
    const struct failure_row *row = failure_row(FAILURE_NONE);
    assert_null(row->name);
    assert_int_equal(row->source, SOURCE_NONE);
    assert_false(row->retried);
    assert_null(error_source_name(SOURCE_NONE));
}

/* The text goes to clients inside JSON and must give away nothing: no path, number, address or product. */
static void failure_texts_are_short_and_plain(void **state) {
    (void)state;
    for (int f = FAILURE_NONE + 1; f < FAILURE_COUNT; f++) {
        const char *text = failure_row((enum failure)f)->text;
        assert_in_range(strlen(text), 8, 80);
        for (const char *c = text; *c; c++) {
            bool fine = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || strchr(" '-*,", *c) != NULL;
            if (!fine && strstr(text, "100-continue") == NULL) fail_msg("%s", text);
        }
    }
}

static void sources_are_named(void **state) {
    (void)state;
    assert_string_equal(error_source_name(SOURCE_CLIENT), "client");
    assert_string_equal(error_source_name(SOURCE_POLICY), "policy");
    assert_string_equal(error_source_name(SOURCE_PROVIDER), "provider");
    assert_string_equal(error_source_name(SOURCE_GATEWAY), "gateway");
}

static void phases_belong_to_their_layers(void **state) {
    (void)state;
    static const char *const expected[][2] = {{"receive", "network"},   {"admit", "gateway"}, {"queue", "gateway"},
                                              {"retry", "provider"},    {"dns", "network"},   {"connect", "network"},
                                              {"tls", "network"},       {"send", "network"},  {"wait", "provider"},
                                              {"generate", "provider"}, {"drain", "network"}, {"loop", "gateway"}};
    assert_int_equal(PHASE_COUNT, sizeof expected / sizeof expected[0]);
    for (int i = 0; i < PHASE_COUNT; i++) {
        assert_string_equal(phase_name((enum phase)i), expected[i][0]);
        assert_string_equal(layer_name(phase_layer((enum phase)i)), expected[i][1]);
    }
}

static void layers_are_twelve(void **state) {
    (void)state;
    static const char *const expected[] = {"ui",   "app",       "agent",   "retrieval", "embedding", "memory",
                                           "tool", "guardrail", "gateway", "network",   "provider",  "other"};
    assert_int_equal(LAYER_COUNT, sizeof expected / sizeof expected[0]);
    for (int i = 0; i < LAYER_COUNT; i++) assert_string_equal(layer_name((enum layer)i), expected[i]);
}

static void credentials_travel_where_each_provider_expects_them(void **state) {
    (void)state;
    static const char *const dialects[][2] = {
        {"openai", "authorization"}, {"anthropic", "x-api-key"}, {"gemini", "x-goog-api-key"}};
    static const char *const auths[][2] = {{"bearer", "authorization"},
                                           {"x-api-key", "x-api-key"},
                                           {"api-key", "api-key"},
                                           {"x-goog-api-key", "x-goog-api-key"}};
    assert_int_equal(DIALECT_COUNT, 3);
    for (int i = 0; i < DIALECT_COUNT; i++) {
        assert_string_equal(dialect_name((enum dialect)i), dialects[i][0]);
        assert_string_equal(auth_header(dialect_default_auth((enum dialect)i)), dialects[i][1]);
    }
    assert_int_equal(AUTH_COUNT, 5);
    for (int i = 0; i < AUTH_NONE; i++) {
        assert_string_equal(auth_name((enum auth)i), auths[i][0]);
        assert_string_equal(auth_header((enum auth)i), auths[i][1]);
    }
    assert_string_equal(auth_name(AUTH_NONE), "none");
    assert_null(auth_header(AUTH_NONE));
}

static void each_text_of_a_record_is_its_own(void **state) {
    (void)state;
    struct record *r = mem_zalloc(sizeof *r + 4096);
    char *at = r->text;
    for (int i = 0; i < RECORD_TEXT_COUNT; i++) {
        r->text_bytes[i] =
            (uint16_t)(i % 3 == 1 ? 0 : 10 + i); /* some are empty, the second and the last but one too */
        memset(at, 'a' + i, r->text_bytes[i]);
        at += r->text_bytes[i];
    }
    for (int i = 0; i < RECORD_TEXT_COUNT; i++) {
        struct slice s = record_text(r, (enum record_text)i);
        assert_int_equal(s.n, i % 3 == 1 ? 0 : 10 + i);
        for (size_t j = 0; j < s.n; j++) assert_int_equal(s.p[j], 'a' + i);
    }
    mem_free(r);
}

static void a_text_as_long_as_can_be_does_not_hide_the_next(void **state) {
    (void)state;
    struct record *r = mem_zalloc(sizeof *r + 2 * UINT16_MAX + 3);
    r->text_bytes[RECORD_TEXT_METHOD] = r->text_bytes[RECORD_TEXT_PATH] = UINT16_MAX;
    r->text_bytes[RECORD_TEXT_LIMIT] = 3;
    memcpy(r->text + 2 * UINT16_MAX, "rpm", 3);
    assert_true(slice_equal(record_text(r, RECORD_TEXT_LIMIT), SLICE("rpm")));
    mem_free(r);
}

static void attempts_stand_behind_texts_of_any_length(void **state) {
    (void)state;
    for (uint16_t n = 0; n < 20; n++) {
        struct record *r = mem_zalloc(sizeof *r + 64 + 2 * sizeof(struct record_attempt));
        r->text_bytes[RECORD_TEXT_PATH] = n;
        memset(r->text, 'x', n);
        const struct record_attempt *a = record_given_up(r);
        assert_int_equal((uintptr_t)a % 8, 0);
        assert_in_range((const char *)a - r->text, n, n + 15);
        assert_int_equal(record_text_bytes(r), n);
        mem_free(r);
    }
}

static void ids_of_spans_below_are_their_own_and_always_the_same(void **state) {
    (void)state;
    enum { ATTEMPTS = 20, IDS = ATTEMPTS + ATTEMPTS * PHASE_COUNT };
    static uint8_t ids[IDS + 2][8]; /* the last two: none, and the exchange's own */
    const uint8_t exchanges[][8] = {{0}, {1, 2, 3, 4, 5, 6, 7, 8}, {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
    for (size_t e = 0; e < sizeof exchanges / sizeof *exchanges; e++) {
        memcpy(ids[IDS + 1], exchanges[e], 8);
        for (uint32_t i = 0; i < IDS; i++) {
            uint8_t again[8];
            uint32_t which = i < ATTEMPTS ? SPAN_ATTEMPT(i) : SPAN_PHASE(0, i - ATTEMPTS);
            span_id_below(exchanges[e], which, ids[i]);
            span_id_below(exchanges[e], which, again);
            assert_memory_equal(ids[i], again, 8);
        }
        for (int i = 0; i < IDS; i++)
            for (int j = i + 1; j < IDS + 2; j++) assert_memory_not_equal(ids[i], ids[j], 8);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_documented_failure_is_there_and_no_other),
        cmocka_unit_test(no_failure_is_no_error),
        cmocka_unit_test(failure_texts_are_short_and_plain),
        cmocka_unit_test(sources_are_named),
        cmocka_unit_test(phases_belong_to_their_layers),
        cmocka_unit_test(layers_are_twelve),
        cmocka_unit_test(credentials_travel_where_each_provider_expects_them),
        cmocka_unit_test(each_text_of_a_record_is_its_own),
        cmocka_unit_test(attempts_stand_behind_texts_of_any_length),
        cmocka_unit_test(ids_of_spans_below_are_their_own_and_always_the_same),
        cmocka_unit_test(a_text_as_long_as_can_be_does_not_hide_the_next),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
