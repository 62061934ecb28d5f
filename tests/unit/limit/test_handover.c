/* Counts that pass from one limiter to the next: nothing is gained, nothing lost, and bytes that are something else
 * change nothing. */
#include "unit.h"

#include <pthread.h>

#include "base/clock.h"
#include "limit/handover.h"

#define USD UINT64_C(1000000000000)
static const int64_t noon = INT64_C(1795262400) * 1000000000;

static struct limiter *old, *new;
static struct config_model_limit models[1];
static struct config_limits limits;
static struct tenant acme = {.limits = &limits};
static struct limit_refusal why;
static uint64_t now_ns;
static int64_t unix_ns;
static struct buf state, notes;

static int setup(void **s) {
    (void)s;
    old = limiter_new(), new = limiter_new();
    models[0] = (struct config_model_limit){.name.text = SLICE("fast"), .limit.requests_per_minute = 50};
    limits = (struct config_limits){.limit = {.requests_per_minute = 10,
                                              .tokens_per_minute = 6000,
                                              .concurrent_requests = 4,
                                              .pico_usd_per_day = 100 * USD,
                                              .pico_usd_per_month = 1000 * USD},
                                    .models = {models, 1}};
    acme.name = SLICE("acme");
    now_ns = 1000 * NS_PER_S;
    unix_ns = noon;
    return 0;
}

static int teardown(void **s) {
    (void)s;
    limiter_free(old);
    limiter_free(new);
    buf_clear(&state);
    buf_clear(&notes);
    return 0;
}

static void pass(uint64_t ns) {
    now_ns += ns;
    unix_ns += (int64_t)ns;
}

static enum failure take(struct limiter *l, struct reservation *hold) {
    struct limit_request want = {.input_tokens = 1000, .pico_usd = 5 * USD};
    return limiter_take(l, &acme, SLICE("fast"), now_ns, unix_ns, &want, hold, &why);
}

static void settle(struct reservation *hold, uint64_t tokens, uint64_t pico_usd) {
    limit_settle(hold, tokens, pico_usd, now_ns, unix_ns);
}

static void hand_over(void) {
    limiter_export(old, &state);
    assert_true(limiter_import(new, buf_slice(&state)));
}

static void notes_carry(void) {
    buf_clear(&notes);
    limiter_noted(old, &notes);
    assert_true(limiter_note_apply(new, buf_slice(&notes), now_ns, unix_ns));
}

static void expect_same(void) {
    struct limit_row a[2 * LIMIT_COUNT], b[2 * LIMIT_COUNT];
    unsigned count = limit_view(old, &acme, SLICE("fast"), now_ns, unix_ns, a);
    assert_int_equal(limit_view(new, &acme, SLICE("fast"), now_ns, unix_ns, b), count);
    assert_true(count >= 6);
    for (unsigned i = 0; i < count; i++) {
        assert_int_equal(a[i].kind, b[i].kind);
        assert_int_equal(a[i].used, b[i].used);
        assert_int_equal(a[i].reserved, b[i].reserved);
        assert_int_equal(a[i].remaining, b[i].remaining);
        assert_int_equal(a[i].reset_ns, b[i].reset_ns);
    }
}

static struct limit_row row(struct limiter *l, enum limit_kind kind) {
    struct limit_row rows[2 * LIMIT_COUNT];
    unsigned count = limit_view(l, &acme, SLICE("fast"), now_ns, unix_ns, rows);
    for (unsigned i = 0; i < count; i++)
        if (rows[i].kind == kind && rows[i].model.n == 0) return rows[i];
    fail_msg("no such row");
    return rows[0];
}

/* ---- what goes wrong ---- */

