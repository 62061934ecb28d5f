/* The limiter as its callers see it: what is refused and why, that all is taken or nothing, that settling is done once,
 * and that counts outlive a configuration, a clock that is set, and many threads at once. */
#include "unit.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/random.h"
#include "limit/limit.h"

#define HOUR_NS (3600 * NS_PER_S)
#define USD UINT64_C(1000000000000)
static const int64_t noon = INT64_C(1795262400) * 1000000000; /* 2026-11-21T12:00:00Z */

static struct limiter *limiter;
static struct config_model_limit models[2];
static struct config_limits limits;
static struct tenant acme = {.limits = &limits};
static struct limit_refusal why;
static uint64_t now_ns;
static int64_t unix_ns;

static int setup(void **state) {
    (void)state;
    limiter = limiter_new();
    limits = (struct config_limits){0};
    acme.name = SLICE("acme");
    models[0] = (struct config_model_limit){.name.text = SLICE("fast")};
    models[1] = (struct config_model_limit){.name.text = SLICE("smart")};
    limits.models.items = models;
    now_ns = 1000 * NS_PER_S;
    unix_ns = noon;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    limiter_free(limiter);
    return 0;
}

static void pass(uint64_t ns) {
    now_ns += ns;
    unix_ns += (int64_t)ns;
}

static enum failure take(const char *model, struct limit_request want, struct reservation *hold) {
    return limiter_take(limiter, &acme, slice_of(model), now_ns, unix_ns, &want, hold, &why);
}

static void settle(struct reservation *hold, uint64_t tokens, uint64_t pico_usd) {
    limit_settle(hold, tokens, pico_usd, now_ns, unix_ns);
}

static struct limit_row row(const char *model, enum limit_kind kind) {
    struct limit_row rows[2 * LIMIT_COUNT];
    unsigned count = limit_view(limiter, &acme, slice_of(model), now_ns, unix_ns, rows);
    for (unsigned i = 0; i < count; i++)
        if (rows[i].kind == kind && slice_equal(rows[i].model, slice_of(model))) return rows[i];
    fail_msg("no row of %s", limit_name(kind).p);
    return (struct limit_row){0};
}

static void a_tenant_without_limits_holds_nothing(void **state) {
    (void)state;
    struct reservation hold;
    struct limit_row rows[2 * LIMIT_COUNT];
    assert_false(tenant_is_limited(&acme));
    assert_int_equal(take("fast", (struct limit_request){.input_tokens = UINT64_MAX}, &hold), FAILURE_NONE);
    assert_null(hold.tenant);
    settle(&hold, 5, 5);
    assert_int_equal(limit_view(limiter, &acme, SLICE(""), now_ns, unix_ns, rows), 0);
}

static void what_is_larger_than_a_whole_limit_never_fits(void **state) {
    (void)state;
    struct reservation hold;
    limits.limit.tokens_per_minute = 1000;
    limits.limit.requests_per_minute = 1;
    assert_int_equal(take("", (struct limit_request){600, 401, false, 0}, &hold), FAILURE_NEVER_FITS);
    assert_int_equal(why.kind, LIMIT_TOKENS);
    assert_int_equal(take("", (struct limit_request){UINT64_MAX, UINT64_MAX, false, 0}, &hold), FAILURE_NEVER_FITS);
    assert_int_equal(take("", (struct limit_request){1001, 0, true, 0}, &hold), FAILURE_NEVER_FITS);
    assert_int_equal(take("", (struct limit_request){600, 401, true, 0}, &hold), FAILURE_NONE);
    assert_int_equal(row("", LIMIT_TOKENS).reserved, 1000);
    settle(&hold, 0, 0);
    /* … also while another limit has no room: coming back later would not help */
    assert_int_equal(take("", (struct limit_request){1001, 0, false, 0}, &hold), FAILURE_NEVER_FITS);
}

static void a_cost_above_the_whole_budget_never_fits_unless_it_is_a_guess(void **state) {
    (void)state;
    struct reservation hold;
    limits.limit.pico_usd_per_day = USD;
    assert_int_equal(take("", (struct limit_request){.pico_usd = USD + 1}, &hold), FAILURE_NEVER_FITS);
    assert_int_equal(take("", (struct limit_request){.pico_usd = USD + 1, .output_guessed = true}, &hold),
                     FAILURE_NONE);
    settle(&hold, 0, USD);
    assert_int_equal(take("", (struct limit_request){.pico_usd = 1}, &hold), FAILURE_LIMIT_EXCEEDED);
    assert_int_equal(why.retry_after_ns, 12 * HOUR_NS);
    assert_int_equal(why.max, USD);
}

