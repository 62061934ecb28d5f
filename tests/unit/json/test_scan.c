/* json/scan: what is refused, where, what is found, and that no way of cutting the bytes changes any of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <cmocka.h>

#include "scan_log.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* The log of one scan; fails the test unless every way of cutting gives the same. Free with free(). */
static char *scan_every_way(const struct json_paths *paths, enum json_mode mode, struct slice text) {
    struct buf whole = scan_log(paths, mode, text, log_value, CUT_NOWHERE, 0);
    char *expected = strndup(whole.data + whole.start, buf_length(&whole));
    for (unsigned seed = 0; seed < 21; seed++) {
        struct buf cut = scan_log(paths, mode, text, log_value, seed == 0 ? CUT_EVERYWHERE : CUT_AT_RANDOM, seed);
        if (!slice_equal(buf_slice(&cut), buf_slice(&whole)))
            fail_msg("cut %u differs: <%.*s> instead of <%s> for %.*s", seed, (int)buf_length(&cut),
                     cut.data + cut.start, expected, (int)text.n, text.p);
        buf_clear(&cut);
    }
    buf_clear(&whole);
    return expected;
}

static char *run(const struct json_path *paths, size_t count, enum json_mode mode, struct slice text) {
    struct json_paths *p = json_paths_new(paths, count);
    char *log = scan_every_way(p, mode, text);
    json_paths_free(p);
    return log;
}

static void check(const struct json_path *paths, size_t count, enum json_mode mode, struct slice text,
                  const char *expected) {
    char *log = run(paths, count, mode, text);
    if (strcmp(log, expected) != 0) fail_msg("%.*s\ngave     %s\nnot      %s", (int)text.n, text.p, log, expected);
    free(log);
}

struct bad {
    struct slice text;
    uint64_t at; /* offset of the byte that shows it; the text's length: it only ends too early */
};
#define BAD(at, literal)                                                                                               \
    { SLICE_INIT(literal), at }

