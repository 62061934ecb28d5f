/* Numbers with units: what is read, and what is refused rather than half understood. */
#include "unit.h"

#include "conf/errors.h"
#include "units.h"

struct row {
    const char *text;
    uint64_t value; /* WRONG: refused */
};
#define WRONG (UINT64_MAX - 1)

static void check(bool (*read)(struct slice, uint64_t *), const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        uint64_t value;
        bool fine = read(slice_of(rows[i].text), &value);
        if (fine != (rows[i].value != WRONG) || (fine && value != rows[i].value))
            fail_msg("<%s> gave %d %llu", rows[i].text, fine, (unsigned long long)value);
    }
}
#define CHECK(read, rows) check(read, rows, sizeof rows / sizeof *rows)

static void durations(void **state) {
    (void)state;
    static const struct row rows[] = {{"0", 0},
                                      {"0s", 0},
                                      {"250ms", 250000000},
                                      {"1s", 1000000000},
                                      {"2m", 120000000000},
                                      {"1h", 3600000000000},
                                      {"1d", 86400000000000},
                                      {"", WRONG},
                                      {"s", WRONG},
                                      {"1", WRONG},
                                      {"1 s", WRONG},
                                      {" 1s", WRONG},
                                      {"+1s", WRONG},
                                      {"-1s", WRONG},
                                      {"1.5s", WRONG},
                                      {"1S", WRONG},
                                      {"1sec", WRONG},
                                      {"10x", WRONG},
                                      {"1m30s", WRONG},
                                      {"213503d", 18446659200000000000u},
                                      {"213504d", WRONG},
                                      {"18446744073709551616s", WRONG}};
    CHECK(units_duration, rows);
}

static void sizes_and_rates(void **state) {
    (void)state;
    static const struct row sizes[] = {{"0", 0},
                                       {"1B", 1},
                                       {"64KiB", 65536},
                                       {"1MiB", 1 << 20},
                                       {"4GiB", UINT64_C(4) << 30},
                                       {"1TiB", UINT64_C(1) << 40},
                                       {"1", WRONG},
                                       {"1kB", WRONG},
                                       {"1KB", WRONG},
                                       {"1K", WRONG},
                                       {"1MB", WRONG},
                                       {"16777216TiB", WRONG},
                                       {"1.5GiB", WRONG}};
    static const struct row rates[] = {{"1KiB/s", 1024},  {"0/s", 0},    {"1KiB", WRONG},
                                       {"1KiB/m", WRONG}, {"/s", WRONG}, {"s", WRONG}};
    CHECK(units_size, sizes);
    CHECK(units_rate, rates);
}

static void counts_and_money(void **state) {
    (void)state;
    static const struct row counts[] = {{"0", 0},
                                        {"600", 600},
                                        {"200k", 200000},
                                        {"3M", 3000000},
                                        {"3m", WRONG},
                                        {"3K", WRONG},
                                        {"1e3", WRONG},
                                        {"0x10", WRONG},
                                        {"1_000", WRONG},
                                        {"18446744073709551615", UINT64_MAX},
                                        {"18446744073709551615k", WRONG}};
    static const struct row money[] = {{"25", 25000000000000}, {"0.5", 500000000000},
                                       {"0.50", 500000000000}, {"0.000001", 1000000},
                                       {"1.", WRONG},          {".5", WRONG},
                                       {"0.0000001", WRONG},   {"1,5", WRONG},
                                       {"$1", WRONG},          {"18446744.073709", 18446744073709000000u},
                                       {"18446745", WRONG}};
    static const struct row percents[] = {{"5%", 5},    {"100%", 100},  {"0%", 0},       {"%", WRONG},
                                          {"5", WRONG}, {"5 %", WRONG}, {"0.5%", WRONG}, {"-1%", WRONG}};
    CHECK(units_count, counts);
    CHECK(units_money, money);
    CHECK(units_percent, percents);
}

static void dates(void **state) {
    (void)state;
    static const struct {
        const char *text;
        int64_t unix_s;
    } rows[] = {{"1970-01-01", 0},
                {"1970-01-02", 86400},
                {"2000-02-29", 951782400},
                {"2027-01-01", 1798761600},
                {"2024-02-29T23:59:59Z", 1709251199},
                {"2100-03-01", 4107542400},
                {"9999-12-31", 253402214400},
                {"1969-12-31", -1},
                {"2100-02-29", -1},
                {"2023-02-29", -1},
                {"2024-00-01", -1},
                {"2024-01-00", -1},
                {"2024-04-31", -1},
                {"2024-1-01", -1},
                {"2024-01-01T00:60:00Z", -1},
                {"2024-01-01T00:00:00+", -1}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        int64_t value = -1;
        bool fine = units_date(slice_of(rows[i].text), &value);
        if (fine != (rows[i].unix_s >= 0) || (fine && value != rows[i].unix_s))
            fail_msg("%s gave %d %lld", rows[i].text, fine, (long long)value);
    }
}

static void what_is_written_is_read_back(void **state) {
    (void)state;
    static const uint64_t values[] = {0,           1000000,          1500000000, 60000000000, 86400000000000,
                                      90000000000, UINT64_C(5) << 40};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        char text[UNITS_TEXT_BYTES];
        uint64_t value;
        units_size_text(values[i], text);
        assert_true(units_size(slice_of(text), &value) && value == values[i]);
        if (values[i] % 1000000 != 0) continue;
        units_duration_text(values[i], text);
        assert_true(units_duration(slice_of(text), &value) && value == values[i]);
    }
}

static void the_nearest_name_is_few_edits_away(void **state) {
    (void)state;
    static const struct slice names[] = {SLICE_INIT("base_url"), SLICE_INIT("api_key"), SLICE_INIT("max_connections"),
                                         SLICE_INIT("idle"), SLICE_INIT("total")};
    static const struct {
        const char *written, *meant;
    } rows[] = {{"base_ulr", "base_url"},
                {"baseurl", "base_url"},
                {"BASE-URL", "base_url"},
                {"apikey", "api_key"},
                {"max_conns", "max_connections"},
                {"max", "max_connections"},
                {"idel", "idle"},
                {"totla", "total"},
                {"colour", NULL},
                {"", NULL},
                {"x", NULL}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice near = conf_nearest(slice_of(rows[i].written), names, sizeof names / sizeof *names);
        if (!slice_equal(near, slice_of(rows[i].meant)))
            fail_msg("%s is near to %.*s", rows[i].written, (int)near.n, near.n ? near.p : "");
    }
    assert_null(conf_nearest(SLICE("a name that is much too long to be one of those here"), names, 5).p);
}

static void a_quoted_name_is_short_and_printable(void **state) {
    (void)state;
    struct conf_errors errors = {0};
    assert_string_equal(conf_quote(&errors, SLICE("a\x1b[31m\n\xc3\xa4\xff\xc2\x85z\xe2\x82")),
                        "a?[31m?\xc3\xa4???z??");
    char text[100];
    memset(text, 'a', sizeof text);
    const char *quoted = conf_quote(&errors, (struct slice){text, sizeof text});
    assert_true(strlen(quoted) <= 60 + 3);
    assert_string_equal(quoted + strlen(quoted) - 3, "…");
    conf_errors_clear(&errors);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations),
        cmocka_unit_test(sizes_and_rates),
        cmocka_unit_test(counts_and_money),
        cmocka_unit_test(dates),
        cmocka_unit_test(what_is_written_is_read_back),
        cmocka_unit_test(the_nearest_name_is_few_edits_away),
        cmocka_unit_test(a_quoted_name_is_short_and_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