static void a_refusal_takes_nothing_of_any_limit(void **state) {
    (void)state;
    struct reservation hold, second;
    limits.limit = (struct config_limit){10, 1000, 10, USD, USD};
    limits.models.count = 1;
    models[0].limit.concurrent_requests = 1;
    assert_int_equal(take("fast", (struct limit_request){100, 0, false, 7}, &hold), FAILURE_NONE);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(take("fast", (struct limit_request){100, 0, false, 7}, &second), FAILURE_LIMIT_EXCEEDED);
        assert_null(second.tenant);
        settle(&second, 1000, 1000);
    }
    assert_true(why.of_model);
    assert_int_equal(why.kind, LIMIT_CONCURRENT);
    assert_int_equal(row("", LIMIT_REQUESTS).used, 1);
    assert_int_equal(row("", LIMIT_TOKENS).reserved, 100);
    assert_int_equal(row("", LIMIT_CONCURRENT).used, 1);
    assert_int_equal(row("", LIMIT_DAY).reserved, 7);
    assert_int_equal(take("smart", (struct limit_request){100, 0, false, 7}, &second), FAILURE_NONE);
    settle(&hold, 0, 0);
    settle(&second, 0, 0);
    assert_int_equal(take("fast", (struct limit_request){0}, &hold), FAILURE_NONE);
}

static void of_several_limits_the_one_to_wait_for_longest_is_told(void **state) {
    (void)state;
    struct reservation hold;
    limits.limit = (struct config_limit){.requests_per_minute = 1, .tokens_per_minute = 600, .concurrent_requests = 1};
    limits.models.count = 1;
    models[0].limit.tokens_per_minute = 600;
    assert_int_equal(take("fast", (struct limit_request){300, 0, false, 0}, &hold), FAILURE_NONE);
    assert_int_equal(take("fast", (struct limit_request){400, 0, false, 0}, &hold), FAILURE_LIMIT_EXCEEDED);
    assert_int_equal(why.kind, LIMIT_REQUESTS);
    assert_int_equal(why.retry_after_ns, 61 * NS_PER_S);
    pass(why.retry_after_ns - 1);
    assert_int_equal(take("smart", (struct limit_request){0}, &hold), FAILURE_LIMIT_EXCEEDED);
    assert_int_equal(why.kind, LIMIT_CONCURRENT); /* not yet settled, and a second is longer than what is left */
}

static void settling_is_done_once(void **state) {
    (void)state;
    struct reservation hold, other;
    limits.limit = (struct config_limit){0, 1000, 5, USD, 0};
    assert_int_equal(take("", (struct limit_request){500, 0, false, 10}, &hold), FAILURE_NONE);
    assert_int_equal(take("", (struct limit_request){300, 0, false, 10}, &other), FAILURE_NONE);
    for (int i = 0; i < 3; i++) settle(&hold, 200, 4);
    assert_int_equal(row("", LIMIT_CONCURRENT).used, 1);
    struct limit_row tokens = row("", LIMIT_TOKENS);
    assert_int_equal(tokens.used, 200);
    assert_int_equal(tokens.reserved, 300);
    assert_int_equal(tokens.remaining, 500);
    struct limit_row day = row("", LIMIT_DAY);
    assert_int_equal(day.used, 4);
    assert_int_equal(day.reserved, 10);
    assert_int_equal(day.remaining, USD - 14);
}

static void an_overrun_is_a_debt(void **state) {
    (void)state;
    struct reservation hold;
    limits.limit.tokens_per_minute = 600;
    assert_int_equal(take("", (struct limit_request){10, 0, false, 0}, &hold), FAILURE_NONE);
    settle(&hold, 1200, 0);
    assert_int_equal(row("", LIMIT_TOKENS).remaining, 0);
    assert_int_equal(take("", (struct limit_request){0}, &hold), FAILURE_LIMIT_EXCEEDED);
    uint64_t wait_ns = why.retry_after_ns;
    pass(wait_ns - 1);
    assert_int_equal(take("", (struct limit_request){0}, &hold), FAILURE_LIMIT_EXCEEDED);
    pass(1);
    assert_int_equal(take("", (struct limit_request){0}, &hold), FAILURE_NONE);
    assert_int_equal(wait_ns, 60 * NS_PER_S + NS_PER_S / 10);
}

