/* Shared limits against a Redis that the test plays: what is asked, what becomes of answers that come, do not come, or
 * come too late. The scripts themselves have tests of their own (tests/e2e/test_limit_scripts.py). */
#include "shared_fixture.h"

static void a_scripts_text_begins_with_what_they_share(void **state) {
    (void)state;
    for (enum limit_script i = 0; i < LIMIT_SCRIPT_REPLICAS; i++) {
        const struct redis_script *s = limit_script(i);
        assert_true(slice_starts(s->source, SLICE("-- lua/limit_state.lua")));
        assert_non_null(memmem(s->source.p, s->source.n, s->name.p, s->name.n));
    }
    assert_true(slice_starts(limit_script(LIMIT_SCRIPT_REPLICAS)->source, SLICE("-- lua/limit_replicas.lua")));
}

static void one_question_decides_over_all_scopes(void **state) {
    (void)state;
    limits.limit = (struct config_limit){10, 1000, 5, UINT64_C(25000000000001), 0};
    models[0].limit = (struct config_limit){.requests_per_minute = 3};
    limits.models.count = 1;
    struct limit_ticket *t = take("fast", 100, 7000001);
    assert_true(limit_ticket_waits(t));
    assert_int_equal(call_count, 1);
    struct call *k = &calls[0];
    assert_true(is_script(k, LIMIT_SCRIPT_TAKE));
    assert_int_equal(k->key_count, 2);
    assert_string_equal(k->keys[0], "weir:{acme}limit");
    assert_string_equal(k->keys[1], "weir:{acme}limit:fast");
    assert_int_equal(k->word_count, 2 + 2 + 2 * 12);
    static const int64_t numbers[] = {10000, 10, 1000, 5, 25000000, 1, 0, 0, 100, 7, 1, 0, 0, 3, 0, 0};
    assert_memory_equal(k->numbers, numbers, sizeof numbers);
    answer(k, (int64_t[]){1, 0, 0, 0, DAY, MONTH, 0, 4, 0, 2, 0, 61000000, 8, 1, 0, 0, 0, 61000000}, 18);
    assert_int_equal(decided_count, 1);
    assert_int_equal(verdict(t), FAILURE_NONE);
    assert_int_equal(limit_ticket_waited_ns(t), 1000);
    struct limit_row rows[2 * LIMIT_COUNT];
    unsigned count = limit_view(local, &acme, SLICE("fast"), loop->now_ns, unix_ns, rows);
    assert_int_equal(count, 5);
    assert_int_equal(rows[0].used, 4);
    assert_int_equal(rows[0].reserved, 2);
    assert_int_equal(rows[0].remaining, 4);
    limit_ticket_settle(t, 40, 3, unix_ns);
}

static void a_refusal_says_what_redis_says(void **state) {
    (void)state;
    struct limit_refusal why;
    limits.limit.requests_per_minute = 10;
    models[0].limit.pico_usd_per_day = 77;
    limits.models.count = 1;
    struct limit_ticket *t = take("fast", 0, 5);
    answer(&calls[0], (int64_t[]){0, 1, LIMIT_DAY, 1500000, DAY, MONTH}, 6);
    assert_int_equal(limit_ticket_verdict(t, &why), FAILURE_LIMIT_EXCEEDED);
    assert_true(why.of_model);
    assert_int_equal(why.kind, LIMIT_DAY);
    assert_int_equal(why.max, 77);
    assert_int_equal(why.retry_after_ns, 1500 * NS_PER_MS);
    limit_ticket_settle(t, 9, 9, unix_ns);
    turn(0);
    assert_int_equal(call_count, 1); /* there is nothing to tell */
}