static const struct bad refused[] = {
    BAD(0, ""),
    BAD(2, "  "),
    BAD(0, "\xEF\xBB\xBF{}"),
    BAD(1, "{"),
    BAD(1, "["),
    BAD(0, "}"),
    BAD(0, "]"),
    BAD(0, ":"),
    BAD(0, ","),
    BAD(1, "[}"),
    BAD(1, "{]"),
    BAD(3, "[1,]"),
    BAD(1, "[,1]"),
    BAD(3, "[1 2]"),
    BAD(3, "[1,,2]"),
    BAD(1, "{,}"),
    BAD(7, "{\"a\":1,}"),
    BAD(1, "{1:2}"),
    BAD(1, "{a:1}"),
    BAD(5, "{\"a\" 1}"),
    BAD(4, "{\"a\"}"),
    BAD(5, "{\"a\":}"),
    BAD(5, "{\"a\"::1}"),
    BAD(2, "{}{}"),
    BAD(3, "{} x"),
    BAD(2, "1 2"),
    BAD(4, "null,"),
    BAD(2, "\"\"\"\""),
    BAD(1, "[\x00]"),
    BAD(3, "nul"),
    BAD(3, "nulL"),
    BAD(4, "[nul]"),
    BAD(4, "nulll"),
    BAD(0, "True"),
    BAD(0, "NaN"),
    BAD(0, "Infinity"),
    BAD(1, "-Infinity"),
    BAD(3, "tru"),
    BAD(4, "fals "),
    BAD(0, "'a'"),
    BAD(0, "/**/1"),
    BAD(1, "1//"),
    BAD(0, "+1"),
    BAD(0, ".5"),
    BAD(1, "-"),
    BAD(1, "-a"),
    BAD(1, "01"),
    BAD(2, "-01"),
    BAD(2, "1."),
    BAD(2, "1.e5"),
    BAD(2, "1e"),
    BAD(3, "1e+"),
    BAD(3, "1e+}"),
    BAD(3, "1.5.2"),
    BAD(1, "1a"),
    BAD(1, "0x10"),
    BAD(3, "1e5.2"),
    BAD(1, "--1"),
    BAD(2, "[1-]"),
    BAD(1, "\""),
    BAD(4, "\"abc"),
    BAD(1, "\"\n\""),
    BAD(1, "\"\t\""),
    BAD(2, "\"a\0\""),
    BAD(1, "\"\x1f\""),
    BAD(2, "\"\\x\""),
    BAD(2, "\"\\'\""),
    BAD(2, "\"\\"),
    BAD(2, "\"\\U0041\""),
    BAD(3, "\"\\u\""),
    BAD(5, "\"\\u12G4\""),
    BAD(5, "\"\\u12"),
    BAD(6, "\"\\u123\""),
    /* surrogates that are alone */
    BAD(7, "\"\\ud800\""),
    BAD(6, "\"\\udc00\""),
    BAD(7, "\"\\ud800x\""),
    BAD(8, "\"\\ud800\\n\""),
    BAD(12, "\"\\ud800\\u0041\""),
    BAD(12, "\"\\ud800\\ud800\""),
    BAD(12, "\"\\uDBFF\\uE000\""),
    /* UTF-8: stray and missing continuation bytes, overlong forms, surrogates, beyond U+10FFFF */
    BAD(1, "\"\x80\""),
    BAD(1, "\"\xBF\""),
    BAD(1, "\"\xC0\x80\""),
    BAD(1, "\"\xC1\xBF\""),
    BAD(2, "\"\xC2\""),
    BAD(2, "\"\xC2\x41\""),
    BAD(2, "\"\xE0\x9F\xBF\""),
    BAD(2, "\"\xED\xA0\x80\""),
    BAD(2, "\"\xED\xBF\xBF\""),
    BAD(3, "\"\xE3\x81\""),
    BAD(3, "\"\xE3\x81\x41\""),
    BAD(2, "\"\xF0\x8F\xBF\xBF\""),
    BAD(2, "\"\xF4\x90\x80\x80\""),
    BAD(1, "\"\xF5\x80\x80\x80\""),
    BAD(1, "\"\xFF\""),
    BAD(1, "\"\xFE\""),
    BAD(4, "\"\xF0\x9F\x98\""),
    BAD(2, "\"\xF0"),
    BAD(3, "{\"\xE3\""),
    BAD(2, "{\"\xFF\":1}"),
    BAD(1, "[\xC2\xA0]"),
    /* the same behind runs long enough for the wide loops */
    BAD(28, "\"\xE3\x81\x82\xE3\x81\x82\xE3\x81\x82\xE3\x81\x82\xE3\x81\x82\xE3\x81\x82\xE3\x81\x82\xE3\x81\x82\xE3\x81"
            "\x82\x82\xE3\x81\""),
    BAD(20, "\"\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\x41\xD0\xB0\xD0\xB0\xD0\xB0"
            "\xD0\xB0\""),
    BAD(19, "\"\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xC0\xB0\xD0\xB0\xD0\xB0\xD0\xB0"
            "\xD0\xB0\""),
    BAD(19, "\"\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xD0\xB0\xC1\xB0\xD0\xB0\xD0\xB0\xD0\xB0"
            "\xD0\xB0\""),
    BAD(8, "\"\xE3\x81\x82\xE3\x81\x82\xED\xA0\x80\xE3\x81\x82\xE3\x81\x82\xE3\x81\x82\xE3\x81\x82\xE3\x81\x82\""),
    BAD(69, "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\nbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"
            "bb\""),
};

static void strict_refuses_what_is_not_json_and_says_where(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(refused); i++) {
        char expected[40];
        snprintf(expected, sizeof(expected), "bad at %llu", (unsigned long long)refused[i].at);
        check(NULL, 0, JSON_STRICT, refused[i].text, expected);
    }
}

