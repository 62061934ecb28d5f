/* A line of the access log: every member there with the right type and the exact digits, one valid line of JSON
 * whatever clients and providers put into the texts. */
#include "records.h"

#include <stdio.h>

#include <jansson.h>

#include "base/random.h"
#include "recorder/access_log.h"

static struct buf line;

static json_t *line_of(const struct record *r) {
    json_error_t error;
    buf_clear(&line);
    access_log_line(&line, r, SLICE("gw-1"));
    struct slice text = buf_slice(&line);
    assert_int_equal(text.p[text.n - 1], '\n');
    assert_null(memchr(text.p, '\n', text.n - 1));
    for (size_t i = 0; i + 1 < text.n; i++) assert_false((uint8_t)text.p[i] < 0x20 || text.p[i] == 0x7f);
    /* As reals: jansson's integers end at 2^63, JSON's do not. */
    const size_t flags = JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL | JSON_DECODE_INT_AS_REAL;
    json_t *json = json_loadb(text.p, text.n, flags, &error);
    if (json == NULL) fail_msg("%s: %.*s", error.text, (int)text.n, text.p);
    assert_true(json_is_object(json));
    return json;
}

/* The member's bytes as they stand there: numbers must be exact, not only equal as doubles. */
static void expect_raw(const char *member, const char *expected) {
    char wanted[256];
    int n = snprintf(wanted, sizeof wanted, "\"%s\":%s", member, expected);
    const char *at = memmem(line.data, buf_length(&line), wanted, (size_t)n);
    if (at == NULL || strchr(",}", at[n]) == NULL) fail_msg("no %s in %.*s", wanted, (int)buf_length(&line), line.data);
}

/* One row for each documented member: its type is the kind of value a usual record gives it. */
static const struct {
    const char *name, *value; /* the exact text of a usual record's value; NULL: an object, looked at elsewhere */
    bool nullable;            /* null for a record that knows nothing */
} members[] = {
    {"time", "\"2026-11-22T10:15:28.563402Z\"", false},
    {"replica", "\"gw-1\"", false},
    {"trace_id", "\"0f1e2d3c4b5a69788796a5b4c3d2e1f0\"", true},
    {"span_id", "\"f0f1f2f3f4f5f6f7\"", true},
    {"parent_id", "\"08090a0b0c0d0e0f\"", true},
    {"tenant", "\"acme\"", true},
    {"key_id", "\"ci\"", true},
    {"tags", NULL, false},
    {"session", "\"s-17\"", true},
    {"workload", "\"support\"", true},
    {"release", "\"web-418\"", true},
    {"method", "\"POST\"", true},
    {"path", "\"/v1/chat/completions\"", true},
    {"operation", "\"chat\"", true},
    {"provider", "\"openai\"", true},
    {"model_requested", "\"fast\"", true},
    {"model", "\"gpt-4o-mini-2024-07-18\"", true},
    {"stream", "true", false},
    {"status", "429", false},
    {"error", "\"rate_limited\"", true},
    {"error_source", "\"provider\"", true},
    {"limit", "\"requests_per_minute\"", true},
    {"attempts", "2", false},
    {"cache", "\"off\"", false},
    {"finish_reason", "\"stop\"", true},
    {"input_tokens", "1840", false},
    {"output_tokens", "164", false},
    {"cache_read_tokens", "1024", false},
    {"cache_write_tokens", "12", false},
    {"reasoning_tokens", "64", false},
    {"tokens_estimated", "true", false},
    {"cost_usd", "0.0002976", true},
    {"waste_usd", "0.000000000001", false},
    {"total_ms", "1130.000417", false},
    {"ttft_ms", "311.698002", true},
    {"first_visible_ms", "311.698003", true},
    {"tpot_ms", "4.991411", true},
    {"chunks", "166", false},
    {"gap_max_ms", "48.2", false},
    {"phases", NULL, false},
    {"limiter_ms", "0.37", true},
    {"tls_in_ms", "1.000001", true},
    {"settle_ms", "0.000019", false},
    {"overhead_ms", "14.000014", false}, /* admit + queue + loop */
    {"cpu_ms", "0.031207", false},
    {"provider_ms", "290", true},
    {"rtt_ms", NULL, false},
    {"in_flight", "301", false},
    {"request_bytes", "7311", false},
    {"response_bytes", "41877", false},
    {"connection_reused", "true", false},
    {"client", "\"10.1.2.3\"", true},
    {"user_agent", "\"OpenAI/Python 2.8.1\"", true},
    {"provider_request_id", "\"req_7c1e\"", true},
};
enum { MEMBERS = sizeof members / sizeof members[0] };

