/* json/scan: unescaping strings and reading token counts. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <cmocka.h>

#include "json/scan.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static void malformed_escapes_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"\\",
                                      "a\\",
                                      "\\x",
                                      "\\u",
                                      "\\u12",
                                      "\\u12g4",
                                      "\\ud800",
                                      "\\ud800\\",
                                      "\\ud800\\u",
                                      "\\ud800\\n1234",
                                      "\\ud800\\ud800",
                                      "\\udc00",
                                      "\\ud800\\u0041",
                                      "\\U0041",
                                      "\\ud83d\\ude0"};
    char out[64];
    size_t n;
    for (size_t i = 0; i < COUNT(bad); i++) assert_false(json_unescape(slice_of(bad[i]), out, sizeof(out), &n));
}

static void escapes_become_what_they_stand_for(void **state) {
    (void)state;
    static const struct {
        struct slice raw, text;
    } cases[] = {
        {SLICE_INIT(""), SLICE_INIT("")},
        {SLICE_INIT("plain"), SLICE_INIT("plain")},
        {SLICE_INIT("\\\"\\\\\\/\\b\\f\\n\\r\\t"), SLICE_INIT("\"\\/\b\f\n\r\t")},
        {SLICE_INIT("a\\u0041b\\u00e9\\u20AC"), SLICE_INIT("aAb\xC3\xA9\xE2\x82\xAC")},
        {SLICE_INIT("\\ud83d\\ude00\\uDBFF\\uDFFF"), SLICE_INIT("\xF0\x9F\x98\x80\xF4\x8F\xBF\xBF")},
        {SLICE_INIT("\\u0000"), SLICE_INIT("\0")},
        {SLICE_INIT("\\u07ff\\u0800\\uffff"), SLICE_INIT("\xDF\xBF\xE0\xA0\x80\xEF\xBF\xBF")},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[64];
        size_t n = 99;
        assert_true(json_unescape(cases[i].raw, out, cases[i].text.n, &n)); /* fits exactly */
        assert_true(slice_equal((struct slice){out, n}, cases[i].text));
        if (cases[i].text.n > 0) assert_false(json_unescape(cases[i].raw, out, cases[i].text.n - 1, &n));
        assert_true(cases[i].text.n <= cases[i].raw.n);
    }
}

static void numbers_that_are_no_count_are_refused(void **state) {
    (void)state;
    static const char *const bad[] = {"",   "-1", "-0", "1.5", "0.1",  "15e-1",   "1e-1", "a", "1a",
                                      "01", "1.", "1e", "+1",  "null", "12.01e1", " 1",   "1 "};
    uint32_t v;
    for (size_t i = 0; i < COUNT(bad); i++) assert_false(json_number_u32(slice_of(bad[i]), &v));
}

static void counts_are_exact_and_clamped(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint32_t value;
    } cases[] = {{"0", 0},
                 {"7", 7},
                 {"12.0", 12},
                 {"1e3", 1000},
                 {"1E+3", 1000},
                 {"1.25e2", 125},
                 {"1200e-2", 12},
                 {"0.5e1", 5},
                 {"4294967295", UINT32_MAX},
                 {"4294967296", UINT32_MAX},
                 {"4294967294", UINT32_MAX - 1},
                 {"99999999999999999999999", UINT32_MAX},
                 {"1e999999999999999999999", UINT32_MAX},
                 {"0e999999999999999999999", 0},
                 {"0.000e-999999999999", 0},
                 {"0.0", 0},
                 {"42949672950e-1", UINT32_MAX},
                 {"4294967294.000", UINT32_MAX - 1}};
    for (size_t i = 0; i < COUNT(cases); i++) {
        uint32_t v = 1;
        assert_true(json_number_u32(slice_of(cases[i].text), &v));
        assert_int_equal(v, cases[i].value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(malformed_escapes_are_refused),
        cmocka_unit_test(escapes_become_what_they_stand_for),
        cmocka_unit_test(numbers_that_are_no_count_are_refused),
        cmocka_unit_test(counts_are_exact_and_clamped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
