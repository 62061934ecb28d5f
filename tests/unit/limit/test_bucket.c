/* The token bucket against one that counts whole tokens tick by tick, and the ends of its range. */
#include "unit.h"

#include "base/random.h"
#include "bucket.h"

enum { PER_MINUTE = 600, TICK_NS = 100000000 }; /* one token a tick */

struct model { /* what is there, one token at a time */
    int64_t level;
    uint64_t tick;
};

static void model_advance(struct model *m, uint64_t tick) {
    for (; m->tick < tick; m->tick++)
        if (m->level < PER_MINUTE) m->level++;
}

static bool model_fits(const struct model *m, uint64_t tokens) {
    return m->level >= (int64_t)(tokens ? tokens : 1);
}

static void model_settle(struct model *m, uint64_t reserved, uint64_t actual) {
    m->level += (int64_t)reserved - (int64_t)actual;
    if (m->level > PER_MINUTE) m->level = PER_MINUTE;
}

static void model_check(const struct bucket *b, const struct model *m, uint64_t tokens) {
    assert_int_equal(bucket_fits(b, PER_MINUTE, tokens), model_fits(m, tokens));
    assert_int_equal(bucket_missing(b), PER_MINUTE - m->level);
    if (model_fits(m, tokens)) {
        assert_int_equal(bucket_retry_ns(b, PER_MINUTE, tokens), 0);
        return;
    }
    uint64_t wait_ns = bucket_retry_ns(b, PER_MINUTE, tokens);
    struct model later = *m;
    model_advance(&later, m->tick + wait_ns / TICK_NS);
    assert_int_equal(wait_ns % TICK_NS, 0);
    assert_true(model_fits(&later, tokens));
    assert_int_equal(later.level, tokens ? tokens : 1);
}

static void it_holds_what_a_bucket_of_single_tokens_holds(void **state) {
    (void)state;
    enum { OPEN_MAX = 8 };
    for (int round = 0; round < 20; round++) {
        struct bucket b = {.at_ns = 7 * (uint64_t)TICK_NS};
        struct model m = {PER_MINUTE, 7};
        uint64_t open[OPEN_MAX] = {0}, tick = 7;
        for (int i = 0; i < 3000; i++) {
            tick += random_u64() % 4 == 0 ? random_u64() % 300 : random_u64() % 8;
            bucket_advance(&b, PER_MINUTE, tick * TICK_NS);
            model_advance(&m, tick);
            uint64_t tokens = random_u64() % (random_u64() % 5 == 0 ? PER_MINUTE : 60);
            model_check(&b, &m, tokens);
            uint64_t *slot = &open[random_u64() % OPEN_MAX];
            if (*slot != 0) {
                uint64_t actual = random_u64() % (2 * *slot + 1);
                bucket_settle(&b, *slot, actual);
                model_settle(&m, *slot, actual);
                *slot = 0;
            } else if (tokens > 0 && bucket_fits(&b, PER_MINUTE, tokens)) {
                bucket_reserve(&b, tokens);
                m.level -= (int64_t)tokens;
                *slot = tokens;
            }
            uint64_t reserved = 0;
            for (int k = 0; k < OPEN_MAX; k++) reserved += open[k];
            assert_int_equal(b.reserved, reserved);
        }
    }
}

static void an_overrun_is_a_debt_that_is_waited_for(void **state) {
    (void)state;
    struct bucket b = {.at_ns = 1};
    bucket_reserve(&b, 10);
    bucket_settle(&b, 10, 1810); /* two minutes and one more than there is */
    assert_false(bucket_fits(&b, PER_MINUTE, 0));
    assert_int_equal(bucket_retry_ns(&b, PER_MINUTE, 600), 180 * NS_PER_S + NS_PER_S);
    bucket_advance(&b, PER_MINUTE, 1 + 121 * NS_PER_S);
    assert_false(bucket_fits(&b, PER_MINUTE, 0));
    bucket_advance(&b, PER_MINUTE, 1 + 121 * NS_PER_S + TICK_NS);
    assert_true(bucket_fits(&b, PER_MINUTE, 0));
    assert_false(bucket_fits(&b, PER_MINUTE, 2));
}

static void a_refund_gives_back_no_more_than_is_missing(void **state) {
    (void)state;
    struct bucket b = {.at_ns = 1};
    bucket_reserve(&b, 500);
    bucket_advance(&b, PER_MINUTE, 1 + 60 * NS_PER_S);
    bucket_settle(&b, 500, 0);
    assert_int_equal(bucket_missing(&b), 0);
    assert_true(bucket_fits(&b, PER_MINUTE, PER_MINUTE));
    assert_false(bucket_fits(&b, PER_MINUTE, PER_MINUTE + 1));
}

static void a_changed_limit_keeps_what_is_missing(void **state) {
    (void)state;
    struct bucket b = {.at_ns = 1};
    bucket_reserve(&b, 500);
    assert_false(bucket_fits(&b, 600, 101));
    assert_true(bucket_fits(&b, 1000, 500));
    assert_false(bucket_fits(&b, 100, 0));
}

static void the_largest_numbers_do_not_overflow(void **state) {
    (void)state;
    const uint64_t max = UINT64_C(1000000000000);
    struct bucket b = {.at_ns = 1};
    bucket_reserve(&b, max);
    bucket_settle(&b, max, UINT64_MAX);
    assert_false(bucket_fits(&b, max, UINT64_MAX));
    assert_true(bucket_retry_ns(&b, max, 1) > UINT64_C(1000000) * 60 * NS_PER_S);
    assert_int_equal(bucket_retry_ns(&b, 1, UINT64_MAX), UINT64_MAX);
    bucket_advance(&b, max, UINT64_MAX);
    assert_int_equal(bucket_missing(&b), 0);
    bucket_advance(&b, max, 5); /* an older reading */
    assert_int_equal(b.at_ns, UINT64_MAX);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_holds_what_a_bucket_of_single_tokens_holds),
        cmocka_unit_test(an_overrun_is_a_debt_that_is_waited_for),
        cmocka_unit_test(a_refund_gives_back_no_more_than_is_missing),
        cmocka_unit_test(a_changed_limit_keeps_what_is_missing),
        cmocka_unit_test(the_largest_numbers_do_not_overflow),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