static const char *const accepted[] = {
    "{}",
    "[]",
    " [ ] ",
    "\t{\r\n}\n",
    "0",
    "-0",
    "10",
    "-1.5e+10",
    "1E-7",
    "0.0",
    "0e0",
    "123456789012345678901234567890",
    "1e99999",
    "null",
    "true",
    "false",
    " true ",
    "\"\"",
    "\"a\"",
    "[[],[[]],{}]",
    "{\"\":{}}",
    "{\"a\":[1,2,{\"b\":null}],\"a\":2}",
    "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0000\\uD83D\\ude00\"",
    "\"\x7f\"",
    "\"\xC2\x80\xDF\xBF\xE0\xA0\x80\xED\x9F\xBF\xEE\x80\x80\xEF\xBF\xBF\"",
    "\"\xF0\x90\x80\x80\xF4\x8F\xBF\xBF\"",
    "\"\xE3\x81\x82\xE3\x81\x84\xE3\x81\x86\xE3\x81\x88\xE3\x81\x8A\xE3\x81\x8B a\xC3\xA9 \xED\x95\x9C\xEA\xB5\xAD\"",
    "\"\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82\xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD0\xB0\xE3\x81\x82\"",
};

static void strict_accepts_all_of_json(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(accepted); i++) {
        char expected[40];
        snprintf(expected, sizeof(expected), "done at %zu", strlen(accepted[i]));
        check(NULL, 0, JSON_STRICT, slice_of(accepted[i]), expected);
        check(NULL, 0, JSON_RELAXED, slice_of(accepted[i]), expected);
    }
}

static struct buf nested(size_t depth, const char *open, const char *close) {
    struct buf b = {0};
    for (size_t i = 0; i < depth; i++) buf_append_text(&b, open);
    buf_append_text(&b, "1");
    for (size_t i = 0; i < depth; i++) buf_append_text(&b, close);
    return b;
}

static void strict_refuses_what_is_nested_deeper_than_the_cap(void **state) {
    (void)state;
    struct buf deepest = nested(JSON_DEPTH_MAX, "[", "]"), deeper = nested(JSON_DEPTH_MAX + 1, "[", "]");
    struct buf objects = nested(JSON_DEPTH_MAX + 1, "{\"a\":", "}");
    check(NULL, 0, JSON_STRICT, buf_slice(&deepest), "done at 257");
    check(NULL, 0, JSON_STRICT, buf_slice(&deeper), "bad at 128");
    check(NULL, 0, JSON_STRICT, buf_slice(&objects), "bad at 640");
    check(NULL, 0, JSON_RELAXED, buf_slice(&deeper), "done at 259");
    buf_clear(&deepest), buf_clear(&deeper), buf_clear(&objects);
}

static void strict_knows_which_bracket_each_depth_needs(void **state) {
    (void)state;
    for (size_t wrong = 0; wrong < JSON_DEPTH_MAX; wrong++) {
        struct buf b = {0};
        char expected[40];
        for (size_t i = 0; i < JSON_DEPTH_MAX; i++) buf_append_text(&b, i % 3 == 0 ? "{\"a\":" : "[");
        buf_append_text(&b, "0");
        for (size_t i = JSON_DEPTH_MAX; i-- > 0;) buf_append_text(&b, (i % 3 == 0) == (i != wrong) ? "}" : "]");
        snprintf(expected, sizeof(expected), "bad at %zu", buf_length(&b) - 1 - wrong);
        struct json_paths *none = json_paths_new(NULL, 0);
        struct buf log = scan_log(none, JSON_STRICT, buf_slice(&b), log_value, CUT_NOWHERE, 0);
        assert_true(slice_equal(buf_slice(&log), slice_of(expected)));
        json_paths_free(none);
        buf_clear(&log), buf_clear(&b);
    }
}

static const struct json_path request[] = {
    {"", 0},           {"model", 1}, {"stream", 2}, {"stream_options", 3}, {"stream_options.include_usage", 4},
    {"max_tokens", 5}, {"n", 6}};

struct found {
    const char *text, *expected;
};

