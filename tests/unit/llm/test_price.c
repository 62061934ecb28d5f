/* llm/price: files with mistakes are refused, rows are found by the rules of docs/prices.md, and costs are exact. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "llm/price.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static char message[200];

static struct price_table *load(const char *json) {
    char name[] = "/tmp/weir-test-prices-XXXXXX";
    int fd = mkstemp(name);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, json, strlen(json)), strlen(json));
    close(fd);
    message[0] = '\0';
    struct price_table *t = price_table_load(name, message, sizeof(message));
    unlink(name);
    return t;
}

static const struct price *find(const struct price_table *t, const char *provider, const char *model) {
    return price_find(t, slice_of(provider), slice_of(model));
}

static void files_with_mistakes_are_refused_with_the_place(void **state) {
    (void)state;
    static const struct {
        const char *json, *says;
    } cases[] = {
        {"", ":1: "},
        {"[\n{]", ":2: "},
        {"[] []", ":1: "},
        {"{}", "not an array of prices"},
        {"{\"prices\":{}}", "not an array of prices"},
        {"[1]", "row 1: row: not an object"},
        {"[{\"model\":\"m\",\"input\":1,\"output\":1}]", "row 1: provider: not a name"},
        {"[{\"provider\":\"p\",\"model\":\"\",\"input\":1,\"output\":1}]", "row 1: model: not a name"},
        {"[{\"provider\":\"p\",\"model\":7,\"input\":1,\"output\":1}]", "row 1: model: not a name"},
        {"[{\"provider\":\"p\",\"model\":\"m\",\"output\":1}]", "row 1: input: missing"},
        {"[{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"output\":null}]", "row 1: output: missing"},
        {"[{\"provider\":\"p\",\"model\":\"m\",\"input\":\"1\",\"output\":1}]", "row 1: input: not a price"},
        {"[{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"output\":-1}]", "row 1: output: not a price"},
        {"[{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"output\":1e7}]", "row 1: output: not a price"},
        {"[{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"output\":1,\"cache_read\":0.0000001}]",
         "row 1: cache_read: more than six"},
        {"[{\"provider\":\"p\",\"model\":\"m\",\"input\":0.1234567,\"output\":1}]", "row 1: input: more than six"},
        {"[{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"input\":2,\"output\":1}]", "duplicate"},
        {"[{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"output\":1,\"tiers\":{}}]", "row 1: tiers: not a list"},
        {"[{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"output\":1,\"tiers\":[1,2,3,4,5]}]",
         "row 1: tiers: not a list"},
        {"[{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"output\":1,\"tiers\":[1]}]", "above_input_tokens: not a"},
        {"[{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"output\":1,\"tiers\":[{\"above_input_tokens\":0,\"input\":"
         "1,\"output\":1}]}]",
         "above_input_tokens: not a"},
        {"[{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"output\":1,\"tiers\":[{\"above_input_tokens\":5,\"input\":"
         "1}]}]",
         "row 1: output: missing"},
        {"[{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"output\":1,\"tiers\":[{\"above_input_tokens\":5,\"input\":"
         "1,\"output\":1},"
         "{\"above_input_tokens\":5,\"input\":2,\"output\":1}]}]",
         "above_input_tokens twice"},
        {"[{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"output\":1},{\"provider\":\"q\",\"model\":\"m\",\"input\":"
         "1,\"output\":1},"
         "{\"provider\":\"p\",\"model\":\"m\",\"input\":2,\"output\":1}]",
         "p, m: two prices"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_null(load(cases[i].json));
        if (strstr(message, cases[i].says) == NULL) fail_msg("%s\nsaid %s", cases[i].json, message);
    }
    assert_null(price_table_load("/nonexistent/prices.json", message, sizeof(message)));
    assert_null(strstr(message, ":-1:"));
    assert_non_null(strstr(message, "/nonexistent/prices.json"));
}

static void an_empty_table_knows_no_price(void **state) {
    (void)state;
    struct price_table *t = load("[]");
    assert_non_null(t);
    assert_int_equal(price_count(t), 0);
    assert_null(find(t, "openai", "gpt-5"));
    price_table_free(t);
}

static void rows_are_found_by_name_then_without_date_then_anywhere(void **state) {
    (void)state;
    struct price_table *t = load("{\"prices\":["
                                 "{\"provider\":\"a\",\"model\":\"m\",\"input\":1,\"output\":0},{\"provider\":\"b\","
                                 "\"model\":\"m\",\"input\":2,\"output\":0},"
                                 "{\"provider\":\"a\",\"model\":\"m-2024-01-01\",\"input\":3,\"output\":0},{"
                                 "\"provider\":\"a\",\"model\":\"same\",\"input\":4,\"output\":0},"
                                 "{\"provider\":\"b\",\"model\":\"same\",\"input\":4,\"output\":0,\"cache_read\":4},{"
                                 "\"provider\":\"b\",\"model\":\"only\",\"input\":5,\"output\":0},"
                                 "{\"provider\":\"a\",\"model\":\"date-latest\",\"input\":6,\"output\":0},"
                                 "{\"provider\":\"a\",\"model\":\"tiered\",\"input\":7,\"output\":0},"
                                 "{\"provider\":\"b\",\"model\":\"tiered\",\"input\":7,\"output\":0,\"tiers\":[{"
                                 "\"above_input_tokens\":9,\"input\":8,\"output\":0}]}]}");
    static const struct {
        const char *provider, *model;
        int64_t input; /* -1: no price */
    } cases[] = {
        {"a", "m", 1},
        {"b", "m", 2},
        {"a", "m-2024-01-01", 3},
        {"a", "m-2025-08-07", 1},
        {"b", "m-2024-01-01", 2},
        {"b", "m-20250807", 2},
        {"a", "m-latest", 1},
        {"a", "date-latest", 6},
        {"a", "date", -1},
        {"c", "m", -1},
        {"c", "m-2024-01-01", 3},
        {"c", "m-20240101", -1},
        {"c", "same", 4},
        {"c", "same-20240101", 4},
        {"c", "only", 5},
        {"a", "only", 5},
        {"c", "tiered", -1},
        {"a", "m-2025-08-0x", -1},
        {"a", "m-2025-8-07", -1},
        {"a", "m20250807", -1},
        {"a", "m-202508071", -1},
        {"a", "M", -1},
        {"A", "m", -1},
        {"a", "", -1},
        {"a", "-latest", -1},
        {"a", "-20250807", -1},
        {"a", "m-2025-08-07-latest", -1},
        {"", "only", 5},
        {"a", "0", -1},
        {"a", "zzz", -1},
    };
    const struct usage one = {.input = 1};
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct price *p = find(t, cases[i].provider, cases[i].model);
        int64_t input = p != NULL ? price_cost(p, &one) / 1000000 : -1;
        if (input != cases[i].input) fail_msg("%s %s: %lld", cases[i].provider, cases[i].model, (long long)input);
    }
    price_table_free(t);
}