static void who_goes_on_asking_a_full_minute_is_refused_without_redis(void **state) {
    (void)state;
    static const int64_t full[] = {0, 0, LIMIT_REQUESTS, 5000000, DAY, MONTH, 0, 10, 0, 0, 0, 61000000};
    static const int64_t ahead[] = {0, 0, LIMIT_REQUESTS, 5000000, DAY, MONTH, 0, 9, 0, 1, 0, 61000000};
    struct limit_refusal why;
    limits.limit.requests_per_minute = 10;
    limit_ticket_settle(taken(0), 0, 0, unix_ns);
    for (int i = 0; i < 3; i++) {
        struct limit_ticket *t = take("", 0, 0);
        if (i == 0) answer(last_call(LIMIT_SCRIPT_TAKE), full, 12);
        assert_int_equal(limit_ticket_verdict(t, &why), FAILURE_LIMIT_EXCEEDED);
        assert_int_equal(why.retry_after_ns, 5 * NS_PER_S - (uint64_t)i * 400 * NS_PER_MS);
        limit_ticket_settle(t, 0, 0, unix_ns);
        loop->now_ns += 400 * NS_PER_MS;
    }
    assert_int_equal(call_count, 2);
    struct limit_ticket *t = take("", 0, 0); /* more than a second later: asked again */
    assert_int_equal(call_count, 3);
    answer(last_call(LIMIT_SCRIPT_TAKE), ahead, 12);
    limit_ticket_settle(t, 0, 0, unix_ns);
    t = take("", 0, 0); /* what was only taken ahead may come back any time */
    assert_int_equal(call_count, 4);
    answer(last_call(LIMIT_SCRIPT_TAKE), full, 12);
    limit_ticket_settle(t, 0, 0, unix_ns);
    limits.limit.requests_per_minute = 11; /* another limit is another question */
    t = take("", 0, 0);
    assert_int_equal(call_count, 5);
    answer_taken(last_call(LIMIT_SCRIPT_TAKE));
    limit_ticket_settle(t, 0, 0, unix_ns);
}

static void what_never_fits_is_not_asked(void **state) {
    (void)state;
    limits.limit.tokens_per_minute = 100;
    struct limit_ticket *t = take("", 101, 0);
    assert_int_equal(verdict(t), FAILURE_NEVER_FITS);
    assert_int_equal(call_count, 0);
    assert_int_equal(limit_ticket_waited_ns(t), TIME_UNKNOWN_NS);
    limit_ticket_settle(t, 0, 0, unix_ns);
}

static void settlements_are_summed_while_one_is_under_way(void **state) {
    (void)state;
    limits.limit.tokens_per_minute = 1000;
    struct limit_ticket *t[3];
    for (int i = 0; i < 3; i++) t[i] = taken(100);
    limit_ticket_settle(t[0], 30, 0, unix_ns);
    turn(0);
    struct call *first = last_call(LIMIT_SCRIPT_SYNC);
    assert_int_equal(first->numbers[SERIAL], 1);
    assert_int_equal(first->numbers[RUNNING], -1);
    assert_int_equal(first->numbers[TOKENS], -100);
    assert_int_equal(first->numbers[MISSING], -70);
    limit_ticket_settle(t[1], 120, 0, unix_ns);
    limit_ticket_settle(t[2], 0, 0, unix_ns);
    turn(0);
    assert_int_equal(calls_of(LIMIT_SCRIPT_SYNC), 1);
    answer_sync(first, 2, 200);
    turn(0);
    struct call *second = last_call(LIMIT_SCRIPT_SYNC);
    assert_int_equal(second->numbers[SERIAL], 2);
    assert_int_equal(second->numbers[RUNNING], -2);
    assert_int_equal(second->numbers[TOKENS], -200);
    assert_int_equal(second->numbers[MISSING], -80);
    answer_sync(second, 0, 0);
    turn(0);
    assert_int_equal(calls_of(LIMIT_SCRIPT_SYNC), 2);
}

static void an_unanswered_message_is_sent_again_as_it_was(void **state) {
    (void)state;
    limits.limit.tokens_per_minute = 1000;
    struct limit_ticket *first = taken(100), *second = taken(100);
    limit_ticket_settle(first, 30, 0, unix_ns);
    turn(0);
    struct call lost = *last_call(LIMIT_SCRIPT_SYNC);
    lose(last_call(LIMIT_SCRIPT_SYNC), REDIS_TIMEOUT);
    limit_ticket_settle(second, 60, 0, unix_ns);
    breaker_open = true;
    turn(300);
    turn(300);
    breaker_open = false;
    turn(300);
    struct call *again = last_call(LIMIT_SCRIPT_SYNC);
    assert_int_equal(calls_of(LIMIT_SCRIPT_SYNC), 2);
    assert_memory_equal(again->numbers, lost.numbers, sizeof lost.numbers);
    answer_sync(again, 1, 100);
    turn(0);
    struct call *next = last_call(LIMIT_SCRIPT_SYNC);
    assert_int_equal(next->numbers[SERIAL], 2);
    assert_int_equal(next->numbers[MISSING], -40);
    answer_sync(next, 0, 0);
}