static void a_changed_configuration_holds_at_once_with_what_was_counted(void **state) {
    (void)state;
    struct reservation hold;
    limits.limit.requests_per_minute = 5;
    for (int i = 0; i < 5; i++) assert_int_equal(take("", (struct limit_request){0}, &hold), FAILURE_NONE);
    struct config_limits raised = {.limit = {.requests_per_minute = 7, .concurrent_requests = 6}};
    const struct tenant again = {.name = SLICE("acme"), .limits = &raised}; /* of another configuration */
    struct limit_request want = {0};
    struct reservation refused;
    assert_int_equal(limiter_take(limiter, &again, SLICE(""), now_ns, unix_ns, &want, &hold, &why), FAILURE_NONE);
    assert_int_equal(limiter_take(limiter, &again, SLICE(""), now_ns, unix_ns, &want, &refused, &why),
                     FAILURE_LIMIT_EXCEEDED);
    assert_int_equal(why.kind, LIMIT_CONCURRENT); /* those let in before count as well */
    settle(&hold, 0, 0);
    assert_int_equal(limiter_take(limiter, &again, SLICE(""), now_ns, unix_ns, &want, &hold, &why), FAILURE_NONE);
    settle(&hold, 0, 0);
    assert_int_equal(limiter_take(limiter, &again, SLICE(""), now_ns, unix_ns, &want, &hold, &why),
                     FAILURE_LIMIT_EXCEEDED);
    assert_int_equal(why.kind, LIMIT_REQUESTS);
    assert_int_equal(take("", want, &hold), FAILURE_LIMIT_EXCEEDED);
}

static void a_limit_of_tokens_that_comes_later_has_nothing_to_give_back(void **state) {
    (void)state;
    struct reservation before, hold;
    limits.limit.requests_per_minute = 5;
    assert_int_equal(take("", (struct limit_request){500, 0, false, 0}, &before), FAILURE_NONE);
    limits.limit.tokens_per_minute = 600;
    assert_int_equal(take("", (struct limit_request){600, 0, false, 0}, &hold), FAILURE_NONE);
    settle(&before, 0, 0);
    assert_int_equal(row("", LIMIT_TOKENS).remaining, 0);
}

static void money_is_counted_for_the_period_it_was_reserved_in(void **state) {
    (void)state;
    struct reservation over_midnight, hold;
    limits.limit.pico_usd_per_day = 100;
    limits.limit.pico_usd_per_month = 1000;
    assert_int_equal(take("", (struct limit_request){.pico_usd = 60}, &over_midnight), FAILURE_NONE);
    assert_int_equal(take("", (struct limit_request){.pico_usd = 50}, &hold), FAILURE_LIMIT_EXCEEDED);
    pass(12 * HOUR_NS);
    assert_int_equal(take("", (struct limit_request){.pico_usd = 90}, &hold), FAILURE_NONE);
    settle(&over_midnight, 0, 80);
    struct limit_row day = row("", LIMIT_DAY), month = row("", LIMIT_MONTH);
    assert_int_equal(day.used, 0);
    assert_int_equal(day.reserved, 90);
    assert_int_equal(month.used, 80);
    assert_int_equal(month.reserved, 90);
    assert_int_equal(day.reset_ns, 24 * HOUR_NS);
}

static void a_clock_that_is_set_changes_no_window(void **state) {
    (void)state;
    static uint64_t admitted[4000];
    size_t count = 0, first = 0;
    struct reservation hold;
    limits.limit.requests_per_minute = 20;
    for (int i = 0; i < 4000; i++) {
        now_ns += random_u64() % (3 * NS_PER_S);
        unix_ns = noon + (int64_t)(random_u64() % (4000 * HOUR_NS)) - (int64_t)(2000 * HOUR_NS);
        if (take("", (struct limit_request){0}, &hold) == FAILURE_NONE)
            admitted[count++] = now_ns;
        else
            assert_true(why.retry_after_ns <= 61 * NS_PER_S);
        while (first < count && admitted[first] + 60 * NS_PER_S < now_ns) first++;
        assert_true(count - first <= 20);
    }
    assert_true(count > 20 * 90 / 2);
}

