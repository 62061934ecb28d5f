/* When a target is left alone, and how it comes back. */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "base/log.h"
#include "facts/names.h"
#include "upstream/health.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define BEGIN (1000 * SECOND)

static struct health h;
static bool probe;

static int fresh(void **state) {
    (void)state;
    log_level_set(LOG_LEVEL_ERROR);
    h = (struct health){.provider = NAME_NONE, .model = NAME_NONE};
    return 0;
}

static void fail_often(unsigned times, uint64_t now_ns) {
    for (unsigned i = 0; i < times; i++) health_failed(&h, now_ns, 0, "reset");
}

static void failures_in_a_row_cool_it(void **state) {
    (void)state;
    fail_often(HEALTH_FAILURES - 1, BEGIN);
    assert_int_equal(health_state_of(&h), HEALTH_UP);
    health_succeeded(&h, BEGIN);
    fail_often(HEALTH_FAILURES - 1, BEGIN);
    assert_true(health_usable(&h, BEGIN));
    fail_often(1, BEGIN);
    assert_int_equal(health_state_of(&h), HEALTH_COOLING);
    assert_false(health_usable(&h, BEGIN + HEALTH_COOL_NS - 1));
    assert_true(health_usable(&h, BEGIN + HEALTH_COOL_NS));
    assert_true(health_until_ns(&h) == BEGIN + HEALTH_COOL_NS);
    assert_false(health_enter(&h, BEGIN + 1, &probe));
}

static void one_try_is_the_probe_and_its_end_decides(void **state) {
    (void)state;
    uint64_t later = BEGIN + HEALTH_COOL_NS;
    fail_often(HEALTH_FAILURES, BEGIN);
    assert_true(health_enter(&h, later, &probe) && probe);
    assert_int_equal(health_state_of(&h), HEALTH_PROBING);
    assert_false(health_usable(&h, later));
    assert_false(health_enter(&h, later, &probe) || probe);
    health_succeeded(&h, later);
    assert_int_equal(health_state_of(&h), HEALTH_UP);
    assert_true(health_enter(&h, later, &probe) && !probe);
}

static void a_probe_that_fails_cools_it_for_twice_as_long(void **state) {
    (void)state;
    uint64_t now = BEGIN, expected = HEALTH_COOL_NS;
    fail_often(HEALTH_FAILURES, now);
    for (int i = 0; i < 10; i++) {
        assert_true(health_until_ns(&h) == now + expected);
        now += expected;
        assert_true(health_enter(&h, now, &probe) && probe);
        fail_often(1, now);
        expected = expected * 2 < HEALTH_COOL_MAX_NS ? expected * 2 : HEALTH_COOL_MAX_NS;
    }
    now += expected;
    assert_true(health_enter(&h, now, &probe));
    health_succeeded(&h, BEGIN);
    fail_often(HEALTH_FAILURES, now);
    assert_true(health_until_ns(&h) == now + HEALTH_COOL_NS); /* from the start again */
}

static void a_probe_nobody_hears_of_is_followed_by_another(void **state) {
    (void)state;
    uint64_t later = BEGIN + HEALTH_COOL_NS;
    fail_often(HEALTH_FAILURES, BEGIN);
    assert_true(health_enter(&h, later, &probe) && probe);
    assert_false(health_enter(&h, later + HEALTH_PROBE_NS - 1, &probe));
    assert_true(health_enter(&h, later + HEALTH_PROBE_NS, &probe) && probe);
    health_undecided(&h, later + HEALTH_PROBE_NS);
    assert_true(health_enter(&h, later + HEALTH_PROBE_NS, &probe) && probe);
}

static void what_the_provider_asks_for_counts_at_once(void **state) {
    (void)state;
    health_failed(&h, BEGIN, 20 * SECOND, "rate_limited");
    assert_true(health_until_ns(&h) == BEGIN + 20 * SECOND);
    health_failed(&h, BEGIN, 3 * SECOND, "rate_limited"); /* it has asked for more already */
    assert_true(health_until_ns(&h) == BEGIN + 20 * SECOND);
    health_failed(&h, BEGIN, 48 * 3600 * SECOND, "rate_limited");
    assert_true(health_until_ns(&h) == BEGIN + HEALTH_ASKED_MAX_NS);
}

static void an_older_try_does_not_end_a_cool_down(void **state) {
    (void)state;
    health_failed(&h, BEGIN, 20 * SECOND, "rate_limited");
    health_succeeded(&h, BEGIN + 1);
    assert_int_equal(health_state_of(&h), HEALTH_COOLING);
    health_succeeded(&h, BEGIN + 20 * SECOND); /* one that waited until then */
    assert_int_equal(health_state_of(&h), HEALTH_UP);
}

