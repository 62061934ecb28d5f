/* Shared limits of which a part is taken ahead (`mode: lease`), against a Redis that the test plays. */
#include "shared_fixture.h"

static void open_lease(void) {
    limit_shared_free(shared);
    open_with(true, CONFIG_ON_FAILURE_LOCAL);
}

/* Asked, refilled: from then on decided at once. Redis gives what was wanted. */
static void refill(void) {
    limit_ticket_settle(taken(100), 100, 0, unix_ns);
    turn(300);
    struct call *k = last_call(LIMIT_SCRIPT_SYNC);
    const int64_t *want = k->numbers + AT + 17;
    assert_true(want[0] >= 8 && want[1] >= 800 && want[2] >= 8);
    answer(k, (int64_t[]){1, DAY, MONTH, 8, 0, 8, 800, 0, 0, 0, 0, 8, 800, 8, 0, 0, 0, 0}, 18);
}

static void what_is_ahead_needs_no_question(void **state) {
    (void)state;
    open_lease();
    limits.limit = (struct config_limit){1000, 100000, 50, 0, 0};
    refill();
    unsigned asked = calls_of(LIMIT_SCRIPT_TAKE);
    struct limit_ticket *t[8];
    for (int i = 0; i < 8; i++) {
        t[i] = take("", 100, 0);
        assert_int_equal(verdict(t[i]), FAILURE_NONE);
        assert_int_equal(limit_ticket_waited_ns(t[i]), TIME_UNKNOWN_NS);
    }
    assert_int_equal(calls_of(LIMIT_SCRIPT_TAKE), asked);
    struct limit_ticket *more = take("", 100, 0);
    assert_int_equal(calls_of(LIMIT_SCRIPT_TAKE), asked + 1); /* the purse is empty: asked as without it */
    answer_taken(last_call(LIMIT_SCRIPT_TAKE));
    turn(300);
    struct call *k = last_call(LIMIT_SCRIPT_SYNC);
    assert_int_equal(k->numbers[WINDOW], 8);
    assert_int_equal(k->numbers[REQUESTS_AHEAD], -8);
    assert_int_equal(k->numbers[TOKENS_AHEAD], -800);
    assert_int_equal(k->numbers[TOKENS], 800);
    assert_int_equal(k->numbers[RUNNING], 0);
    for (int i = 0; i < 8; i++) limit_ticket_settle(t[i], 100, 0, unix_ns);
    limit_ticket_settle(more, 100, 0, unix_ns);
}

static void what_is_ahead_and_not_used_goes_back(void **state) {
    (void)state;
    open_lease();
    limits.limit = (struct config_limit){1000, 100000, 50, 0, 0};
    refill();
    unsigned before = calls_of(LIMIT_SCRIPT_SYNC);
    for (int i = 0; i < 8; i++) turn(210);
    assert_int_equal(calls_of(LIMIT_SCRIPT_SYNC), before + 1);
    struct call *k = last_call(LIMIT_SCRIPT_SYNC);
    assert_int_equal(k->numbers[REQUESTS_AHEAD], -8);
    assert_int_equal(k->numbers[TOKENS_AHEAD], -800);
    assert_int_equal(k->numbers[BACK], 800);
    assert_int_equal(k->numbers[RUNNING], -8);
}

static void what_is_ahead_is_not_used_when_redis_was_not_heard_of(void **state) {
    (void)state;
    open_lease();
    limits.limit = (struct config_limit){1000, 100000, 50, 0, 0};
    refill();
    loop->now_ns += 8 * NS_PER_S;
    struct limit_ticket *t = take("", 100, 0);
    assert_true(limit_ticket_waits(t));
    answer_taken(last_call(LIMIT_SCRIPT_TAKE));
    limit_ticket_settle(t, 100, 0, unix_ns);
}

static void what_redis_does_not_know_to_be_ahead_is_forgotten(void **state) {
    (void)state;
    open_lease();
    limits.limit = (struct config_limit){1000, 100000, 50, 0, 0};
    refill();
    limit_ticket_settle(take("", 100, 0), 100, 0, unix_ns);
    turn(300);
    struct call *k = last_call(LIMIT_SCRIPT_SYNC);
    answer(k, (int64_t[]){1, DAY, MONTH, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 18);
    struct limit_ticket *t = take("", 100, 0);
    assert_true(limit_ticket_waits(t));
    answer_taken(last_call(LIMIT_SCRIPT_TAKE));
    turn(300);
    assert_int_equal(last_call(LIMIT_SCRIPT_SYNC)->numbers[BACK], 0);
    limit_ticket_settle(t, 100, 0, unix_ns);
}

static void money_ahead_goes_back_when_its_budget_goes(void **state) {
    (void)state;
    enum { DAY_RESERVED = AT + 8 };
    open_lease();
    limits.limit.pico_usd_per_day = UINT64_C(100000000000000);
    struct limit_ticket *t = take("", 0, 5000000);
    answer_taken(last_call(LIMIT_SCRIPT_TAKE));
    limit_ticket_settle(t, 0, 5000000, unix_ns);
    turn(300);
    answer(last_call(LIMIT_SCRIPT_SYNC), (int64_t[]){1, DAY, MONTH, 0, 0, 0, 0, 40, 0, 0, 0, 0, 0, 0, 40, 0, 0, 0}, 18);
    limits.limit.pico_usd_per_day = CONF_UNLIMITED;
    limits.limit.requests_per_minute = 100;
    limit_ticket_settle(taken(0), 0, 0, unix_ns);
    turn(300);
    struct call *k = last_call(LIMIT_SCRIPT_SYNC);
    assert_int_equal(k->numbers[DAY_RESERVED], -40);
    answer_sync(k, 0, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SHARED_TEST(what_is_ahead_needs_no_question),
        SHARED_TEST(what_is_ahead_and_not_used_goes_back),
        SHARED_TEST(what_is_ahead_is_not_used_when_redis_was_not_heard_of),
        SHARED_TEST(what_redis_does_not_know_to_be_ahead_is_forgotten),
        SHARED_TEST(money_ahead_goes_back_when_its_budget_goes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
