/* Tests of what the API reads: instants, durations, questions about usage, cursors. */
#include "unit.h"

#include "api.h"
#include "api_usage.h"
#include "base/clock.h"

#define SECOND ((int64_t)NS_PER_S)
#define NOW (INT64_C(1795342528) * SECOND + 563402123) /* 2026-11-22T10:15:28.563402123Z */

static void instants_are_read_to_the_nanosecond(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t unix_ns;
    } good[] = {
        {"1970-01-01T00:00:00Z", 0},
        {"2026-11-22T10:15:28.563402123Z", NOW},
        {"2026-11-22T12:15:28.563402123+02:00", NOW},
        {"2026-11-22t05:45:28.563402123-04:30", NOW},
        {"2026-11-22 10:15:28Z", INT64_C(1795342528) * SECOND},
        {"2024-02-29T00:00:00Z", INT64_C(1709164800) * SECOND},
        {"2100-02-28T23:59:60Z", INT64_C(4107542400) * SECOND},
        {"2199-12-31T23:59:59.5Z", INT64_C(7258118399) * SECOND + 500000000},
        {"-15m", NOW - 900 * SECOND},
        {"-0s", NOW},
        {"-30d", NOW - INT64_C(30) * 86400 * SECOND},
        {"-73000d", 0}, /* before 1970 */
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int64_t got = -1;
        if (!api_time(slice_of(good[i].text), NOW, &got)) fail_msg("%s was refused", good[i].text);
        if (got != good[i].unix_ns) fail_msg("%s is %lld", good[i].text, (long long)got);
    }
}

static void what_is_no_instant_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"",
                                        "-",
                                        "now",
                                        "15m",
                                        "-15",
                                        "-m",
                                        "-1w",
                                        "--1m",
                                        "-1.5h",
                                        "-99999999999999999999d",
                                        "-1000000d",
                                        "2026-11-22",
                                        "2026-11-22T10:15:28",
                                        "2026-11-22T10:15Z",
                                        "2026-11-22T10:15:28.Z",
                                        "2026-11-22T10:15:28.1234567890Z",
                                        "2026-11-22T24:00:00Z",
                                        "2026-11-22T10:60:00Z",
                                        "2026-11-22T10:15:61Z",
                                        "2026-02-29T00:00:00Z",
                                        "2100-02-29T00:00:00Z",
                                        "2026-13-01T00:00:00Z",
                                        "2026-00-01T00:00:00Z",
                                        "2026-01-00T00:00:00Z",
                                        "1969-12-31T23:59:59Z",
                                        "1970-01-01T00:00:00+01:00",
                                        "2200-01-01T00:00:00Z",
                                        "2026-11-22T10:15:28+0200",
                                        "2026-11-22T10:15:28+24:00",
                                        "2026-11-22T10:15:28Zx",
                                        "2026-11-22T10:15:28Z "};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        int64_t got;
        if (api_time(slice_of(wrong[i]), NOW, &got)) fail_msg("%s was taken", wrong[i]);
    }
    int64_t got;
    assert_false(api_time((struct slice){"2026-11-22\0T10:15:28Z", 21}, NOW, &got));
}

static const char *wrong_field(const char *text, struct usage_question *question, struct usage_page *page) {
    static struct query q;
    const char *message = NULL;
    assert_true(query_parse(&q, slice_of(text)));
    const char *field = usage_query_read(&q, NOW, question, page, &message);
    assert_true((field == NULL) == (message == NULL));
    return field;
}