static void any_byte_changed_or_missing_is_refused_or_read_and_never_half_taken(void **s) {
    (void)s;
    struct reservation hold[3] = {0};
    for (int i = 0; i < 3; i++) assert_int_equal(take(old, &hold[i]), FAILURE_NONE);
    settle(&hold[0], 700, USD);
    limiter_export(old, &state);
    for (size_t n = 0; n < buf_length(&state); n++) {
        struct limiter *l = limiter_new();
        bool whole = limiter_import(l, (struct slice){state.data, n});
        const void *cursor = NULL;
        struct slice tenant;
        uint64_t counts[LIMIT_COUNT];
        assert_int_equal(whole, n == sizeof "weir limits 1\n" - 1);
        assert_false(limiter_refusals(l, &cursor, &tenant, counts)); /* nobody was added */
        limiter_free(l);
    }
    for (size_t n = 0; n < buf_length(&state); n++) {
        struct limiter *l = limiter_new();
        state.data[n] ^= 0x55;
        limiter_import(l, buf_slice(&state));
        struct reservation h = {0};
        if (take(l, &h) == FAILURE_NONE) settle(&h, 1, 1);
        limiter_holder_gone(l);
        state.data[n] ^= 0x55;
        limiter_free(l);
    }
    for (int i = 1; i < 3; i++) settle(&hold[i], 0, 0);
}

static void a_process_that_ends_without_a_word_lets_go_of_its_slots_and_keeps_what_it_reserved_as_used(void **s) {
    (void)s;
    struct reservation hold[4] = {0}, mine = {0};
    for (int i = 0; i < 4; i++) assert_int_equal(take(old, &hold[i]), FAILURE_NONE);
    hand_over();
    assert_int_equal(take(new, &mine), FAILURE_LIMIT_EXCEEDED);
    assert_int_equal(why.kind, LIMIT_CONCURRENT);
    limiter_holder_gone(new);
    assert_int_equal(row(new, LIMIT_CONCURRENT).used, 0);
    assert_int_equal(row(new, LIMIT_DAY).used, 20 * USD);
    assert_int_equal(row(new, LIMIT_DAY).reserved, 0);
    assert_int_equal(row(new, LIMIT_TOKENS).used, 4000);
    assert_int_equal(take(new, &mine), FAILURE_NONE);
    settle(&mine, 0, 0);
    for (int i = 0; i < 4; i++) settle(&hold[i], 0, 0);
}

static void notes_of_what_was_never_held_change_nothing(void **s) {
    (void)s;
    struct reservation hold = {0};
    limiter_export(old, &state);
    assert_int_equal(take(old, &hold), FAILURE_NONE);
    limiter_noted(old, &notes);
    settle(&hold, 500, USD);
    buf_clear(&notes);
    limiter_noted(old, &notes); /* the settlement alone */
    assert_true(limiter_note_apply(new, buf_slice(&notes), now_ns, unix_ns));
    assert_int_equal(row(new, LIMIT_CONCURRENT).used, 0);
    assert_int_equal(row(new, LIMIT_DAY).used, 0);
    assert_false(limiter_note_apply(new, SLICE("\x07\x01x"), now_ns, unix_ns));
}

/* ---- what holds ---- */

static void everything_counted_so_far_goes_on_in_the_new_process(void **s) {
    (void)s;
    struct reservation hold[3] = {0};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(take(old, &hold[i]), FAILURE_NONE);
        pass(7 * NS_PER_S);
    }
    settle(&hold[0], 700, USD);
    hand_over();
    expect_same();
    pass(45 * NS_PER_S);
    expect_same();
    for (int i = 1; i < 3; i++) settle(&hold[i], 0, 0);
}

static void what_the_old_process_still_takes_and_settles_counts_in_the_new_one(void **s) {
    (void)s;
    struct reservation hold[4] = {0}, later = {0};
    for (int i = 0; i < 2; i++) assert_int_equal(take(old, &hold[i]), FAILURE_NONE);
    hand_over();
    pass(3 * NS_PER_S);
    for (int i = 2; i < 4; i++) assert_int_equal(take(old, &hold[i]), FAILURE_NONE); /* on connections it still has */
    settle(&hold[0], 1500, 3 * USD);
    notes_carry();
    expect_same();
    pass(2 * NS_PER_S);
    settle(&hold[2], 10, USD);
    settle(&hold[1], 0, 0);
    notes_carry();
    expect_same();
    assert_int_equal(take(new, &later), FAILURE_NONE);
    settle(&hold[3], 1, 1);
    notes_carry();
    limiter_holder_gone(new);
    assert_int_equal(row(new, LIMIT_CONCURRENT).used, 1);
    settle(&later, 0, 0);
    assert_int_equal(row(new, LIMIT_CONCURRENT).used, 0);
    assert_int_equal(row(new, LIMIT_DAY).used, 4 * USD + 1);
    assert_int_equal(row(new, LIMIT_REQUESTS).used, 5);
}

