/* The table of weir top: it fits its screen, sorts by what was asked for, shows null as unknown, and lets no name move
 * the cursor. */
#include "unit.h"

#include <stdio.h>

#include "base/utf8.h"
#include "top_table.h"

static struct buf out;
static char text[65536];

#define ROW(requests, errors, rps, ttft)                                                                               \
    "\"requests\":" requests ",\"errors\":" errors ",\"rps\":" rps ",\"in_flight\":3,\"queued\":0,\"refused\":0,"      \
    "\"abandoned\":0,\"ttft_ms\":" ttft ",\"tpot_ms\":null,\"total_ms\":null,\"overhead_ms\":null,"                    \
    "\"prompt_cache_share\":0.41,\"output_tokens_per_s\":130200.1,\"usd_per_h\":1234.5"
#define D(p95) "{\"n\":1,\"p50\":1,\"p95\":" p95 ",\"p99\":9999,\"max\":1}"

static const char sample[] =
    "{\"time\":\"2026-11-22T10:15:30.000000Z\",\"window_s\":60,\"scope\":\"fleet\",\"replicas\":[\"gw-1\",\"gw-2\"],"
    "\"missing_replicas\":[\"gw-3\"],\"by\":[\"provider\",\"model\"],\"rows\":["
    "{\"provider\":\"openai\",\"model\":\"alpha\"," ROW(
        "10", "5", "12.5",
        D("311.9")) "},"
                    "{\"provider\":\"openai\",\"model\":\"beta\"," ROW(
                        "20", "0", "812.4",
                        D("5.25")) "},"
                                   "{\"provider\":null,\"model\":null," ROW(
                                       "1", "0", "0.016",
                                       "null") "},"
                                               "{\"provider\":\"evil\",\"model\":\"a\\u001b[2Jb\\u009bc\\nd\"," ROW(
                                                   "1", "0", "0.01",
                                                   "null") "}],"
                                                           "\"other\":{" ROW("7", "0", "7", "null") "},\"total\":{" ROW(
                                                               "31", "5", "825",
                                                               D("311.9")) "},"
                                                                           "\"loop_lag_ms\":{\"n\":1,\"p50\":0.1,"
                                                                           "\"p95\":0.2,\"p99\":0.21,\"max\":1},"
                                                                           "\"redis_up\":false,"
                                                                           "\"dropped\":{\"records\":2,\"spans\":0}}";

static const char *table(const char *json, struct top_view v) {
    json_t *live = document_parse(slice_of(json));
    assert_non_null(live);
    buf_clear(&out);
    top_write(&out, live, &v);
    json_decref(live);
    struct slice s = buf_slice(&out);
    assert_true(s.n < sizeof text);
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    return text;
}

static const char *position(const char *what) {
    const char *found = strstr(text, what);
    if (found == NULL) fail_msg("no %s in\n%s", what, text);
    return found;
}

static void numbers_are_shown_and_null_is_a_dash(void **state) {
    (void)state;
    table(sample, (struct top_view){.width = 200, .sort = top_column_of("rps")});
    position("gw-1,gw-2 (fleet)  MISSING gw-3  10:15:30 UTC  last 60 s  by provider,model");
    position("825.0 req/s  3 in flight");
    position("REDIS IS DOWN");
    position("dropped 2 records");
    const char *beta = position("openai beta");
    assert_non_null(strstr(beta, "812.4"));
    assert_non_null(strstr(beta, "5.25"));
    assert_non_null(strstr(beta, "130k"));
    assert_non_null(strstr(beta, "1234.50"));
    assert_true(beta < position("openai alpha")); /* the busiest first */
    assert_non_null(strstr(position("openai alpha"), "  50.0") ?: strstr(position("openai alpha"), "    50"));
    const char *unknown = position("- -  ");
    assert_non_null(strstr(unknown, "       -"));
    assert_true(position("_other") < position("TOTAL  "));
}

