/* Tests of sparse histograms, rows, tables of rows, and of reading what workers have counted. */
#include "unit.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "facts/names.h"
#include "telemetry/changes.h"

/* ---- sparse histograms ---- */

static void view_of(const struct sparse *s, struct histogram_view *v) {
    memset(v, 0, sizeof *v);
    for (uint32_t i = 0; i < s->cell_count; i++) {
        assert_true(sparse_count(s->cells[i]) > 0);
        assert_true(i == 0 || sparse_bucket(s->cells[i]) > sparse_bucket(s->cells[i - 1]));
        v->counts[sparse_bucket(s->cells[i])] = sparse_count(s->cells[i]);
        v->count += sparse_count(s->cells[i]);
    }
    v->max = s->max;
    assert_int_equal(v->count, s->count);
}

static void sparse_random(struct sparse *s, struct histogram_view *v, int values) {
    for (int i = 0; i < values; i++) {
        uint64_t value = random_u64() >> (24 + random_u64() % 40), count = 1 + random_u64() % 3;
        unsigned bucket = histogram_bucket_of(value);
        sparse_add(s, bucket, count);
        v->counts[bucket] += count;
        v->count += count;
        if (value > v->max) v->max = value;
    }
    s->max = v->max;
}

static void merging_loses_nothing_in_any_order(void **state) {
    (void)state;
    struct histogram_view *expected = mem_alloc(sizeof *expected), *got = mem_alloc(sizeof *got);
    for (int round = 0; round < 300; round++) {
        struct sparse a = {0}, b = {0};
        memset(expected, 0, sizeof *expected);
        sparse_random(&a, expected, (int)(random_u64() % 60));
        sparse_random(&b, expected, (int)(random_u64() % 60));
        sparse_merge(&a, &b);
        sparse_merge(&a, &(struct sparse){0});
        view_of(&a, got);
        assert_memory_equal(got->counts, expected->counts, sizeof got->counts);
        assert_int_equal(got->max, expected->max);
        for (int q = 0; q <= 100; q++)
            assert_int_equal(sparse_quantile(&a, q / 100.0), histogram_quantile(expected, q / 100.0));
        sparse_clear(&a);
        sparse_clear(&b);
    }
    mem_free(expected);
    mem_free(got);
}

static void an_empty_one_has_no_quantile_and_takes_all_buckets(void **state) {
    (void)state;
    struct sparse s = {0};
    assert_int_equal(sparse_quantile(&s, 0.99), 0);
    sparse_add(&s, 7, 0);
    assert_int_equal(s.cell_count, 0);
    for (unsigned i = HISTOGRAM_BUCKETS; i-- > 0;) sparse_add(&s, i, SPARSE_COUNT_MAX); /* the dearest order */
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) sparse_add(&s, i, 5);              /* no count runs over */
    assert_int_equal(s.cell_count, HISTOGRAM_BUCKETS);
    for (unsigned i = 0; i < HISTOGRAM_BUCKETS; i++) {
        assert_int_equal(sparse_bucket(s.cells[i]), i);
        assert_int_equal(sparse_count(s.cells[i]), SPARSE_COUNT_MAX);
    }
    sparse_clear(&s);
}

/* ---- rows as JSON ---- */

static void assert_json(const struct row *r, const struct row_style *style, const char *expected) {
    struct buf out = {0};
    row_write(&out, r, style);
    buf_append(&out, "", 1);
    assert_string_equal(out.data, expected);
    buf_clear(&out);
}

static void an_empty_row_has_nulls_for_what_is_divided_by_nothing(void **state) {
    (void)state;
    assert_json(&(struct row){0}, &(struct row_style){0},
                "\"requests\":0,\"rps\":null,\"in_flight\":null,\"queued\":null,\"errors\":0,\"refused\":0,"
                "\"abandoned\":0,\"input_tokens\":0,\"output_tokens\":0,\"cache_read_tokens\":0,\"reasoning_tokens\":0,"
                "\"prompt_cache_share\":null,\"response_cache_share\":null,\"output_tokens_per_s\":null,"
                "\"cost_usd\":0,\"waste_usd\":0,\"usd_per_h\":null");
}