static void an_unanswered_message_goes_again_as_soon_as_redis_answers_anything(void **state) {
    (void)state;
    limits.limit.concurrent_requests = 10;
    limit_ticket_settle(taken(0), 0, 0, unix_ns);
    turn(0);
    struct call lost = *last_call(LIMIT_SCRIPT_SYNC);
    lose(last_call(LIMIT_SCRIPT_SYNC), REDIS_REFUSED);
    turn(0);
    assert_int_equal(calls_of(LIMIT_SCRIPT_SYNC), 1); /* nothing says that it would be answered */
    struct limit_ticket *t = taken(0);
    turn(0);
    assert_int_equal(calls_of(LIMIT_SCRIPT_SYNC), 2);
    assert_memory_equal(last_call(LIMIT_SCRIPT_SYNC)->numbers, lost.numbers, sizeof lost.numbers);
    answer_sync(last_call(LIMIT_SCRIPT_SYNC), 1, 0);
    limit_ticket_settle(t, 0, 0, unix_ns);
}

static void an_answer_to_an_older_question_is_older(void **state) {
    (void)state;
    struct limit_row rows[2 * LIMIT_COUNT];
    limits.limit.requests_per_minute = 10;
    struct limit_ticket *first = take("", 0, 0);
    loop->now_ns += NS_PER_MS;
    struct limit_ticket *second = take("", 0, 0);
    answer(&calls[1], (int64_t[]){1, 0, 0, 0, DAY, MONTH, 0, 2, 0, 0, 0, 61000000}, 12);
    answer(&calls[0], (int64_t[]){1, 0, 0, 0, DAY, MONTH, 0, 1, 0, 0, 0, 61000000}, 12);
    assert_int_equal(limit_view(local, &acme, SLICE(""), loop->now_ns, unix_ns, rows), 1);
    assert_int_equal(rows[0].used, 2);
    limit_ticket_settle(first, 0, 0, unix_ns);
    limit_ticket_settle(second, 0, 0, unix_ns);
}

static void who_asks_where_it_stands_without_redis_is_shown_its_own(void **state) {
    (void)state;
    struct limit_row rows[2 * LIMIT_COUNT];
    limits.limit.requests_per_minute = 10;
    for (int how = 0; how < 2; how++) {
        struct limit_ticket *t = take("", 0, 0);
        answer(last_call(LIMIT_SCRIPT_TAKE), (int64_t[]){1, 0, 0, 0, DAY, MONTH, 0, 7, 0, 0, 0, 61000000}, 12);
        breaker_open = how == 0;
        struct limit_ticket *view = limit_shared_view(shared, &acme, unix_ns, decided, NULL);
        if (how == 1) lose(last_call(LIMIT_SCRIPT_VIEW), REDIS_TIMEOUT);
        breaker_open = false;
        assert_int_equal(verdict(view), FAILURE_LIMITER_DOWN);
        limit_view(local, &acme, SLICE(""), loop->now_ns, unix_ns, rows);
        assert_int_equal(rows[0].used, how + 1);
        limit_ticket_settle(view, 0, 0, unix_ns);
        limit_ticket_settle(t, 0, 0, unix_ns);
    }
}

static void who_leaves_before_the_answer_gives_back_what_it_took(void **state) {
    (void)state;
    limits.limit.tokens_per_minute = 1000;
    struct limit_ticket *t = take("", 100, 0);
    limit_ticket_abandon(t);
    answer_taken(&calls[0]);
    assert_int_equal(decided_count, 0);
    turn(0);
    struct call *k = last_call(LIMIT_SCRIPT_SYNC);
    assert_int_equal(k->numbers[RUNNING], -1);
    assert_int_equal(k->numbers[MISSING], -100);
    answer_sync(k, 0, 0);
}