static void it_sorts_by_any_column_either_way(void **state) {
    (void)state;
    table(sample, (struct top_view){.width = 200, .sort = top_column_of("ttft")});
    assert_true(position("openai alpha") < position("openai beta"));
    assert_true(position("openai beta") < position("- -  ")); /* what is not known comes last */
    table(sample, (struct top_view){.width = 200, .sort = top_column_of("ttft"), .reversed = true});
    assert_true(position("openai beta") < position("openai alpha"));
    table(sample, (struct top_view){.width = 200, .sort = top_column_of("name")});
    assert_true(position("- -  ") < position("evil") && position("evil") < position("openai alpha"));
    assert_int_equal(top_column_of("colour"), TOP_COLUMNS_MAX);
    assert_int_equal(top_column_of_key('t'), top_column_of("ttft"));
    assert_int_equal(top_column_of_key('\0'), TOP_COLUMNS_MAX);
    assert_int_equal(top_column_of_key('q'), TOP_COLUMNS_MAX);
}

static void no_name_moves_the_cursor(void **state) {
    (void)state;
    table(sample, (struct top_view){.width = 200, .sort = 1});
    position("evil a?[2Jb?c?d");
    for (const char *at = text; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 && *at != '\n') fail_msg("a control byte %d", *at);
}

/* Escapes take no room; each character takes one. */
static unsigned width_of_line(const char *at, const char *end) {
    unsigned width = 0;
    while (at < end) {
        if (*at == '\x1b') {
            while (*at < '@' || *at == '[') at++;
            at++;
        } else if (*at == '\r') {
            at++;
        } else {
            size_t n = utf8_length((const unsigned char *)at, (size_t)(end - at));
            assert_true(n > 0);
            at += n;
            width++;
        }
    }
    return width;
}

static void it_fits_every_screen(void **state) {
    (void)state;
    for (unsigned width = 1; width < 220; width++) {
        for (unsigned height = 1; height < 20; height++) {
            table(sample, (struct top_view){.width = width, .height = height, .sort = 1, .colour = width % 2});
            unsigned lines = 1;
            const char *begin = text;
            for (const char *end; (end = strchr(begin, '\n')) != NULL; begin = end + 1, lines++)
                assert_true(width_of_line(begin, end) <= width);
            assert_true(width_of_line(begin, begin + strlen(begin)) <= width);
            assert_int_equal(lines, height);
        }
    }
}

static void a_message_takes_the_last_line(void **state) {
    (void)state;
    table(sample, (struct top_view){.width = 100, .height = 24, .sort = 1});
    position("q quit");
    table(sample, (struct top_view){.width = 100, .height = 24, .sort = 1, .message = "the gateway is gone"});
    position("the gateway is gone");
    assert_null(strstr(text, "q quit"));
    position("openai beta"); /* what was known stays */
}

static void an_answer_that_lacks_things_is_no_accident(void **state) {
    (void)state;
    static const char *const poor[] = {"{\"rows\":[]}", "{\"rows\":[1,null,{}],\"by\":[1],\"total\":3}",
                                       "{\"rows\":[{\"ttft_ms\":7}],\"time\":\"x\",\"by\":\"y\"}"};
    for (size_t i = 0; i < sizeof poor / sizeof *poor; i++)
        table(poor[i], (struct top_view){.width = 100, .height = 24, .sort = 1});
    assert_null(document_parse(SLICE("nonsense")));
    assert_null(document_parse(SLICE("{\"a\":1,\"a\":2}")));
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers_are_shown_and_null_is_a_dash),
                                       cmocka_unit_test(it_sorts_by_any_column_either_way),
                                       cmocka_unit_test(no_name_moves_the_cursor),
                                       cmocka_unit_test(it_fits_every_screen),
                                       cmocka_unit_test(a_message_takes_the_last_line),
                                       cmocka_unit_test(an_answer_that_lacks_things_is_no_accident)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    buf_clear(&out);
    return failed;
}