static const struct found found_in_requests[] = {
    {"{\"model\":\"gpt-x\",\"stream\":true}",
     "1 string [9,16) 5 <gpt-x> @0\n2 true [26,30) 4 <true> @0\n0 object [0,31) 2 <> @0\ndone at 31"},
    {" { \"model\" : \"m\" , \"n\" : -0.5e3 } ",
     "1 string [13,16) 1 <m> @0\n6 number [25,31) 6 <-0.5e3> @0\n0 object [1,33) 2 <> @0\ndone at 34"},
    {"{\"m\\u006Fdel\":\"a\\\"b\"}", "1 string [14,20) 4 <a\\\"b> escaped @0\n0 object [0,21) 1 <> @0\ndone at 21"},
    {"{\"model\":\"a\",\"\\u006d\\u006f\\u0064\\u0065\\u006c\":\"b\"}",
     "1 string [9,12) 1 <a> @0\n1 string [46,49) 1 <b> repeated @0\n0 object [0,50) 2 <> @0\ndone at 50"},
    {"{\"stream_options\":{\"include_usage\":false,\"x\":[1]},\"stream_options\":null}",
     "4 false [35,40) 5 <false> @0\n3 object [18,49) 2 <> @0\n3 null [67,71) 4 <null> repeated @0\n"
     "0 object [0,72) 2 <> @0\ndone at 72"},
    {"{\"stream_options\":{},\"stream_options\":{\"include_usage\":null}}",
     "3 object [18,20) 0 <> @0\n4 null [55,59) 4 <null> @0\n3 object [38,60) 1 <> repeated @0\n0 object [0,61) 2 <> "
     "@0\ndone at 61"},
    {"{\"x\":{\"model\":1},\"y\":[{\"model\":2}],\"mode\":3,\"models\":4,\"Model\":5,\"n\":6}",
     "6 number [69,70) 1 <6> @0\n0 object [0,71) 6 <> @0\ndone at 71"},
    {"{\"stream_options\":[true,{\"include_usage\":true}]}",
     "3 array [18,47) 2 <> @0\n0 object [0,48) 1 <> @0\ndone at 48"},
    {"{\"model\":{\"model\":\"a\"}}", "1 object [9,22) 1 <> @0\n0 object [0,23) 1 <> @0\ndone at 23"},
    {"[{\"model\":\"a\"},2]", "0 array [0,17) 2 <> @0\ndone at 17"},
    {"12", "0 number [0,2) 2 <12> @0\ndone at 2"},
    {" \"\" ", "0 string [1,3) 0 <> @0\ndone at 4"},
    {"null", "0 null [0,4) 4 <null> @0\ndone at 4"},
    {"{\"model\":\"a\"", "1 string [9,12) 1 <a> @0\nbad at 12"},
    {"{\"n\":12", "bad at 7"},
};

static void strict_finds_the_wanted_members(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(found_in_requests); i++)
        check(request, COUNT(request), JSON_STRICT, slice_of(found_in_requests[i].text), found_in_requests[i].expected);
}

static const struct json_path answer[] = {{"choices", 0},
                                          {"choices[].delta.content", 1},
                                          {"choices[].finish_reason", 2},
                                          {"choices[].delta.tool_calls[].function.name", 3},
                                          {"usage", 4},
                                          {"usage.total", 5},
                                          {"error", 6},
                                          {"m[][]", 7}};

static const struct found found_in_answers[] = {
    {"{\"id\":\"x\",\"choices\":[{\"delta\":{\"content\":\"Hi\"},\"finish_reason\":null},{\"delta\":{},\"finish_"
     "reason\":\"stop\"}]}",
     "1 string [41,45) 2 <Hi> @0\n2 null [63,67) 4 <null> @0\n2 string [97,103) 4 <stop> @1\n"
     "0 array [20,105) 2 <> @0\ndone at 106"},
    {"{\"choices\":[{\"delta\":{\"tool_calls\":[{},{\"function\":{\"name\":\"f\"}}]}}]}",
     "3 string [59,62) 1 <f> @1\n0 array [11,68) 1 <> @0\ndone at 69"},
    {"{\"skip\":{\"a\":[\"]}\\\"]\",{\"usage\":{\"total\":1}}]},\"usage\":{\"d\":{\"total\":2},\"total\":3}}",
     "5 number [79,80) 1 <3> @0\n4 object [54,81) 2 <> @0\ndone at 82"},
    {"{\"error\":{\"message\":\"}\",\"code\":[{}]},\"usage\":null}",
     "6 object [9,36) 1 <> @0\n4 null [45,49) 4 <null> @0\ndone at 50"},
    {"{\"error\":{},\"choices\":[]}", "6 object [9,11) 0 <> @0\n0 array [22,24) 0 <> @0\ndone at 25"},
    {"{\"m\":[[1,2],3,[],[4,{\"m\":5}]]}", "7 number [7,8) 1 <1> @0\n7 number [9,10) 1 <2> @1\n7 number [18,19) 1 <4> "
                                           "@0\n7 object [20,27) 1 <> @1\ndone at 30"},
    /* wanted values that are no JSON are passed over, unwanted ones are not even looked at */
    {"{\"usage\":NaN,\"x\":-Infinity,\"error\":nul,\"m\":tru}", "done at 47"},
    {"{\"usage\":01,\"error\":1}", "6 number [20,21) 1 <1> @0\ndone at 22"},
    {"{\"x\":\"\xFF\n\\q\",\"usage\":1}", "4 number [20,21) 1 <1> @0\ndone at 22"},
    {"{\"x\":[}],\"usage\":1}",
     "bad at 7"}, /* brackets are only counted: [ closes with }, and then ] is one too many */
    {"{\"usage\":}", "bad at 9"},
    {"{\"usage\":1", "bad at 10"},
    {"{\"x\":[{\"a\":\"", "bad at 12"},
    {"{\"error\":{]", "bad at 10"},
};

