/* The field table: each row is found by its name in any case, prefixes catch what begins with them, nothing else is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "http/fields.h"

static const struct {
    enum field_id id;
    const char *name;
    int request, answer;
} rows[] = {
#define ROW(id, name, request, answer) {FIELD_##id, name, WAY_##request, WAY_##answer},
    FIELDS(ROW)
#undef ROW
};
enum { ROWS = sizeof rows / sizeof *rows };

static void every_row_is_found_in_any_case(void **state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        char name[64];
        int n = snprintf(name, sizeof name, "%s%s", rows[i].name, rows[i].request & WAY_PREFIX ? "limit" : "");
        for (int round = 0; round < 3; round++) {
            for (int c = 0; c < n && round > 0; c++)
                if (name[c] >= 'a' && name[c] <= 'z' && (round == 1 || c % 2)) name[c] = (char)(name[c] - 32);
            assert_int_equal(field_lookup((struct slice){name, (size_t)n}), rows[i].id);
            for (int c = 0; c < n; c++) name[c] = ascii_lower(name[c]);
        }
    }
}

static void near_misses_are_other_fields(void **state) {
    (void)state;
    static const char *const names[] = {"",
                                        "h",
                                        "hos",
                                        "hosts",
                                        "host ",
                                        "x-",
                                        "x-api-keys",
                                        "x_api_key",
                                        "content-lengths",
                                        "content_length",
                                        "x-forwarded",
                                        "x-ratelimit",
                                        "anthropic-",
                                        "x-stainless-lang",
                                        "accept",
                                        "\xff\xfe",
                                        "HOS\x54\x80",
                                        "transfer-encodin\x07",
                                        "@host",
                                        "hosT\x5d",
                                        "x-goog-api-client",
                                        "openai-beta",
                                        "anthropic-beta"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        assert_int_equal(field_lookup(slice_of(names[i])), FIELD_OTHER);
    assert_int_equal(field_lookup(slice_of("cookie\x1b")), FIELD_OTHER);
    assert_int_equal(field_lookup((struct slice){NULL, 0}), FIELD_OTHER);
    for (size_t i = 0; i < ROWS; i++) { /* bytes that differ from a letter in the case bit only */
        char name[64];
        int n = snprintf(name, sizeof name, "%s", rows[i].name);
        for (int c = 0; c < n; c++) {
            char kept = name[c];
            name[c] = (char)(kept ^ (kept == '-' || (kept >= '0' && kept <= '9') ? 0x20 : 0x40));
            enum field_id found = field_lookup((struct slice){name, (size_t)n});
            assert_int_not_equal(found, rows[i].id);
            name[c] = kept;
        }
    }
}

static void exact_names_win_and_then_the_longest_prefix(void **state) {
    (void)state;
    assert_int_equal(field_lookup(SLICE("X-Weir-Timing")), FIELD_X_WEIR_TIMING);
    assert_int_equal(field_lookup(SLICE("X-Weir-Timings")), FIELD_X_WEIR);
    assert_int_equal(field_lookup(SLICE("x-weir-tag-a")), FIELD_X_WEIR_TAG);
    assert_int_equal(field_lookup(SLICE("x-weir-tag")), FIELD_X_WEIR);
    assert_int_equal(field_lookup(SLICE("x-weir-tag-")), FIELD_X_WEIR); /* a tag without a name is no tag */
    assert_int_equal(field_lookup(SLICE("Anthropic-RateLimit-Requests-Limit")), FIELD_ANTHROPIC_RATELIMIT);
    assert_int_equal(field_lookup(SLICE("X-Forwarded-For")), FIELD_X_FORWARDED);
}

static void the_ways_are_those_of_the_table_without_the_prefix_flag(void **state) {
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        assert_int_equal(field_way_request(rows[i].id), rows[i].request & ~WAY_PREFIX);
        assert_int_equal(field_way_answer(rows[i].id), rows[i].answer & ~WAY_PREFIX);
    }
    assert_int_equal(field_way_request(FIELD_OTHER), WAY_PASS);
    assert_int_equal(field_way_answer(FIELD_OTHER), WAY_PASS);
    assert_int_equal(field_way_answer(FIELD_X_RATELIMIT), WAY_RENAME);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_found_in_any_case),
        cmocka_unit_test(near_misses_are_other_fields),
        cmocka_unit_test(exact_names_win_and_then_the_longest_prefix),
        cmocka_unit_test(the_ways_are_those_of_the_table_without_the_prefix_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