static void numbers_are_exact(void **state) {
    (void)state;
    struct row r = {.in_flight = 301, .queued = 7};
    const uint64_t counters[ROW_COUNTER_COUNT] = {
        48744, 12, 3, 41, 51200411, 7812004, 20991002, 5, 9, UINT64_C(12314000000000), UINT64_C(9007199254740993)};
    memcpy(r.counters, counters, sizeof counters);
    sparse_add(&r.measures[MEASURE_TTFT], histogram_bucket_of(311698002), 10);
    r.measures[MEASURE_TTFT].max = 311698002;
    assert_json(&r, &(struct row_style){.window_ns = 60 * NS_PER_S, .measures = true, .gauges = true},
                "\"requests\":48744,\"rps\":812.4,\"in_flight\":301,\"queued\":7,\"errors\":12,\"refused\":3,"
                "\"abandoned\":41,\"ttft_ms\":{\"n\":10,\"p50\":309.020005,\"p95\":309.020005,\"p99\":309.020005,"
                "\"max\":311.698002},\"first_visible_ms\":null,\"tpot_ms\":null,\"total_ms\":null,"
                "\"overhead_ms\":null,\"input_tokens\":51200411,\"output_tokens\":7812004,"
                "\"cache_read_tokens\":20991002,\"reasoning_tokens\":9,\"prompt_cache_share\":0.409977,"
                "\"response_cache_share\":0,\"output_tokens_per_s\":130200.066666,\"cost_usd\":12.314,"
                "\"waste_usd\":9007.199254740993,\"usd_per_h\":738.84");
    row_clear(&r);
}

static void numbers_too_large_to_multiply_are_not_wrong(void **state) {
    (void)state;
    struct row r = {0};
    struct buf out = {0};
    for (int i = 0; i < ROW_COUNTER_COUNT; i++) r.counters[i] = UINT64_MAX;
    row_write(&out, &r, &(struct row_style){.window_ns = 1});
    buf_append(&out, "", 1);
    assert_non_null(strstr(out.data, "\"requests\":18446744073709551615,\"rps\":18446744073709.551615,"));
    assert_non_null(strstr(out.data, "\"cost_usd\":9223372.036854775807,"));
    buf_clear(&out);
}

/* ---- tables of rows ---- */

static void a_table_keeps_every_count_and_its_bounds(void **state) {
    (void)state;
    struct row_table t = {.detail_max = 100};
    for (int pass = 0; pass < 2; pass++) { /* once more in memory that was used before */
        uint64_t sum = 0;
        for (uint32_t i = 0; i < 10000; i++) {
            struct traffic_key key = {.tenant = 10 + i % 50, .provider = 5, .model = 1000 + i % 3000};
            row_table_get(&t, &key)->counters[ROW_REQUESTS]++;
        }
        for (size_t i = 0; i < t.count; i++) sum += t.entries[i].row.counters[ROW_REQUESTS];
        assert_int_equal(sum, 10000);
        assert_int_equal(t.count, 150); /* a rest for each of the fifty tenants */
        const struct row *detail =
            row_table_find(&t, &(struct traffic_key){.tenant = 10, .provider = 5, .model = 1000});
        assert_int_equal(detail->counters[ROW_REQUESTS], 4);
        assert_null(row_table_find(&t, &(struct traffic_key){.tenant = 10, .provider = 5, .model = 1101}));
        row_table_clear(&t);
    }
    assert_null(row_table_find(&t, &(struct traffic_key){0}));
    for (uint32_t i = 0; i < 1000; i++)
        row_table_get(&t, &(struct traffic_key){.tenant = 10 + i, .provider = 5})->counters[ROW_COST]++;
    assert_int_equal(t.count, 201);
    const struct traffic_key rest = {NAME_OTHER, NAME_OTHER, NAME_OTHER, NAME_OTHER};
    assert_int_equal(row_table_find(&t, &rest)->counters[ROW_COST], 1000 - 200);
    row_table_free(&t);
}

/* ---- changes ---- */

static struct record record_of(uint32_t tenant, uint32_t model) {
    return (struct record){.tenant = tenant,
                           .provider = 7,
                           .model = model,
                           .status = 200,
                           .total_ns = 5000,
                           .ttft_ns = TIME_UNKNOWN_NS,
                           .first_visible_ns = TIME_UNKNOWN_NS,
                           .tpot_ns = TIME_UNKNOWN_NS,
                           .cost_pico_usd = COST_UNKNOWN,
                           .usage = {.input = 10, .output = 3, .cache_read = 4, .cache_write = 1, .reasoning = 2}};
}