static void an_answer_that_was_lost_is_put_right(void **state) {
    (void)state;
    limits.limit.tokens_per_minute = 1000;
    struct limit_ticket *t = taken(50), *lost = take("", 100, 0);
    lose(last_call(LIMIT_SCRIPT_TAKE), REDIS_TIMEOUT); /* it was carried out, and decided here */
    assert_int_equal(verdict(lost), FAILURE_NONE);
    turn(0);
    struct call *k = last_call(LIMIT_SCRIPT_SYNC);
    assert_int_equal(k->numbers[WINDOW], 1);
    assert_int_equal(k->numbers[RUNNING], 1);
    assert_int_equal(k->numbers[MISSING], 100);
    answer_sync(k, 3, 250); /* the two, and the one of which nothing was heard */
    turn(0);
    struct call *right = last_call(LIMIT_SCRIPT_SYNC);
    assert_int_equal(right->numbers[RUNNING], -1);
    assert_int_equal(right->numbers[TOKENS], -100);
    assert_int_equal(right->numbers[MISSING], 0);
    answer_sync(right, 2, 150);
    limit_ticket_settle(t, 50, 0, unix_ns);
    limit_ticket_settle(lost, 100, 0, unix_ns);
}

static void what_redis_has_forgotten_is_told_anew(void **state) {
    (void)state;
    limits.limit.tokens_per_minute = 1000;
    struct limit_ticket *t = taken(50);
    unsigned before = calls_of(LIMIT_SCRIPT_SYNC);
    for (int i = 0; i < 20; i++) turn(200);
    assert_int_equal(calls_of(LIMIT_SCRIPT_SYNC), before + 1); /* a heartbeat */
    answer_sync(last_call(LIMIT_SCRIPT_SYNC), 0, 0);
    turn(0);
    struct call *k = last_call(LIMIT_SCRIPT_SYNC);
    assert_int_equal(k->numbers[RUNNING], 1);
    assert_int_equal(k->numbers[TOKENS], 50);
    assert_int_equal(k->numbers[MISSING], 0);
    answer_sync(k, 1, 50);
    limit_ticket_settle(t, 50, 0, unix_ns);
}

static void what_runs_long_is_told_again_though_others_come_and_go(void **state) {
    (void)state;
    limits.limit.concurrent_requests = 100;
    models[0].limit.concurrent_requests = 10;
    limits.models.count = 1;
    struct limit_ticket *slow = take("fast", 0, 0);
    answer_taken(last_call(LIMIT_SCRIPT_TAKE));
    unsigned with_model = 0;
    call_count = 0;
    for (int i = 0; i < 10; i++) {
        limit_ticket_settle(taken(0), 0, 0, unix_ns);
        turn(900);
        struct call *k = last_call(LIMIT_SCRIPT_SYNC);
        if (k->key_count == 2) {
            with_model++;
            answer(k, (int64_t[]){1, DAY, MONTH, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
                                  0, 1,   0,     0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
                   33);
        } else {
            answer_sync(k, 1, 0);
        }
    }
    assert_true(with_model >= 2 && with_model <= 4); /* in nine seconds, each of its ten */
    limit_ticket_settle(slow, 0, 0, unix_ns);
}

static void without_redis_each_does_what_it_was_told(void **state) {
    (void)state;
    static const struct {
        enum config_on_failure on_failure;
        enum failure expected[3];
    } cases[] = {
        {CONFIG_ON_FAILURE_LOCAL, {FAILURE_NONE, FAILURE_NONE, FAILURE_LIMIT_EXCEEDED}},
        {CONFIG_ON_FAILURE_ALLOW, {FAILURE_NONE, FAILURE_NONE, FAILURE_NONE}},
        {CONFIG_ON_FAILURE_DENY, {FAILURE_LIMITER_DOWN, FAILURE_LIMITER_DOWN, FAILURE_LIMITER_DOWN}},
    };
    for (size_t c = 0; c < sizeof cases / sizeof *cases; c++) {
        teardown(NULL);
        setup(NULL);
        limit_shared_free(shared);
        open_with(false, cases[c].on_failure);
        limits.limit.requests_per_minute = 6;
        limiter_share_set(local, 3);
        breaker_open = true;
        struct limit_ticket *t[3];
        uint64_t alone = limit_shared_decided_alone();
        for (int i = 0; i < 3; i++) {
            t[i] = take("", 10, 0);
            assert_int_equal(verdict(t[i]), cases[c].expected[i]);
        }
        assert_int_equal(limit_shared_decided_alone(), alone + 3);
        for (int i = 0; i < 3; i++) limit_ticket_settle(t[i], 10, 0, unix_ns);
        breaker_open = false;
        turn(300);
        if (cases[c].on_failure == CONFIG_ON_FAILURE_DENY) {
            assert_int_equal(call_count, 0);
            continue;
        }
        struct call *k = last_call(LIMIT_SCRIPT_SYNC); /* what was let in is told */
        assert_int_equal(k->numbers[WINDOW], cases[c].on_failure == CONFIG_ON_FAILURE_LOCAL ? 2 : 3);
        assert_int_equal(k->numbers[RUNNING], 0);
        answer_sync(k, 0, 0);
    }
}

static void answers_that_are_none_are_no_decision(void **state) {
    (void)state;
    static const int64_t bad[][8] = {{1},
                                     {2, 0, 0, 0, DAY, MONTH},
                                     {1, 0, 9, 0, DAY, MONTH},
                                     {0, 1, 0, 5, DAY, MONTH},
                                     {1, 0, 0, -1, DAY, MONTH},
                                     {1, 0, 0, 0, DAY, MONTH, 0, 1}};
    static const size_t counts[] = {1, 6, 6, 6, 6, 8};
    limits.limit.requests_per_minute = 100;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        uint64_t alone = limit_shared_decided_alone();
        struct limit_ticket *t = take("", 0, 0);
        answer(last_call(LIMIT_SCRIPT_TAKE), bad[i], counts[i]);
        assert_int_equal(verdict(t), FAILURE_NONE);
        assert_int_equal(limit_shared_decided_alone(), alone + 1);
        limit_ticket_settle(t, 0, 0, unix_ns);
    }
}