static void a_tenant_that_comes_after_the_hand_over_is_told_as_well(void **s) {
    (void)s;
    struct reservation hold = {0};
    hand_over();
    assert_int_equal(take(old, &hold), FAILURE_NONE);
    notes_carry();
    assert_int_equal(row(new, LIMIT_CONCURRENT).used, 1);
    settle(&hold, 100, USD);
    notes_carry();
    expect_same();
}

static void three_in_a_row_count_alike(void **s) {
    (void)s;
    struct reservation hold[2] = {0};
    struct limiter *first = old, *second = new, *third = limiter_new();
    for (int i = 0; i < 2; i++) assert_int_equal(take(first, &hold[i]), FAILURE_NONE);
    hand_over();
    old = second, new = third;
    buf_clear(&state);
    hand_over();
    settle(&hold[0], 700, USD);
    old = first, new = second;
    notes_carry();
    old = second, new = third;
    notes_carry();
    expect_same();
    assert_int_equal(row(third, LIMIT_CONCURRENT).used, 1);
    settle(&hold[1], 0, 0);
    limiter_free(third);
    old = first, new = second;
}

static void nothing_is_noted_when_nobody_took_over(void **s) {
    (void)s;
    struct reservation hold = {0};
    limiter_export(old, &state);
    limiter_export_end(old);
    assert_int_equal(take(old, &hold), FAILURE_NONE);
    settle(&hold, 1, 1);
    limiter_noted(old, &notes);
    assert_int_equal(buf_length(&notes), 0);
}

static void *takes_run(void *context) {
    (void)context;
    for (int i = 0; i < 3000; i++) {
        struct reservation hold = {0};
        struct limit_refusal reason;
        struct limit_request want = {.input_tokens = 1, .pico_usd = 3};
        if (limiter_take(old, &acme, SLICE("fast"), now_ns, unix_ns, &want, &hold, &reason) == FAILURE_NONE)
            limit_settle(&hold, 2, 5, now_ns, unix_ns);
    }
    return NULL;
}

static void a_hand_over_amid_traffic_counts_each_request_once(void **s) {
    (void)s;
    pthread_t threads[3];
    limits.limit = (struct config_limit){.requests_per_minute = 1000000, .pico_usd_per_day = 100 * USD};
    limits.models.count = 0;
    for (int i = 0; i < 3; i++) assert_int_equal(pthread_create(&threads[i], NULL, takes_run, NULL), 0);
    hand_over();
    for (int i = 0; i < 50; i++) notes_carry();
    for (int i = 0; i < 3; i++) pthread_join(threads[i], NULL);
    notes_carry();
    limiter_holder_gone(new);
    assert_int_equal(row(new, LIMIT_REQUESTS).used, 9000);
    assert_int_equal(row(new, LIMIT_DAY).used, 45000);
    assert_int_equal(row(new, LIMIT_DAY).reserved, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(any_byte_changed_or_missing_is_refused_or_read_and_never_half_taken),
        TEST(a_process_that_ends_without_a_word_lets_go_of_its_slots_and_keeps_what_it_reserved_as_used),
        TEST(notes_of_what_was_never_held_change_nothing),
        TEST(everything_counted_so_far_goes_on_in_the_new_process),
        TEST(what_the_old_process_still_takes_and_settles_counts_in_the_new_one),
        TEST(a_tenant_that_comes_after_the_hand_over_is_told_as_well),
        TEST(three_in_a_row_count_alike),
        TEST(nothing_is_noted_when_nobody_took_over),
        TEST(a_hand_over_amid_traffic_counts_each_request_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