static const struct row *row_of(const struct changes *c, uint32_t tenant, uint32_t model) {
    return row_table_find(&c->rows, &(struct traffic_key){.tenant = tenant, .provider = 7, .model = model});
}

static void a_look_sees_what_came_since_the_last_one(void **state) {
    (void)state;
    struct traffic *workers[2] = {mem_zalloc(sizeof *workers[0]), mem_zalloc(sizeof *workers[1])};
    struct changes c;
    changes_init(&c);
    for (int i = 0; i < 2; i++) changes_watch(&c, workers[i]);
    changes_read(&c, 1, 1000);
    assert_int_equal(c.rows.count, 0);
    assert_int_equal(c.from_unix_ns, 1000);

    struct record r = record_of(5, 9);
    r.ttft_ns = 3000, r.cost_pico_usd = 17, r.waste_pico_usd = 5;
    traffic_add(workers[0], &r);
    r.ttft_ns = 9000, r.error = FAILURE_RESET, r.error_source = SOURCE_PROVIDER;
    traffic_add(workers[1], &r);
    r.error_source = SOURCE_GATEWAY;
    traffic_add(workers[1], &r);
    r.error_source = SOURCE_POLICY;
    traffic_add(workers[1], &r);
    r.error_source = SOURCE_CLIENT;
    traffic_add(workers[1], &r);
    changes_read(&c, 2, 2000);
    assert_int_equal(c.rows.count, 1);
    const struct row *row = row_of(&c, 5, 9);
    const uint64_t expected[ROW_COUNTER_COUNT] = {5, 2, 1, 1, 50, 15, 20, 5, 10, 85, 25};
    assert_memory_equal(row->counters, expected, sizeof expected);
    assert_int_equal(row->measures[MEASURE_TTFT].count, 5);
    assert_int_equal(row->measures[MEASURE_TTFT].sum, 3000 + 4 * 9000);
    assert_int_equal(row->measures[MEASURE_TTFT].max, 9000);
    assert_int_equal(c.from_unix_ns, 1000);
    assert_int_equal(c.from_ns, 1);

    changes_read(&c, 3, 3000);
    assert_int_equal(c.rows.count, 0);
    r.ttft_ns = 4000, r.cost_pico_usd = COST_UNKNOWN, r.waste_pico_usd = 0;
    traffic_add(workers[1], &r);
    changes_read(&c, 4, 4000);
    row = row_of(&c, 5, 9);
    assert_int_equal(row->counters[ROW_REQUESTS], 1);
    assert_int_equal(row->counters[ROW_COST], 0);
    assert_int_equal(row->measures[MEASURE_TTFT].count, 1);
    assert_in_range(row->measures[MEASURE_TTFT].max, 4000, 4089); /* not the 9000 of before */
    changes_clear(&c);
    for (int i = 0; i < 2; i++) {
        traffic_clear(workers[i]);
        mem_free(workers[i]);
    }
}

static void what_is_in_flight_is_seen_before_it_ends(void **state) {
    (void)state;
    struct traffic *t = mem_zalloc(sizeof *t);
    struct changes c;
    changes_init(&c);
    changes_watch(&c, t);
    struct traffic_group *g = traffic_enter(t, &(struct traffic_key){.tenant = 5, .provider = 7, .model = 9}, 3);
    traffic_enter(t, &(struct traffic_key){.tenant = 5, .provider = 7, .model = 9}, 3);
    traffic_queue(g, true);
    for (int i = 0; i < 2; i++) {
        changes_read(&c, 1, 1);
        assert_int_equal(row_of(&c, 5, 9)->in_flight, 2);
        assert_int_equal(row_of(&c, 5, 9)->queued, 1);
        assert_int_equal(row_of(&c, 5, 9)->counters[ROW_REQUESTS], 0);
    }
    traffic_queue(g, false);
    traffic_leave(g);
    traffic_leave(g);
    changes_read(&c, 2, 2);
    assert_int_equal(c.rows.count, 0);
    changes_clear(&c);
    traffic_clear(t);
    mem_free(t);
}