struct bill {
    struct usage usage;
    int64_t pico_dollars;
};

static void check_bills(const char *row, const struct bill *bills, size_t count) {
    char json[600];
    snprintf(json, sizeof(json), "[%s]", row);
    struct price_table *t = load(json);
    if (t == NULL) fail_msg("%s", message);
    const struct price *p = find(t, "any", "m");
    assert_non_null(p);
    for (size_t i = 0; i < count; i++)
        if (price_cost(p, &bills[i].usage) != bills[i].pico_dollars)
            fail_msg("%s: bill %zu: %lld", row, i, (long long)price_cost(p, &bills[i].usage));
    price_table_free(t);
}

static void each_kind_of_token_has_its_own_price(void **state) {
    (void)state;
    static const struct bill bills[] = {
        {{0}, 0},
        {{.input = 1}, 1000001},
        {{.output = 3}, 6000000},
        {{.output = 10, .reasoning = 4}, 6 * 2000000 + 4 * 7000000},
        {{.input = 1000, .cache_read = 600, .cache_write = 300, .cache_write_1h = 100, .output = 1},
         100 * 1000001LL + 600 * 3625 + 200 * 1250000 + 100 * 5000000LL + 2000000},
    };
    check_bills("{\"provider\":\"p\",\"model\":\"m\",\"input\":1.000001,\"output\":2,\"cache_read\":0.003625,\"cache_"
                "write\":1.25,"
                "\"cache_write_1h\":5,\"reasoning_output\":7}",
                bills, COUNT(bills));
}

static void what_a_row_leaves_open_is_derived(void **state) {
    (void)state;
    static const struct bill other[] = {{{.input = 10, .cache_read = 5}, 10000000},
                                        {{.input = 4, .cache_write = 3}, 4000000},
                                        {{.input = 2, .cache_write = 2, .cache_write_1h = 1}, 2000000},
                                        {{.output = 4, .reasoning = 4}, 8000000}};
    static const struct bill anthropic[] = {{{.input = 2, .cache_write = 2, .cache_write_1h = 1}, 3000000}};
    static const struct bill written[] = {{{.input = 2, .cache_write = 2, .cache_write_1h = 1}, 6000000}};
    check_bills("{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"output\":2,\"cache_read\":null,\"tiers\":null}",
                other, COUNT(other));
    check_bills("{\"provider\":\"anthropic\",\"model\":\"m\",\"input\":1,\"output\":2}", anthropic, 1);
    check_bills("{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"output\":2,\"cache_write\":3}", written, 1);
}

