/* Tests of the ledger, the histogram and the traffic table. */
#include "records.h"

#include <math.h>

#include "base/random.h"
#include "telemetry/ledger.h"
#include "telemetry/traffic.h"

static uint64_t sum_of(const struct ledger *l) {
    uint64_t sum = 0;
    for (int i = 0; i < PHASE_COUNT; i++) sum += l->spent_ns[i];
    return sum;
}

static void phases_sum_to_the_total_whatever_stamps_come(void **state) {
    (void)state;
    for (int round = 0; round < 2000; round++) {
        struct ledger l;
        uint64_t now = random_u64() % 1000000, begin = now, latest = now;
        ledger_begin(&l, PHASE_RECEIVE, now);
        for (int i = 0; i < 50; i++) {
            now = now + random_u64() % 1000 - random_u64() % 300; /* stamps may run back a little */
            if (random_u64() % 3 == 0)
                ledger_woke(&l, now - random_u64() % 200, now);
            else
                ledger_enter(&l, (enum phase)(random_u64() % PHASE_COUNT), now);
            if (now > latest && now < UINT64_MAX / 2) latest = now;
        }
        uint64_t total = ledger_end(&l, latest);
        assert_int_equal(total, sum_of(&l));
        assert_int_equal(total, l.since_ns - begin);
    }
}

static void an_adopted_attempt_moves_its_time_out_of_retry(void **state) {
    (void)state;
    struct ledger x, a;
    ledger_begin(&x, PHASE_RECEIVE, 100);
    ledger_enter(&x, PHASE_RETRY, 150); /* a first attempt, given up */
    ledger_begin(&a, PHASE_QUEUE, 200); /* the second one wins */
    ledger_enter(&a, PHASE_SEND, 210);
    ledger_enter(&a, PHASE_WAIT, 230);
    ledger_adopt(&x, &a, 300);
    assert_int_equal(x.spent_ns[PHASE_RECEIVE], 50);
    assert_int_equal(x.spent_ns[PHASE_RETRY], 50);
    assert_int_equal(x.spent_ns[PHASE_QUEUE], 10);
    assert_int_equal(x.spent_ns[PHASE_SEND], 20);
    assert_int_equal(x.spent_ns[PHASE_WAIT], 70);
    assert_int_equal(ledger_end(&x, 300), 200);
}

static void what_waited_for_the_worker_is_loop(void **state) {
    (void)state;
    struct ledger l;
    ledger_begin(&l, PHASE_WAIT, 1000);
    ledger_woke(&l, 1500, 1700);
    ledger_enter(&l, PHASE_GENERATE, 1700);
    assert_int_equal(l.spent_ns[PHASE_WAIT], 500);
    assert_int_equal(l.spent_ns[PHASE_LOOP], 200);
}

static void every_value_is_in_its_bucket(void **state) {
    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint64_t v = random_u64() >> (random_u64() % 63);
        if (v >= UINT64_C(1) << HISTOGRAM_OCTAVES) continue;
        if (v == 0) v = 1;
        unsigned b = histogram_bucket_of(v);
        assert_true(histogram_bucket_low(b) <= v);
        assert_true(b + 1 == HISTOGRAM_BUCKETS || v < histogram_bucket_low(b + 1) ||
                    histogram_bucket_low(b + 1) == histogram_bucket_low(b));
    }
    for (unsigned octave = 1; octave < HISTOGRAM_OCTAVES; octave++) {
        uint64_t edge = UINT64_C(1) << octave; /* it belongs to the bucket below it */
        assert_int_equal(histogram_bucket_edge(octave * HISTOGRAM_PER_OCTAVE), edge);
        assert_int_equal(histogram_bucket_of(edge), octave * HISTOGRAM_PER_OCTAVE - 1);
        if (octave > 5) assert_int_equal(histogram_bucket_of(edge + 1), octave * HISTOGRAM_PER_OCTAVE);
    }
}

static int by_size(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x > y) - (x < y);
}

static void quantiles_are_within_a_percent_and_a_tenth(void **state) {
    (void)state;
    enum { N = 20000 };
    struct histogram h = {0};
    struct histogram_view *v = mem_zalloc(sizeof *v);
    uint64_t *values = mem_alloc(N * sizeof *values);
    for (int i = 0; i < N; i++) {
        values[i] = 100000 + random_u64() % 1000 * (random_u64() % 1000) * (random_u64() % 1000);
        histogram_add(&h, values[i]);
    }
    qsort(values, N, sizeof *values, by_size);
    histogram_read(&h, v);
    assert_int_equal(v->count, N);
    assert_int_equal(v->max, values[N - 1]);
    const double qs[] = {0.01, 0.5, 0.9, 0.99, 0.999};
    for (size_t i = 0; i < sizeof qs / sizeof qs[0]; i++) {
        double exact = (double)values[(size_t)ceil(qs[i] * N) - 1], said = (double)histogram_quantile(v, qs[i]);
        assert_true(fabs(said - exact) <= exact * 0.0111 + 1);
    }
    histogram_clear(&h);
    mem_free(v);
    mem_free(values);
}