static const char *const phases[] = {"receive_ms", "admit_ms", "queue_ms",    "dns_ms",   "connect_ms", "tls_ms",
                                     "send_ms",    "wait_ms",  "generate_ms", "drain_ms", "retry_ms",   "loop_ms"};

static void every_member_is_there_in_order_and_exact(void **state) {
    (void)state;
    struct record *r = record_usual();
    json_t *json = line_of(r);
    assert_int_equal(json_object_size(json), MEMBERS);
    size_t i = 0;
    for (void *at = json_object_iter(json); at != NULL; at = json_object_iter_next(json, at), i++) {
        assert_string_equal(json_object_iter_key(at), members[i].name);
        if (members[i].value != NULL) expect_raw(members[i].name, members[i].value);
    }
    expect_raw("rtt_ms", "{\"client\":1.9,\"provider\":11.812}");
    json_decref(json);
    mem_free(r);
}

static void phases_are_twelve_and_sum_to_what_they_were(void **state) {
    (void)state;
    struct record *r = record_usual();
    json_t *json = line_of(r), *object = json_object_get(json, "phases");
    assert_int_equal(json_object_size(object), PHASE_COUNT);
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++)
        assert_true(json_is_number(json_object_get(object, phases[i])));
    for (int i = 0; i < PHASE_COUNT; i++) {
        char name[32], value[32];
        snprintf(name, sizeof name, "%s_ms", phase_name((enum phase)i));
        snprintf(value, sizeof value, i == 0 ? "0" : "%d.%06d", i, i);
        char *end = value + strlen(value);
        while (i > 0 && end[-1] == '0') *--end = '\0';
        expect_raw(name, value);
    }
    json_decref(json);
    mem_free(r);
}

static struct record *record_unknowing(void) {
    static const struct slice none[RECORD_TEXT_COUNT];
    struct record *r = record_with(none);
    r->ttft_ns = r->first_visible_ns = r->tpot_ns = r->limiter_ns = r->tls_in_ns = r->provider_ns = TIME_UNKNOWN_NS;
    r->cost_pico_usd = COST_UNKNOWN;
    return r;
}

static void what_is_not_known_is_null_and_nothing_else_is(void **state) {
    (void)state;
    struct record *usual = record_usual(), *r = record_unknowing();
    json_t *full = line_of(usual), *json = line_of(r);
    assert_int_equal(json_object_size(json), MEMBERS);
    for (int i = 0; i < MEMBERS; i++) {
        const json_t *value = json_object_get(json, members[i].name), *known = json_object_get(full, members[i].name);
        assert_non_null(value);
        if (json_is_null(value) != members[i].nullable) fail_msg("%s", members[i].name);
        if (members[i].nullable) continue;
        bool same = json_typeof(value) == json_typeof(known) || (json_is_number(value) && json_is_number(known)) ||
                    (json_is_boolean(value) && json_is_boolean(known));
        if (!same) fail_msg("%s has another type", members[i].name);
    }
    expect_raw("time", "\"1970-01-01T00:00:00.000000Z\"");
    expect_raw("rtt_ms", "{\"client\":null,\"provider\":null}");
    expect_raw("tags", "{}");
    expect_raw("waste_usd", "0");
    expect_raw("stream", "false");
    json_decref(full);
    json_decref(json);
    mem_free(usual);
    mem_free(r);
}

static void times_follow_each_other_over_seconds(void **state) {
    (void)state;
    static const struct {
        int64_t unix_ns;
        const char *text;
    } times[] = {{INT64_C(1795342528999999999), "\"2026-11-22T10:15:28.999999Z\""},
                 {INT64_C(1795342529000000999), "\"2026-11-22T10:15:29.000000Z\""},
                 {INT64_C(1795342529000001000), "\"2026-11-22T10:15:29.000001Z\""},
                 {INT64_C(1795342528500000000), "\"2026-11-22T10:15:28.500000Z\""}, /* records do not come in order */
                 {INT64_C(1798761599999999000), "\"2026-12-31T23:59:59.999999Z\""},
                 {INT64_C(1798761600000000000), "\"2027-01-01T00:00:00.000000Z\""}};
    struct record *r = record_unknowing();
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        r->start_unix_ns = times[i].unix_ns;
        json_decref(line_of(r));
        expect_raw("time", times[i].text);
    }
    mem_free(r);
}