static void relaxed_finds_the_wanted_members(void **state) {
    (void)state;
    for (size_t i = 0; i < COUNT(found_in_answers); i++)
        check(answer, COUNT(answer), JSON_RELAXED, slice_of(found_in_answers[i].text), found_in_answers[i].expected);
}

static void an_array_at_the_front_is_walked(void **state) {
    (void)state;
    static const struct json_path paths[] = {{"[].a", 1}, {"[]", 0}};
    for (int mode = JSON_STRICT; mode <= JSON_RELAXED; mode++)
        check(paths, 2, (enum json_mode)mode, SLICE("[{\"a\":1},{\"b\":0,\"a\":\"x\"},7]"),
              "1 number [6,7) 1 <1> @0\n0 object [1,8) 1 <> @0\n1 string [20,23) 1 <x> @1\n0 object [9,24) 2 <> @1\n"
              "0 number [25,26) 1 <7> @2\ndone at 27");
}

static void only_the_first_bytes_of_a_long_text_are_kept(void **state) {
    (void)state;
    static const struct json_path paths[] = {{"a", 1}};
    for (size_t n = JSON_CAPTURE_BYTES - 2; n < JSON_CAPTURE_BYTES + 3; n++) {
        for (int number = 0; number < 2; number++) {
            struct buf text = {0}, expected = {0};
            buf_append_text(&text, number ? "{\"a\":" : "{\"a\":\"");
            for (size_t i = 0; i < n; i++) buf_append_text(&text, "7");
            buf_append_text(&text, number ? "}" : "\"}");
            buf_printf(&expected, "1 %s [5,%zu) %zu <", number ? "number" : "string", 5 + n + (number ? 0 : 2), n);
            for (size_t i = 0; i < n && i < JSON_CAPTURE_BYTES; i++) buf_append_text(&expected, "7");
            buf_printf(&expected, "> @0\ndone at %zu", buf_length(&text));
            buf_append(&expected, "", 1);
            check(paths, 1, JSON_STRICT, buf_slice(&text), expected.data + expected.start);
            buf_clear(&text), buf_clear(&expected);
        }
    }
}

/* A number is judged by what is kept of it, or relaxed mode would lose one that is cut behind its `e`. */
static void a_long_number_is_found_in_both_modes(void **state) {
    (void)state;
    static const struct json_path paths[] = {{"", 1}};
    for (int mode = JSON_STRICT; mode <= JSON_RELAXED; mode++) {
        struct buf text = {0};
        for (int i = 0; i < JSON_CAPTURE_BYTES - 1; i++) buf_append_text(&text, "3");
        buf_append_text(&text, "e-1");
        char *log = run(paths, 1, (enum json_mode)mode, buf_slice(&text));
        assert_int_equal(strncmp(log, "1 number [0,258) 258 <333", 25), 0);
        assert_non_null(strstr(log, "3e> @0\ndone at 258"));
        free(log);
        buf_clear(&text);
    }
}