enum { THREADS = 8, TRIES = 3000, ALLOWED = 1000 };
static _Atomic unsigned admitted_count, most_at_once, at_once;

static void *hammer(void *context) {
    struct limit_request want = {10, 0, false, 3};
    struct limit_refusal refusal;
    struct reservation hold;
    (void)context;
    for (int i = 0; i < TRIES; i++) {
        if (limiter_take(limiter, &acme, SLICE("fast"), now_ns, unix_ns, &want, &hold, &refusal) != FAILURE_NONE)
            continue;
        unsigned running = atomic_fetch_add(&at_once, 1) + 1, most = atomic_load(&most_at_once);
        while (running > most && !atomic_compare_exchange_weak(&most_at_once, &most, running)) {
        }
        atomic_fetch_add(&admitted_count, 1);
        atomic_fetch_sub(&at_once, 1);
        limit_settle(&hold, 4, 2, now_ns, unix_ns);
    }
    return NULL;
}

static void many_threads_get_exactly_what_is_allowed(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    limits.limit = (struct config_limit){ALLOWED, 100000, 3, USD, USD};
    limits.models.count = 2;
    models[0].limit = (struct config_limit){.requests_per_minute = ALLOWED + 5};
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, hammer, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(admitted_count, ALLOWED);
    assert_true(most_at_once <= 3);
    assert_int_equal(row("", LIMIT_REQUESTS).used, ALLOWED);
    assert_int_equal(row("fast", LIMIT_REQUESTS).remaining, 5);
    assert_int_equal(row("", LIMIT_TOKENS).used, ALLOWED * 4);
    assert_int_equal(row("", LIMIT_CONCURRENT).used, 0);
    assert_int_equal(row("", LIMIT_DAY).used, ALLOWED * 2);
    const void *cursor = NULL;
    struct slice name;
    uint64_t counts[LIMIT_COUNT], sum = 0;
    assert_true(limiter_refusals(limiter, &cursor, &name, counts));
    for (int k = 0; k < LIMIT_COUNT; k++) sum += counts[k];
    assert_int_equal(sum, THREADS * TRIES - ALLOWED);
    assert_false(limiter_refusals(limiter, &cursor, &name, counts));
}

static void *meet_tenants(void *context) {
    struct limit_request want = {0};
    struct limit_refusal refusal;
    struct reservation hold;
    (void)context;
    for (unsigned i = 0; i < 500; i++) {
        char name[16] = {'t', (char)('0' + i / 100), (char)('0' + i / 10 % 10), (char)('0' + i % 10)};
        const struct tenant t = {.name = {name, 4}, .limits = &limits};
        enum failure f = limiter_take(limiter, &t, SLICE(""), now_ns, unix_ns, &want, &hold, &refusal);
        if (f == FAILURE_NONE) atomic_fetch_add(&admitted_count, 1);
    }
    return NULL;
}

static void each_tenant_is_one_to_all_threads(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    limits.limit.requests_per_minute = 3;
    admitted_count = 0;
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, meet_tenants, NULL);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(admitted_count, 500 * 3);
}

#define LIMIT_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void) {
    const struct CMUnitTest tests[] = {
        LIMIT_TEST(a_tenant_without_limits_holds_nothing),
        LIMIT_TEST(what_is_larger_than_a_whole_limit_never_fits),
        LIMIT_TEST(a_cost_above_the_whole_budget_never_fits_unless_it_is_a_guess),
        LIMIT_TEST(a_refusal_takes_nothing_of_any_limit),
        LIMIT_TEST(of_several_limits_the_one_to_wait_for_longest_is_told),
        LIMIT_TEST(settling_is_done_once),
        LIMIT_TEST(an_overrun_is_a_debt),
        LIMIT_TEST(a_changed_configuration_holds_at_once_with_what_was_counted),
        LIMIT_TEST(a_limit_of_tokens_that_comes_later_has_nothing_to_give_back),
        LIMIT_TEST(money_is_counted_for_the_period_it_was_reserved_in),
        LIMIT_TEST(a_clock_that_is_set_changes_no_window),
        LIMIT_TEST(many_threads_get_exactly_what_is_allowed),
        LIMIT_TEST(each_tenant_is_one_to_all_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
