/* How many second attempts there are, and when. */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "upstream/hedge.h"

static struct hedge_budget b;

static int fresh(void **state) {
    (void)state;
    b = (struct hedge_budget){0};
    return 0;
}

static void never_more_than_its_share(void **state) {
    (void)state;
    static const uint32_t percents[] = {1, 5, 30, 100};
    for (size_t i = 0; i < sizeof percents / sizeof *percents; i++) {
        unsigned spent = 0;
        fresh(NULL);
        for (unsigned requests = 1; requests <= 10000; requests++) {
            hedge_earn(&b, percents[i]);
            spent += hedge_spend(&b);
            assert_true(spent * 100 <= requests * percents[i]);
        }
        assert_int_equal(spent, 100 * percents[i]);
    }
}

static void what_is_saved_has_a_bound(void **state) {
    (void)state;
    unsigned spent = 0;
    for (int i = 0; i < 100000; i++) hedge_earn(&b, 7);
    while (hedge_spend(&b)) spent++;
    assert_int_equal(spent, HEDGE_SAVED_MAX / HEDGE_COST);
}

static _Atomic unsigned all_spent;

static void *spender(void *context) {
    (void)context;
    for (int i = 0; i < 100000; i++) {
        hedge_earn(&b, 5);
        if (hedge_spend(&b)) atomic_fetch_add(&all_spent, 1);
    }
    return NULL;
}

static void many_spend_no_more_than_there_is(void **state) {
    (void)state;
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) pthread_create(&threads[i], NULL, spender, NULL);
    for (int i = 0; i < 4; i++) pthread_join(threads[i], NULL);
    assert_true(all_spent <= 4 * 100000 * 5 / 100);
    assert_true(all_spent > 4 * 100000 * 5 / 100 * 9 / 10);
}

static void due_after_that_and_a_sixteenth_of_it_at_most(void **state) {
    (void)state;
    static const uint64_t afters[] = {0, 1, 15, 33, 1000, 40000000, 800000000, 60000000000};
    for (size_t i = 0; i < sizeof afters / sizeof *afters; i++)
        for (uint64_t begun = 1; begun < UINT64_C(1) << 50; begun = begun * 3 + 7) {
            uint64_t due = hedge_due_ns(begun, afters[i]);
            assert_true(due >= begun + afters[i] && due <= begun + afters[i] + afters[i] / 16);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(never_more_than_its_share, fresh),
        cmocka_unit_test_setup(what_is_saved_has_a_bound, fresh),
        cmocka_unit_test_setup(many_spend_no_more_than_there_is, fresh),
        cmocka_unit_test_setup(due_after_that_and_a_sixteenth_of_it_at_most, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