static void a_range_is_made_whole(void **state) {
    (void)state;
    static const struct {
        const char *query;
        int64_t from_s, to_s;
        uint32_t step_s;
    } cases[] = {
        {"", 1795255200, 1795345200, 0},                        /* a day: whole hours */
        {"from=-1h", 1795338900, 1795342560, 0},                /* whole minutes */
        {"from=-7d", 1794700800, 1795392000, 0},                /* whole days */
        {"from=-1h&step=1d", 1795305600, 1795392000, 86400},    /* the day it is */
        {"from=-1h&step=7m", 1795338720, 1795342920, 420},      /* sevens of minutes since 1970 */
        {"from=2026-11-22T10:00:00Z&to=2026-11-22T10:05:00Z", 1795341600, 1795341900, 0},
        {"from=2026-11-22T10:00:00.5Z&to=2026-11-22T10:00:00.6Z", 1795341600, 1795341660, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct usage_question question;
        struct usage_page page;
        assert_null(wrong_field(cases[i].query, &question, &page));
        if (question.from_s != cases[i].from_s || question.to_s != cases[i].to_s || question.step_s != cases[i].step_s)
            fail_msg("%s: %lld to %lld by %u", cases[i].query, (long long)question.from_s, (long long)question.to_s,
                     question.step_s);
        assert_int_equal(page.limit, 50);
        assert_false(page.has_cursor);
    }
}

static void what_is_asked_for_is_read(void **state) {
    (void)state;
    struct usage_question question;
    struct usage_page page;
    assert_null(wrong_field("by=model,tenant&tenant=acme&tenant=&model=gpt-4o&limit=500", &question, &page));
    assert_true(question.by[TRAFFIC_PART_tenant] && question.by[TRAFFIC_PART_model] && !question.by[TRAFFIC_PART_provider]);
    assert_int_equal(question.filter_count, 3);
    assert_int_equal(question.filters[1].key, TRAFFIC_PART_tenant);
    assert_int_equal(question.filters[1].value.n, 0);
    assert_true(slice_equal(question.filters[2].value, SLICE("gpt-4o")));
    assert_int_equal(page.limit, 500);
    assert_string_equal(wrong_field("by=", &question, &page), "by");
    assert_string_equal(wrong_field("by=tenant,", &question, &page), "by");
    assert_string_equal(wrong_field("by=tenant&by=model", &question, &page), "by");
    assert_string_equal(wrong_field("limit=0", &question, &page), "limit");
    assert_string_equal(wrong_field("step=367d", &question, &page), "step");
    assert_string_equal(wrong_field("to=1970-01-01T00:00:00Z&from=1970-01-01T00:00:00Z", &question, &page), "from");
    assert_string_equal(wrong_field("status=200", &question, &page), "query");
}

static void a_cursor_comes_back_as_it_was(void **state) {
    (void)state;
    static const struct slice names[][TRAFFIC_PART_COUNT] = {
        {SLICE_INIT("acme"), SLICE_INIT(""), SLICE_INIT("gpt-4o"), SLICE_INIT("")},
        {SLICE_INIT(""), SLICE_INIT(""), SLICE_INIT(""), SLICE_INIT("")},
        {SLICE_INIT("a,b&c%"), SLICE_INIT("\xc3\xa9"), SLICE_INIT("x/y"), SLICE_INIT("z")},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf cursor = {0};
        struct usage_page page = {0};
        usage_cursor_write(&cursor, INT64_C(1795342528), names[i]);
        assert_true(usage_cursor_read(buf_slice(&cursor), &page));
        assert_true(page.has_cursor);
        assert_int_equal(page.after_time_s, 1795342528);
        for (int k = 0; k < TRAFFIC_PART_COUNT; k++) assert_true(slice_equal(page.after_names[k], names[i][k]));
        buf_clear(&page.text);
        for (size_t cut = 0; cut < buf_length(&cursor); cut++) { /* no part of one is one */
            page = (struct usage_page){0};
            assert_false(usage_cursor_read((struct slice){cursor.data, cut}, &page));
            buf_clear(&page.text);
        }
        buf_clear(&cursor);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(instants_are_read_to_the_nanosecond), cmocka_unit_test(what_is_no_instant_is_refused),
        cmocka_unit_test(a_range_is_made_whole),               cmocka_unit_test(what_is_asked_for_is_read),
        cmocka_unit_test(a_cursor_comes_back_as_it_was),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