static void a_long_name_is_never_a_wanted_one(void **state) {
    (void)state;
    static const struct json_path paths[] = {{"abcdefghijklmnopqrstuvwxyzabcdefghijklmn", 1}, {"x", 2}};
    struct buf text = {0};
    buf_append_text(&text, "{\"");
    for (int c = 0; c < 40; c++) buf_printf(&text, "\\u00%02x", 'a' + c % 26);
    buf_append_text(&text, "\":1,\"");
    for (int c = 0; c < 40; c++) buf_printf(&text, "\\u00%02x", 'a' + c % 26);
    buf_append_text(&text, "xxxxxxxxxxxxxxxx\":2,\"abcdefghijklmnopqrstuvwxyzabcdefghijklmno\":3,\"x\":4}");
    char *log = run(paths, 2, JSON_STRICT, buf_slice(&text));
    assert_non_null(strstr(log, "1 number [244,245) 1 <1> @0\n2 number ["));
    assert_non_null(strstr(log, " 1 <4> @0\ndone"));
    assert_null(strstr(log, "<2>"));
    assert_null(strstr(log, "<3>"));
    free(log);
    buf_clear(&text);
}

static void every_one_of_many_names_is_found(void **state) {
    (void)state;
    enum { NAMES = 64 };
    char names[NAMES][8];
    struct json_path paths[NAMES];
    for (int i = 0; i < NAMES; i++) { /* all of one length, first and last byte: the worst case for the table */
        snprintf(names[i], sizeof(names[i]), "a%c%cz", 'A' + i / 8, 'a' + i % 8);
        paths[i] = (struct json_path){names[i], i};
    }
    struct json_paths *p = json_paths_new(paths, NAMES);
    for (int i = 0; i < NAMES; i++) {
        char text[32], expected[64];
        snprintf(text, sizeof(text), "{\"aXXz\":0,\"%s\":1}", names[i]);
        snprintf(expected, sizeof(expected), "%d number [17,18) 1 <1> @0\ndone at 19", i);
        char *log = scan_every_way(p, JSON_STRICT, slice_of(text));
        assert_string_equal(log, expected);
        free(log);
    }
    json_paths_free(p);
}

static void the_state_follows_the_value(void **state) {
    (void)state;
    struct buf log = {0};
    struct json_paths *p = json_paths_new(NULL, 0);
    struct json_scan s;
    json_scan_init(&s, p, JSON_STRICT, log_value, &log);
    assert_int_equal(json_scan_feed(&s, NULL, 0), JSON_MORE);
    assert_int_equal(json_scan_feed(&s, "[1", 2), JSON_MORE);
    assert_int_equal(json_scan_feed(&s, "]", 1), JSON_DONE);
    assert_int_equal(json_scan_feed(&s, " \n", 2), JSON_DONE);
    assert_int_equal(json_scan_end(&s), JSON_DONE);
    assert_int_equal(json_scan_feed(&s, "x", 1), JSON_BAD);
    assert_int_equal(json_scan_feed(&s, " ", 1), JSON_BAD);
    assert_int_equal(json_scan_offset(&s), 5);
    assert_int_equal(json_scan_end(&s), JSON_BAD);
    json_scan_init(&s, p, JSON_STRICT, log_value, &log);
    assert_int_equal(json_scan_feed(&s, "12", 2), JSON_MORE); /* more digits may come */
    assert_int_equal(json_scan_end(&s), JSON_DONE);
    json_paths_free(p);
    buf_clear(&log);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strict_refuses_what_is_not_json_and_says_where),
        cmocka_unit_test(strict_accepts_all_of_json),
        cmocka_unit_test(strict_refuses_what_is_nested_deeper_than_the_cap),
        cmocka_unit_test(strict_knows_which_bracket_each_depth_needs),
        cmocka_unit_test(strict_finds_the_wanted_members),
        cmocka_unit_test(relaxed_finds_the_wanted_members),
        cmocka_unit_test(an_array_at_the_front_is_walked),
        cmocka_unit_test(only_the_first_bytes_of_a_long_text_are_kept),
        cmocka_unit_test(a_long_number_is_found_in_both_modes),
        cmocka_unit_test(a_long_name_is_never_a_wanted_one),
        cmocka_unit_test(every_one_of_many_names_is_found),
        cmocka_unit_test(the_state_follows_the_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
