/* The window of requests against a list of all that was ever let in: never more than N in any 60 s, nobody kept out who
 * has less than N before him, and the wait it tells is the shortest that is enough. */
#include "unit.h"

#include <string.h>

#include "base/clock.h"
#include "base/random.h"
#include "window.h"

enum { ADMITTED_MAX = 20000 };

static uint64_t admitted[ADMITTED_MAX];
static size_t admitted_count;

/* How many of all were let in at `from` or later. */
static uint64_t admitted_since(uint64_t from_ns) {
    uint64_t count = 0;
    for (size_t i = admitted_count; i-- > 0 && admitted[i] >= from_ns;) count++;
    return count;
}

static bool ask(struct window *w, uint64_t max, uint64_t now_ns) {
    window_advance(w, now_ns);
    if (!window_fits(w, max)) return false;
    window_add(w);
    if (admitted_count < ADMITTED_MAX) admitted[admitted_count++] = now_ns;
    return true;
}

static void check(struct window *w, uint64_t max, uint64_t now_ns) {
    bool let_in = ask(w, max, now_ns);
    assert_true(admitted_since(now_ns - 60 * NS_PER_S) <= max);
    if (let_in) {
        assert_int_equal(window_retry_ns(w, max + 1, now_ns), 0);
        return;
    }
    assert_true(admitted_since(now_ns - 61 * NS_PER_S) >= max);
    uint64_t wait_ns = window_retry_ns(w, max, now_ns);
    assert_true(wait_ns > 0 && wait_ns <= 61 * NS_PER_S);
    struct window later = *w, sooner = *w;
    window_advance(&later, now_ns + wait_ns);
    assert_true(window_fits(&later, max));
    window_advance(&sooner, now_ns + wait_ns - 1);
    assert_false(window_fits(&sooner, max));
}

/* Bursts, steady streams and pauses, in random order. */
static uint64_t step_ns(void) {
    switch (random_u64() % 6) {
    case 0:
        return 0;
    case 1:
        return random_u64() % 1000;
    case 2:
        return random_u64() % (200 * NS_PER_MS);
    case 3:
        return NS_PER_S;
    case 4:
        return random_u64() % (5 * NS_PER_S);
    default:
        return random_u64() % 20 == 0 ? random_u64() % (200 * NS_PER_S) : random_u64() % (50 * NS_PER_MS);
    }
}

static void never_more_than_n_in_any_60_seconds(void **state) {
    (void)state;
    static const uint64_t maxima[] = {1, 2, 7, 60, 600};
    for (size_t m = 0; m < sizeof maxima / sizeof *maxima; m++) {
        struct window w = {0};
        uint64_t now_ns = 100 * NS_PER_S + random_u64() % NS_PER_S;
        admitted_count = 0;
        for (int i = 0; i < 8000; i++, now_ns += step_ns()) check(&w, maxima[m], now_ns);
        assert_true(admitted_count > maxima[m]);
    }
}

static void a_burst_at_a_minutes_edge_is_one_burst(void **state) {
    (void)state;
    struct window w = {0};
    admitted_count = 0;
    for (int i = 0; i < 1200; i++) ask(&w, 600, 119 * NS_PER_S + 900 * NS_PER_MS);
    for (int i = 0; i < 1200; i++) ask(&w, 600, 120 * NS_PER_S + 100 * NS_PER_MS);
    for (int i = 0; i < 1200; i++) ask(&w, 600, 179 * NS_PER_S + 900 * NS_PER_MS);
    assert_int_equal(admitted_count, 600);
    for (int i = 0; i < 1200; i++) ask(&w, 600, 180 * NS_PER_S);
    assert_int_equal(admitted_count, 1200);
}

static void another_threads_older_clock_reading_changes_nothing(void **state) {
    (void)state;
    struct window w = {0};
    window_advance(&w, 100 * NS_PER_S);
    window_add(&w);
    window_advance(&w, 99 * NS_PER_S);
    window_add(&w);
    assert_int_equal(w.second, 100);
    assert_int_equal(w.sum, 2);
    assert_int_equal(window_reset_ns(&w, 100 * NS_PER_S), 61 * NS_PER_S);
}

static void a_smaller_limit_holds_at_once_and_tells_the_right_wait(void **state) {
    (void)state;
    struct window w = {0};
    for (int i = 0; i < 10; i++) {
        window_advance(&w, (100 + (uint64_t)i) * NS_PER_S);
        window_add(&w);
    }
    uint64_t now_ns = 110 * NS_PER_S;
    window_advance(&w, now_ns);
    assert_false(window_fits(&w, 3));
    assert_int_equal(window_retry_ns(&w, 3, now_ns), (107 + 61 - 110) * NS_PER_S);
    assert_true(window_fits(&w, 11));
}

static void it_is_empty_after_61_seconds(void **state) {
    (void)state;
    struct window w = {0};
    assert_int_equal(window_reset_ns(&w, 5), 0);
    window_advance(&w, 1000 * NS_PER_S);
    window_add(&w);
    window_advance(&w, 1060 * NS_PER_S + 999999999);
    assert_int_equal(w.sum, 1);
    window_advance(&w, 1061 * NS_PER_S);
    assert_int_equal(w.sum, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(never_more_than_n_in_any_60_seconds),
        cmocka_unit_test(a_burst_at_a_minutes_edge_is_one_burst),
        cmocka_unit_test(another_threads_older_clock_reading_changes_nothing),
        cmocka_unit_test(a_smaller_limit_holds_at_once_and_tells_the_right_wait),
        cmocka_unit_test(it_is_empty_after_61_seconds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