static void tags_are_an_object(void **state) {
    (void)state;
    struct record *r = record_usual();
    json_t *json = line_of(r), *tags = json_object_get(json, "tags");
    assert_int_equal(json_object_size(tags), 3);
    assert_string_equal(json_string_value(json_object_get(tags, "feature")), "ask");
    assert_string_equal(json_string_value(json_object_get(tags, "empty")), "");
    assert_string_equal(json_string_value(json_object_get(tags, "city")), "K\xc3\xb8"
                                                                          "benhavn");
    json_decref(json);
    mem_free(r);
}

static const struct {
    enum record_text which;
    const char *member;
} texts_of_members[] = {{RECORD_TEXT_METHOD, "method"},
                        {RECORD_TEXT_PATH, "path"},
                        {RECORD_TEXT_OPERATION, "operation"},
                        {RECORD_TEXT_MODEL_REQUESTED, "model_requested"},
                        {RECORD_TEXT_MODEL, "model"},
                        {RECORD_TEXT_SESSION, "session"},
                        {RECORD_TEXT_RELEASE, "release"},
                        {RECORD_TEXT_FINISH_REASON, "finish_reason"},
                        {RECORD_TEXT_CLIENT, "client"},
                        {RECORD_TEXT_USER_AGENT, "user_agent"},
                        {RECORD_TEXT_PROVIDER_REQUEST_ID, "provider_request_id"},
                        {RECORD_TEXT_LIMIT, "limit"}};

static void hostile_texts_stay_inside_their_strings(void **state) {
    (void)state;
    static const struct {
        struct slice bytes;
        struct slice read; /* what a parser must see */
    } hostile[] = {{SLICE_INIT("\",\"status\":200,\"x\":\""), SLICE_INIT("\",\"status\":200,\"x\":\"")},
                   {SLICE_INIT("a\r\n{\"time\":\"forged\"}\n"), SLICE_INIT("a\r\n{\"time\":\"forged\"}\n")},
                   {SLICE_INIT("\\"), SLICE_INIT("\\")},
                   {SLICE_INIT("\x1b]0;title\x07"), SLICE_INIT("\x1b]0;title\x07")},
                   {SLICE_INIT("a\0b"), SLICE_INIT("a\0b")},
                   {SLICE_INIT("\xff\xfe"), SLICE_INIT("\xef\xbf\xbd\xef\xbf\xbd")},
                   {SLICE_INIT("cut \xe2\x82"), SLICE_INIT("cut \xef\xbf\xbd\xef\xbf\xbd")},
                   {SLICE_INIT("\xc0\xaf\xed\xa0\x80"),
                    SLICE_INIT("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd")}};
    enum { TEXTS = sizeof texts_of_members / sizeof texts_of_members[0] };
    assert_int_equal(TEXTS, RECORD_TEXT_COUNT - 2); /* all but the tags and the tracestate, which is not in the log */
    for (size_t h = 0; h < sizeof hostile / sizeof hostile[0]; h++) {
        struct slice texts[RECORD_TEXT_COUNT];
        for (int i = 0; i < RECORD_TEXT_COUNT; i++) texts[i] = hostile[h].bytes;
        texts[RECORD_TEXT_TAGS] = (struct slice){NULL, 0};
        struct record *r = record_with(texts);
        json_t *json = line_of(r);
        assert_int_equal(json_object_size(json), MEMBERS);
        for (size_t i = 0; i < TEXTS; i++) {
            const json_t *value = json_object_get(json, texts_of_members[i].member);
            assert_int_equal(json_string_length(value), hostile[h].read.n);
            assert_memory_equal(json_string_value(value), hostile[h].read.p, hostile[h].read.n);
        }
        json_decref(json);
        mem_free(r);
    }
}

static void hostile_tags_and_names_do_so_too(void **state) {
    (void)state;
    static const struct slice texts[RECORD_TEXT_COUNT] = {[RECORD_TEXT_TAGS] = SLICE_INIT("a\"b\0\"}\n{\0c\\\0\xff\0")};
    struct record *r = record_with(texts);
    r->tenant = r->provider = r->workload = r->key = name_id(SLICE("\"\n\xff\\"));
    json_t *json = line_of(r), *tags = json_object_get(json, "tags");
    assert_int_equal(json_object_size(tags), 2);
    assert_string_equal(json_string_value(json_object_get(tags, "a\"b")), "\"}\n{");
    assert_string_equal(json_string_value(json_object_get(tags, "c\\")), "\xef\xbf\xbd");
    assert_string_equal(json_string_value(json_object_get(json, "tenant")), "\"\n\xef\xbf\xbd\\");
    assert_string_equal(json_string_value(json_object_get(json, "key_id")), "\"\n\xef\xbf\xbd\\");
    json_decref(json);
    mem_free(r);
}