static void what_weir_answers_itself_is_no_use(void **state) {
    (void)state;
    struct traffic *t = mem_zalloc(sizeof *t);
    struct changes c;
    changes_init(&c);
    changes_watch(&c, t);
    struct record r = record_of(5, NAME_NONE);
    r.provider = NAME_NONE, r.own = true;
    traffic_add(t, &r);
    changes_read(&c, 1, 1);
    assert_int_equal(c.rows.count, 0);
    r.own = false; /* refused before it had a target: that is one */
    traffic_add(t, &r);
    changes_read(&c, 2, 2);
    assert_int_equal(c.rows.count, 1);
    assert_int_equal(c.rows.entries[0].row.counters[ROW_REQUESTS], 1);
    changes_clear(&c);
    traffic_clear(t);
    mem_free(t);
}

struct writer {
    struct traffic *traffic;
    uint64_t records;
    _Atomic bool done;
};

static void *write_records(void *context) {
    struct writer *w = context;
    for (uint64_t i = 0; i < w->records; i++) {
        struct record r = record_of(2 + (uint32_t)(random_u64() % 3), 5 + (uint32_t)(random_u64() % 40));
        r.ttft_ns = 1 + random_u64() % 100000000;
        r.total_ns = r.ttft_ns + 5;
        traffic_add(w->traffic, &r);
    }
    atomic_store(&w->done, true);
    return NULL;
}

static void looks_while_workers_count_add_up_exactly(void **state) {
    (void)state;
    enum { WORKERS = 3, RECORDS = 30000 };
    struct writer writers[WORKERS];
    pthread_t threads[WORKERS];
    struct changes c;
    struct row sum = {0};
    bool done = false;
    changes_init(&c);
    for (int i = 0; i < WORKERS; i++) {
        writers[i] = (struct writer){.traffic = mem_zalloc(sizeof(struct traffic)), .records = RECORDS};
        changes_watch(&c, writers[i].traffic);
        assert_int_equal(pthread_create(&threads[i], NULL, write_records, &writers[i]), 0);
    }
    while (!done) {
        done = true;
        for (int i = 0; i < WORKERS; i++) done &= atomic_load(&writers[i].done);
        changes_read(&c, 1, 1);
        for (size_t i = 0; i < c.rows.count; i++) row_add(&sum, &c.rows.entries[i].row);
    }
    struct histogram_view *all = mem_zalloc(sizeof *all), *got = mem_zalloc(sizeof *got);
    for (int i = 0; i < WORKERS; i++) {
        unsigned cursor = 0;
        pthread_join(threads[i], NULL);
        for (const struct traffic_group *g; (g = traffic_next(writers[i].traffic, &cursor)) != NULL;)
            histogram_read(&g->measures[MEASURE_TTFT], all);
    }
    assert_int_equal(sum.counters[ROW_REQUESTS], WORKERS * RECORDS);
    assert_int_equal(sum.counters[ROW_INPUT_TOKENS], WORKERS * RECORDS * 10);
    assert_int_equal(sum.counters[ROW_REASONING_TOKENS], WORKERS * RECORDS * 2);
    view_of(&sum.measures[MEASURE_TTFT], got);
    assert_memory_equal(got->counts, all->counts, sizeof all->counts);
    assert_int_equal(sum.measures[MEASURE_TTFT].sum, all->sum);
    assert_int_equal(sum.measures[MEASURE_TTFT].max, all->max);
    mem_free(all);
    mem_free(got);
    row_clear(&sum);
    changes_clear(&c);
    for (int i = 0; i < WORKERS; i++) {
        traffic_clear(writers[i].traffic);
        mem_free(writers[i].traffic);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merging_loses_nothing_in_any_order),
        cmocka_unit_test(an_empty_one_has_no_quantile_and_takes_all_buckets),
        cmocka_unit_test(an_empty_row_has_nulls_for_what_is_divided_by_nothing),
        cmocka_unit_test(numbers_are_exact),
        cmocka_unit_test(numbers_too_large_to_multiply_are_not_wrong),
        cmocka_unit_test(a_table_keeps_every_count_and_its_bounds),
        cmocka_unit_test(a_look_sees_what_came_since_the_last_one),
        cmocka_unit_test(what_is_in_flight_is_seen_before_it_ends),
        cmocka_unit_test(what_weir_answers_itself_is_no_use),
        cmocka_unit_test(looks_while_workers_count_add_up_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
