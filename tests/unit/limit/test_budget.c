/* Days and months by the calendar, and what happens to them when the clock is set. */
#include "unit.h"

#include <time.h>

#include "base/clock.h"
#include "base/random.h"
#include "budget.h"

#define HOUR_NS (3600 * NS_PER_S)
#define DAY_NS (24 * HOUR_NS)

static int64_t unix_at(int year, int month, int day, int hour) {
    struct tm t = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day, .tm_hour = hour};
    return (int64_t)timegm(&t) * (int64_t)NS_PER_S;
}

static void the_calendar_is_the_c_librarys(void **state) {
    (void)state;
    for (int i = 0; i < 20000; i++) {
        time_t seconds = (time_t)(random_u64() % UINT64_C(7000000000)); /* to the year 2191 */
        int64_t begin, end, unix_ns = (int64_t)seconds * (int64_t)NS_PER_S;
        struct tm t;
        gmtime_r(&seconds, &t);
        int year = t.tm_year + 1900, month = t.tm_mon + 1;
        assert_int_equal(calendar_number(PERIOD_MONTH, unix_ns, &begin, &end), (year - 1970) * 12 + month - 1);
        assert_int_equal(begin, unix_at(year, month, 1, 0));
        assert_int_equal(end, unix_at(year, month + 1, 1, 0));
        assert_int_equal(calendar_number(PERIOD_DAY, unix_ns, &begin, &end), seconds / 86400);
        assert_int_equal(begin, unix_at(year, month, t.tm_mday, 0));
        assert_int_equal(end, begin + (int64_t)DAY_NS);
    }
}

static void a_period_ends_when_the_calendar_says_so(void **state) {
    (void)state;
    struct period day = {0}, month = {0};
    int64_t unix_ns = unix_at(2028, 2, 28, 23);
    assert_true(period_advance(&day, PERIOD_DAY, 1000, unix_ns));
    assert_true(period_advance(&month, PERIOD_MONTH, 1000, unix_ns));
    assert_int_equal(day.since_unix_ns, unix_at(2028, 2, 28, 0));
    assert_int_equal(month.since_unix_ns, unix_at(2028, 2, 1, 0));
    assert_false(period_advance(&day, PERIOD_DAY, 999 + HOUR_NS, unix_ns + (int64_t)HOUR_NS - 1));
    assert_true(period_advance(&day, PERIOD_DAY, 1000 + HOUR_NS, unix_ns + (int64_t)HOUR_NS));
    assert_false(period_advance(&month, PERIOD_MONTH, 1000 + HOUR_NS, unix_ns + (int64_t)HOUR_NS)); /* a leap year */
    assert_true(period_advance(&month, PERIOD_MONTH, 1000 + 25 * HOUR_NS, unix_ns + 25 * (int64_t)HOUR_NS));
    assert_int_equal(month.since_unix_ns, unix_at(2028, 3, 1, 0));
}

static void setting_the_clock_gives_no_fresh_budget_and_locks_out_for_one_more_period_at_most(void **state) {
    (void)state;
    static const int64_t steps_h[] = {1, -1, 13, -13, 24, -24, 240, -240, 87600, -87600};
    for (int kind = PERIOD_DAY; kind <= PERIOD_MONTH; kind++) {
        uint64_t longest_ns = kind == PERIOD_DAY ? DAY_NS : 31 * DAY_NS;
        for (size_t i = 0; i < sizeof steps_h / sizeof *steps_h; i++) {
            struct period p = {0};
            uint64_t now_ns = 50 * NS_PER_S, until_ns;
            int64_t unix_ns = unix_at(2026, 11, 24, 12);
            assert_true(period_advance(&p, (enum period_kind)kind, now_ns, unix_ns));
            until_ns = p.ends_ns;
            for (; now_ns < until_ns; now_ns += HOUR_NS / 2) /* set again and again, there and back */
                assert_false(period_advance(&p, (enum period_kind)kind, now_ns,
                                            unix_ns + (random_u64() % 2 ? steps_h[i] * (int64_t)HOUR_NS : 0)));
            int64_t offset_ns = unix_ns - 50 * (int64_t)NS_PER_S + steps_h[i] * (int64_t)HOUR_NS;
            bool fresh = false;
            for (; !fresh; now_ns += HOUR_NS / 2) {
                fresh = period_advance(&p, (enum period_kind)kind, now_ns, (int64_t)now_ns + offset_ns);
                assert_true(now_ns <= until_ns + longest_ns + HOUR_NS);
            }
        }
    }
}

static void amounts_are_exact_and_saturate(void **state) {
    (void)state;
    struct budget b = {0};
    const uint64_t max = UINT64_C(1000000000000000000); /* a million dollars */
    for (int i = 0; i < 1000000; i++) {
        budget_reserve(&b, 999999999999);
        budget_settle(&b, 999999999999, 123456789);
    }
    assert_int_equal(b.used, UINT64_C(123456789) * 1000000);
    assert_int_equal(b.reserved, 0);
    assert_true(budget_fits(&b, max, max - b.used));
    assert_false(budget_fits(&b, max, max - b.used + 1));
    budget_settle(&b, 5, UINT64_MAX);
    assert_int_equal(b.reserved, 0);
    assert_int_equal(b.used, UINT64_MAX);
    assert_false(budget_fits(&b, max, 0));
    budget_reserve(&b, UINT64_MAX);
    assert_false(budget_fits(&b, max, UINT64_MAX));
}

static void what_is_of_unknown_cost_fits_while_anything_is_left(void **state) {
    (void)state;
    struct budget b = {0};
    budget_settle(&b, 0, 99);
    assert_true(budget_fits(&b, 100, 0));
    budget_settle(&b, 0, 1);
    assert_false(budget_fits(&b, 100, 0));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_calendar_is_the_c_librarys),
        cmocka_unit_test(a_period_ends_when_the_calendar_says_so),
        cmocka_unit_test(setting_the_clock_gives_no_fresh_budget_and_locks_out_for_one_more_period_at_most),
        cmocka_unit_test(amounts_are_exact_and_saturate),
        cmocka_unit_test(what_is_of_unknown_cost_fits_while_anything_is_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