static void tags_that_are_cut_off_give_no_half_member(void **state) {
    (void)state;
    static const struct slice cut[] = {SLICE_INIT("a"), SLICE_INIT("a\0"), SLICE_INIT("a\0b"), SLICE_INIT("\0\0"),
                                       SLICE_INIT("a\0b\0c")};
    static const char *const expected[] = {"{}", "{\"a\":\"\"}", "{\"a\":\"b\"}", "{\"\":\"\"}", "{\"a\":\"b\"}"};
    for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
        struct slice texts[RECORD_TEXT_COUNT] = {[RECORD_TEXT_TAGS] = cut[i]};
        struct record *r = record_with(texts);
        json_decref(line_of(r));
        expect_raw("tags", expected[i]);
        mem_free(r);
    }
}

/* The longest line that can be: what is reserved for it must be enough (a sanitizer sees a byte too many). */
static void the_longest_record_fits(void **state) {
    (void)state;
    char *controls = mem_alloc(UINT16_MAX);
    memset(controls, 1, UINT16_MAX);
    struct slice texts[RECORD_TEXT_COUNT];
    for (int i = 0; i < RECORD_TEXT_COUNT; i++) texts[i] = (struct slice){controls, UINT16_MAX};
    texts[RECORD_TEXT_TAGS].n = 0;
    for (int empty = 0; empty < 2; empty++) {
        struct record *r = record_with(texts);
        memset(&r->total_ns, 0xfe, offsetof(struct record, text) - offsetof(struct record, total_ns));
        r->usage.estimated = r->stream = true;
        r->status = r->attempts = UINT16_MAX;
        json_t *json = line_of(r);
        assert_int_equal(json_object_size(json), MEMBERS);
        json_decref(json);
        mem_free(r);
        memset(texts, 0, sizeof texts); /* then only the numbers, so that they alone must fit */
    }
    mem_free(controls);
}

static void lines_follow_each_other_in_one_buffer(void **state) {
    (void)state;
    struct record *r = record_usual();
    struct buf many = {0};
    json_decref(line_of(r));
    for (int i = 0; i < 200; i++) access_log_line(&many, r, SLICE("gw-1"));
    assert_int_equal(buf_length(&many), 200 * buf_length(&line));
    for (size_t i = 0; i < 200; i++)
        assert_memory_equal(many.data + i * buf_length(&line), line.data, buf_length(&line));
    buf_clear(&many);
    mem_free(r);
}

static void random_bytes_everywhere_are_one_valid_line(void **state) {
    (void)state;
    char bytes[400];
    for (int round = 0; round < 3000; round++) {
        struct slice texts[RECORD_TEXT_COUNT];
        for (size_t i = 0; i < sizeof bytes; i++)
            bytes[i] = random_u64() % 3 ? (char)(' ' + random_u64() % 95) : (char)random_u64();
        for (int i = 0; i < RECORD_TEXT_COUNT; i++)
            texts[i] = (struct slice){bytes + random_u64() % 200, random_u64() % 200};
        texts[RECORD_TEXT_TAGS].n = 0; /* names are told apart before they get here */
        struct record *r = record_with(texts);
        uint64_t *numbers = (uint64_t *)(void *)&r->total_ns;
        for (size_t i = 0; i < (offsetof(struct record, usage) - offsetof(struct record, total_ns)) / 8; i++)
            numbers[i] = random_u64() >> random_u64() % 64;
        r->error = (uint8_t)(random_u64() % FAILURE_COUNT);
        r->error_source = (uint8_t)(random_u64() % SOURCE_COUNT);
        json_t *json = line_of(r);
        assert_int_equal(json_object_size(json), MEMBERS);
        json_decref(json);
        mem_free(r);
    }
}

static int teardown(void **state) {
    (void)state;
    buf_clear(&line);
    return 0;
}

#define TEST(f) cmocka_unit_test_teardown(f, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(every_member_is_there_in_order_and_exact),
        TEST(phases_are_twelve_and_sum_to_what_they_were),
        TEST(what_is_not_known_is_null_and_nothing_else_is),
        TEST(times_follow_each_other_over_seconds),
        TEST(tags_are_an_object),
        TEST(hostile_texts_stay_inside_their_strings),
        TEST(hostile_tags_and_names_do_so_too),
        TEST(tags_that_are_cut_off_give_no_half_member),
        TEST(the_longest_record_fits),
        TEST(lines_follow_each_other_in_one_buffer),
        TEST(random_bytes_everywhere_are_one_valid_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