static void the_table_is_bounded_and_loses_no_count(void **state) {
    (void)state;
    struct traffic *t = mem_zalloc(sizeof *t);
    uint64_t requests = 0;
    enum { TENANTS = 6000 };
    for (uint32_t i = 0; i < TENANTS; i++) {
        struct record r = {.tenant = i + 2,
                           .model = 3,
                           .status = 200,
                           .total_ns = 1000,
                           .ttft_ns = TIME_UNKNOWN_NS,
                           .first_visible_ns = TIME_UNKNOWN_NS,
                           .tpot_ns = TIME_UNKNOWN_NS,
                           .usage = {.input = 1}};
        traffic_add(t, &r);
    }
    unsigned cursor = 0, groups = 0, other = 0, rests = 0;
    for (const struct traffic_group *g; (g = traffic_next(t, &cursor)) != NULL; groups++) {
        requests += g->outcomes->count;
        other += g->tenant == NAME_OTHER;
        rests += g->tenant != NAME_OTHER && g->provider == NAME_OTHER;
    }
    assert_int_equal(requests, TENANTS);
    assert_int_equal(groups - rests - other, TRAFFIC_DETAIL_MAX);
    assert_true(rests >
                1000); /* tenants whose details found no room are told from each other as long as there is any */
    assert_true(groups <= TRAFFIC_GROUPS_MAX);
    assert_int_equal(other, 1);
    traffic_clear(t);
    mem_free(t);
}

/* A record of an exchange whose first attempts were given up. */
static struct record *record_after(const struct record_attempt *given_up, unsigned n) {
    struct record *r = record_usual();
    size_t at = RECORD_GIVEN_UP_AT(record_text_bytes(r));
    r = mem_realloc(r, at + n * sizeof *given_up);
    memcpy((char *)r + at, given_up, n * sizeof *given_up);
    r->given_up_count = (uint16_t)n;
    r->attempt = (uint16_t)(n + 1);
    r->error = FAILURE_NONE;
    return r;
}

static void count(struct traffic *t, struct record *r) {
    traffic_add(t, r);
    mem_free(r);
}

/* How many tries at the provider became that. */
static uint64_t tries(const struct traffic *t, const char *provider, const char *became) {
    uint64_t sum = 0;
    unsigned cursor = 0;
    for (const struct traffic_group *g; (g = traffic_next(t, &cursor)) != NULL;)
        for (const struct outcome *o = g->tries; o != NULL; o = o->next)
            if (g->provider == name_id(slice_of(provider)) && strcmp(try_end_name(o), became) == 0) sum += o->count;
    return sum;
}

static void tries_are_counted_at_their_own_targets(void **state) {
    (void)state;
    struct traffic *t = mem_zalloc(sizeof *t);
    const uint32_t azure = name_id(SLICE("azure")), openai = name_id(SLICE("openai"));
    const struct record_attempt given_up[] = {
        {.provider = azure, .error = FAILURE_RESET, .reused = true, .stale = true},
        {.provider = azure, .error = FAILURE_RESET},
        {.provider = azure, .error = FAILURE_RESET, .reused = true},
        {.provider = openai},
    };
    count(t, record_after(given_up, 4));
    count(t, record_after(given_up, 2));
    struct record *refused = record_after(given_up, 0); /* by a limit: nobody was asked */
    refused->attempt = 0, refused->error = FAILURE_LIMIT_EXCEEDED;
    count(t, refused);
    struct record *left = record_after(given_up + 1, 1); /* its client left during the back-off */
    left->attempt = 0, left->error = FAILURE_CLIENT_GONE;
    count(t, left);
    assert_int_equal(tries(t, "azure", "stale"), 2);
    assert_int_equal(tries(t, "azure", "reset"), 4);
    assert_int_equal(tries(t, "openai", "lost"), 1);
    assert_int_equal(tries(t, "openai", "answered"), 2);
    assert_int_equal(tries(t, "openai", "client_gone") + tries(t, "openai", "limit_exceeded"), 0);
    traffic_clear(t);
    mem_free(t);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(phases_sum_to_the_total_whatever_stamps_come),
        cmocka_unit_test(an_adopted_attempt_moves_its_time_out_of_retry),
        cmocka_unit_test(what_waited_for_the_worker_is_loop),
        cmocka_unit_test(every_value_is_in_its_bucket),
        cmocka_unit_test(quantiles_are_within_a_percent_and_a_tenth),
        cmocka_unit_test(the_table_is_bounded_and_loses_no_count),
        cmocka_unit_test(tries_are_counted_at_their_own_targets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