static void money_counts_for_the_day_it_was_reserved_in(void **state) {
    (void)state;
    limits.limit.pico_usd_per_day = 1000;
    limits.limit.pico_usd_per_month = 5000;
    struct limit_ticket *t = take("", 0, 60), *u;
    answer_taken(last_call(LIMIT_SCRIPT_TAKE));
    u = take("", 0, 70);
    answer(last_call(LIMIT_SCRIPT_TAKE), (int64_t[]){1, 0, 0, 0, DAY + 1, MONTH}, 6);
    limit_ticket_settle(t, 0, 50, unix_ns);
    limit_ticket_settle(u, 0, 40, unix_ns);
    turn(0);
    const int64_t *n = last_call(LIMIT_SCRIPT_SYNC)->numbers + AT + 7;
    static const int64_t expected[] = {DAY + 1, -1, 1000000 - 70, 0, 40, MONTH, -1, 1000000 - 130, 0, 90};
    assert_memory_equal(n, expected, sizeof expected);
    answer(last_call(LIMIT_SCRIPT_SYNC), (int64_t[]){1, DAY + 1, MONTH, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
           18);
}

static void a_farewell_waits_for_what_is_not_told(void **state) {
    (void)state;
    limits.limit.tokens_per_minute = 1000;
    struct limit_ticket *t = taken(50);
    limit_ticket_settle(t, 20, 0, unix_ns);
    limit_shared_leave(shared);
    assert_false(limit_shared_is_settled(shared));
    turn(0);
    struct call *k = last_call(LIMIT_SCRIPT_SYNC);
    assert_int_equal(k->numbers[0], 0); /* its time to live */
    answer_sync(k, 0, 0);
    turn(0);
    assert_true(limit_shared_is_settled(shared));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        SHARED_TEST(a_scripts_text_begins_with_what_they_share),
        SHARED_TEST(one_question_decides_over_all_scopes),
        SHARED_TEST(a_refusal_says_what_redis_says),
        SHARED_TEST(who_goes_on_asking_a_full_minute_is_refused_without_redis),
        SHARED_TEST(what_never_fits_is_not_asked),
        SHARED_TEST(settlements_are_summed_while_one_is_under_way),
        SHARED_TEST(an_unanswered_message_is_sent_again_as_it_was),
        SHARED_TEST(an_unanswered_message_goes_again_as_soon_as_redis_answers_anything),
        SHARED_TEST(an_answer_to_an_older_question_is_older),
        SHARED_TEST(who_asks_where_it_stands_without_redis_is_shown_its_own),
        SHARED_TEST(who_leaves_before_the_answer_gives_back_what_it_took),
        SHARED_TEST(an_answer_that_was_lost_is_put_right),
        SHARED_TEST(what_redis_has_forgotten_is_told_anew),
        SHARED_TEST(what_runs_long_is_told_again_though_others_come_and_go),
        SHARED_TEST(without_redis_each_does_what_it_was_told),
        SHARED_TEST(answers_that_are_none_are_no_decision),
        SHARED_TEST(money_counts_for_the_day_it_was_reserved_in),
        SHARED_TEST(a_farewell_waits_for_what_is_not_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