static void a_tier_bills_the_whole_request(void **state) {
    (void)state;
    static const struct bill bills[] = {
        {{.input = 200000, .output = 1000000}, 200000000000 + 2000000000000},
        {{.input = 200001, .output = 10}, 200001 * 10000000LL + 10 * 20000000LL}, /* output rises too */
        {{.input = 200001, .cache_read = 200000},
         10000000 + 200000 * 500000LL},                                 /* cached tokens count; the row's own price */
        {{.input = 1, .output = 900000}, 1000000 + 900000 * 2000000LL}, /* output does not count */
        {{.input = 500001}, 500001 * 100000000LL},
    };
    check_bills("{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"output\":2,\"cache_read\":0.5,\"tiers\":["
                "{\"above_input_tokens\":500000,\"input\":100,\"output\":200},{\"above_input_tokens\":200000,\"input\":"
                "10,\"output\":20}]}",
                bills, COUNT(bills));
    static const struct bill xai[] = {{{.input = 199999}, 199999000000}, {{.input = 200000}, 200000 * 10000000LL}};
    check_bills("{\"provider\":\"xai\",\"model\":\"m\",\"input\":1,\"output\":2,\"tiers\":["
                "{\"above_input_tokens\":200000,\"input\":10,\"output\":20}]}",
                xai, COUNT(xai));
    static const struct bill hour[] = {{{.input = 6, .cache_write = 6, .cache_write_1h = 6}, 6 * 20000000}};
    check_bills("{\"provider\":\"anthropic\",\"model\":\"m\",\"input\":1,\"output\":2,\"cache_write_1h\":2,\"tiers\":["
                "{\"above_input_tokens\":5,\"input\":10,\"output\":20}]}",
                hour, 1);
}

static void impossible_counts_cost_no_less_than_nothing(void **state) {
    (void)state;
    static const struct bill bills[] = {
        {{.input = 5, .cache_read = 9}, 5 * 500000},
        {{.input = 5, .cache_read = 4, .cache_write = 9}, 4 * 500000 + 1000000},
        {{.input = 5, .cache_write_1h = 9}, 5000000},
        {{.output = 2, .reasoning = 5}, 4000000},
    };
    check_bills("{\"provider\":\"p\",\"model\":\"m\",\"input\":1,\"output\":2,\"cache_read\":0.5}", bills,
                COUNT(bills));
    static const struct bill huge[] = {{{.input = UINT32_MAX, .output = UINT32_MAX}, INT64_MAX}};
    check_bills("{\"provider\":\"p\",\"model\":\"m\",\"input\":1e6,\"output\":1000000}", huge, 1);
}

static void the_built_in_table_is_whole(void **state) {
    (void)state;
    struct price_table *t = price_table_load(NULL, message, sizeof(message));
    if (t == NULL) fail_msg("%s", message);
    assert_true(price_count(t) >= 80);
    const struct usage u = {.input = 1000, .cache_read = 400, .output = 100, .reasoning = 50};
    assert_int_equal(price_cost(find(t, "openai", "gpt-5.4-mini-2026-03-17"), &u),
                     600 * 750000LL + 400 * 75000 + 100 * 4500000);
    const struct usage hour = {.input = 1000, .cache_write = 1000, .cache_write_1h = 1000};
    assert_int_equal(price_cost(find(t, "anthropic", "claude-haiku-4-5-20251001"), &hour), 1000 * 2000000LL);
    assert_non_null(find(t, "my-openai", "gpt-5"));
    assert_null(find(t, "my-groq", "openai/gpt-oss-120b")); /* groq and together bill cached tokens differently */
    assert_null(find(t, "openai", "gpt-1"));
    price_table_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(files_with_mistakes_are_refused_with_the_place),
        cmocka_unit_test(an_empty_table_knows_no_price),
        cmocka_unit_test(rows_are_found_by_name_then_without_date_then_anywhere),
        cmocka_unit_test(each_kind_of_token_has_its_own_price),
        cmocka_unit_test(what_a_row_leaves_open_is_derived),
        cmocka_unit_test(a_tier_bills_the_whole_request),
        cmocka_unit_test(impossible_counts_cost_no_less_than_nothing),
        cmocka_unit_test(the_built_in_table_is_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