static void the_quicker_and_the_less_busy_one_scores_less(void **state) {
    (void)state;
    struct health slow = {0}, unknown = {0};
    for (unsigned i = 1; i <= 50; i++) {
        health_first_token(&h, 100 * MS, BEGIN + i * 10 * MS);
        health_first_token(&slow, 400 * MS, BEGIN + i * 10 * MS);
    }
    uint64_t now = BEGIN + SECOND;
    assert_true(health_score(&h, now) < health_score(&slow, now));
    assert_true(health_score(&unknown, now) < health_score(&h, now));
    atomic_store(&h.in_flight, 9);
    assert_true(health_score(&h, now) > health_score(&slow, now));
    assert_true(health_score(&slow, now + 3 * HEALTH_HALF_LIFE_NS) < health_score(&slow, now) / 7);
}

static void the_mean_follows(void **state) {
    (void)state;
    for (unsigned i = 1; i <= 100; i++) health_first_token(&h, 100 * MS, BEGIN + i * 10 * MS);
    for (unsigned i = 101; i <= 200; i++) health_first_token(&h, 300 * MS, BEGIN + i * 10 * MS);
    assert_in_range(atomic_load(&h.ttft_ns) / MS, 295, 300);
}

static void one_of_twenty_is_late(void **state) {
    (void)state;
    uint64_t now = BEGIN, random = 1;
    assert_true(health_late_ns(&h) == 0); /* nothing is known */
    for (unsigned i = 0; i < 20; i++) health_first_token(&h, (100 + i) * MS, now += 10 * MS);
    assert_true(health_late_ns(&h) == 119 * MS);
    for (int level = 1; level <= 3; level++) { /* uniform from 0 to 1 s, to 2 s, to 3 s */
        unsigned late = 0, counted = 0;
        for (unsigned i = 0; i < 20000; i++) {
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407;
            uint64_t ttft = (random >> 33) % 1000 * (uint64_t)level * MS;
            if (i >= 2000) counted++, late += ttft > health_late_ns(&h);
            health_first_token(&h, ttft, now += 10 * MS);
        }
        assert_in_range(health_late_ns(&h) / MS, 850 * (uint64_t)level, 1000 * (uint64_t)level);
        assert_in_range(late * 1000 / counted, 40, 60);
    }
}

static void the_same_target_is_the_same_health(void **state) {
    (void)state;
    uint32_t provider = name_id(SLICE("health-p")), a = name_id(SLICE("health-a")), b = name_id(SLICE("health-b"));
    struct health *first = health_of(provider, a);
    assert_ptr_equal(health_of(provider, a), first);
    assert_ptr_not_equal(health_of(provider, b), first);
    assert_int_equal((uintptr_t)first % 64, 0);
    unsigned cursor = 0, count = 0;
    while (health_next(&cursor) != NULL) count++;
    assert_int_equal(count, 2);
}

/* ---- from many threads ---- */

enum { THREADS = 4, ROUNDS = 1000 };
static _Atomic unsigned probes[ROUNDS], arrived;

static void *prober(void *context) {
    (void)context;
    for (unsigned i = 0; i < ROUNDS; i++) {
        bool is_probe;
        uint64_t now = BEGIN + i * 4 * HEALTH_COOL_MAX_NS;
        if (health_enter(&h, now, &is_probe) && is_probe) atomic_fetch_add(&probes[i], 1);
        atomic_fetch_add(&arrived, 1);
        for (unsigned looked = 0; atomic_load(&arrived) < (i + 1) * THREADS; looked++)
            if (looked > 2000) sched_yield(); /* a busy machine: those who are missing need it */
    }
    return NULL;
}

static void of_many_at_once_exactly_one_is_the_probe(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    fail_often(HEALTH_FAILURES, BEGIN - HEALTH_COOL_NS);
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, prober, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < ROUNDS; i++) assert_int_equal(probes[i], 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(failures_in_a_row_cool_it, fresh),
        cmocka_unit_test_setup(one_try_is_the_probe_and_its_end_decides, fresh),
        cmocka_unit_test_setup(a_probe_that_fails_cools_it_for_twice_as_long, fresh),
        cmocka_unit_test_setup(a_probe_nobody_hears_of_is_followed_by_another, fresh),
        cmocka_unit_test_setup(what_the_provider_asks_for_counts_at_once, fresh),
        cmocka_unit_test_setup(an_older_try_does_not_end_a_cool_down, fresh),
        cmocka_unit_test_setup(the_quicker_and_the_less_busy_one_scores_less, fresh),
        cmocka_unit_test_setup(the_mean_follows, fresh),
        cmocka_unit_test_setup(one_of_twenty_is_late, fresh),
        cmocka_unit_test_setup(the_same_target_is_the_same_health, fresh),
        cmocka_unit_test_setup(of_many_at_once_exactly_one_is_the_probe, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
