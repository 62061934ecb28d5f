/* Tests of usage: what is counted where, when the clock goes on or jumps, what is kept, what is answered. */
#include "unit.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "facts/names.h"
#include "telemetry/row_text.h"
#include "telemetry/usage.h"

#define SECOND ((int64_t)NS_PER_S)
#define AT(day, hour, minute) ((BEGIN_DAY + (day)) * 86400 + (hour)*3600 + (minute)*60)
#define BEGIN_DAY INT64_C(20780) /* 2026-11-23 */

static struct usage_book *usage;
static struct changes changes;
static uint32_t acme, other, openai, mini, large;

static int setup(void **state) {
    (void)state;
    acme = name_id(SLICE("acme")), other = name_id(SLICE("other")), openai = name_id(SLICE("openai"));
    mini = name_id(SLICE("mini")), large = name_id(SLICE("large"));
    usage = usage_new(AT(0, 10, 0) * SECOND);
    changes_init(&changes);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    usage_free(usage);
    changes_clear(&changes);
    return 0;
}

/* One second's look: so many requests of this tenant and model, a token each, one of them measured. */
static void count_row(uint32_t tenant, uint32_t model, uint64_t requests) {
    struct row *row = row_table_get(&changes.rows, &(struct traffic_key){tenant, openai, model, NAME_NONE});
    row->counters[ROW_REQUESTS] += requests;
    row->counters[ROW_INPUT_TOKENS] += requests;
    sparse_add(&row->measures[MEASURE_TOTAL], 100, 1);
}

static void take(int64_t unix_s) {
    changes.from_unix_ns = unix_s * SECOND;
    changes.to_unix_ns = changes.from_unix_ns + SECOND;
    usage_take(usage, &changes);
    row_table_clear(&changes.rows);
}

static void count(int64_t unix_s, uint32_t tenant, uint32_t model, uint64_t requests) {
    count_row(tenant, model, requests);
    take(unix_s);
}

static uint64_t requests_of(uint32_t tenant, int64_t unix_s, bool month) {
    struct usage_period periods[2];
    usage_of_tenant(usage, tenant, unix_s * SECOND, &periods[0], &periods[1]);
    return periods[month].row.counters[ROW_REQUESTS];
}

static void today_and_this_month_begin_with_the_process_or_later(void **state) {
    (void)state;
    struct usage_period today, month;
    count(AT(0, 10, 0), acme, mini, 5);
    count(AT(0, 23, 59), other, mini, 7);
    usage_of_tenant(usage, acme, AT(0, 23, 59) * SECOND, &today, &month);
    assert_int_equal(today.row.counters[ROW_REQUESTS], 5);
    assert_int_equal(month.row.counters[ROW_INPUT_TOKENS], 5);
    assert_int_equal(today.since_unix_ns, AT(0, 10, 0) * SECOND);
    assert_int_equal(month.since_unix_ns, AT(0, 10, 0) * SECOND);
    usage_of_tenant(usage, acme, AT(1, 0, 0) * SECOND, &today, &month); /* midnight, nothing counted since */
    assert_int_equal(today.row.counters[ROW_REQUESTS], 0);
    assert_int_equal(today.since_unix_ns, AT(1, 0, 0) * SECOND);
    assert_int_equal(month.row.counters[ROW_REQUESTS], 5);
    count(AT(1, 0, 0), acme, large, 3);
    assert_int_equal(requests_of(acme, AT(1, 1, 0), false), 3);
    assert_int_equal(requests_of(acme, AT(1, 1, 0), true), 8);
    count(AT(8, 0, 0), acme, large, 2); /* 1 December */
    assert_int_equal(requests_of(acme, AT(8, 0, 1), true), 2);
    assert_int_equal(requests_of(other, AT(8, 0, 1), true), 0);
    assert_int_equal(requests_of(name_id(SLICE("nobody")), AT(8, 0, 1), true), 0);
}

static void a_clock_set_back_loses_and_doubles_nothing(void **state) {
    (void)state;
    count(AT(0, 23, 0), acme, mini, 5);
    count(AT(1, 0, 0), acme, mini, 7);
    count(AT(0, 23, 0), acme, mini, 1); /* back before midnight */
    assert_int_equal(requests_of(acme, AT(0, 23, 0), false), 6);
    assert_int_equal(requests_of(acme, AT(0, 23, 0), true), 13);
    count(AT(1, 0, 0), acme, mini, 1);
    assert_int_equal(requests_of(acme, AT(1, 0, 0), false), 8);
    count(AT(9, 0, 0), acme, mini, 1); /* a month on, and back */
    count(AT(1, 0, 0), acme, mini, 1);
    assert_int_equal(requests_of(acme, AT(1, 0, 0), false), 9);
    assert_int_equal(requests_of(acme, AT(1, 0, 0), true), 15);
    count(AT(-9000, 0, 0), acme, mini, 1); /* decades back */
    assert_int_equal(requests_of(acme, AT(-9000, 0, 0), true), 1);
}

static void months_begin_on_the_first(void **state) {
    (void)state;
    assert_int_equal(usage_month_begin_s(AT(0, 10, 0)), AT(-22, 0, 0));
    assert_int_equal(usage_month_begin_s(AT(8, 0, 0)), AT(8, 0, 0));
    assert_int_equal(usage_month_begin_s(AT(8, 0, 0) - 1), AT(-22, 0, 0));
    assert_int_equal(usage_month_begin_s(INT64_C(951868799)), INT64_C(949363200)); /* the end of 29 February 2000 */
    assert_int_equal(usage_day_begin_s(-1), -86400);
}

static uint64_t total(const struct usage_answer *a) {
    uint64_t sum = 0;
    for (size_t i = 0; i < a->count; i++)
        for (size_t j = 0; j < a->steps[i].rows.count; j++)
            sum += a->steps[i].rows.entries[j].row.counters[ROW_REQUESTS];
    return sum;
}

static uint64_t ask_total(const struct usage_question *q) {
    struct usage_answer a = {0};
    usage_ask(usage, q, &a);
    uint64_t sum = total(&a);
    usage_answer_clear(&a);
    return sum;
}

static void steps_and_keys_group_what_was_counted(void **state) {
    (void)state;
    for (int minute = 0; minute < 120; minute++) {
        count_row(acme, minute % 2 ? mini : large, 1);
        count_row(other, mini, 2);
        take(AT(0, 10, minute) + 59);
    }
    struct usage_question q = {.from_s = AT(0, 10, 0), .to_s = AT(0, 12, 0), .step_s = 1800};
    struct usage_answer a = {0};
    q.by[TRAFFIC_PART_tenant] = q.by[TRAFFIC_PART_model] = true;
    usage_ask(usage, &q, &a);
    usage_answer_sort(&a);
    assert_int_equal(a.count, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(a.steps[i].time_s, AT(0, 10, 0) + 1800 * (int64_t)i);
        assert_int_equal(a.steps[i].rows.count, 3); /* acme large, acme mini, other mini */
        const struct row_entry *e = a.steps[i].rows.entries;
        assert_int_equal(e[0].key.model, large);
        assert_int_equal(e[1].key.tenant, acme);
        assert_int_equal(e[2].key.tenant, other);
        assert_int_equal(e[0].key.provider, NAME_NONE);
        assert_int_equal(e[0].row.counters[ROW_REQUESTS], 15);
        assert_int_equal(e[2].row.counters[ROW_REQUESTS], 60);
        assert_int_equal(e[2].row.measures[MEASURE_TOTAL].count, 30);
    }
    usage_answer_clear(&a);
    q.filters[q.filter_count++] = (struct usage_filter){TRAFFIC_PART_tenant, SLICE("acme")};
    assert_int_equal(ask_total(&q), 120);
    q.filters[q.filter_count++] = (struct usage_filter){TRAFFIC_PART_tenant, SLICE("other")};
    assert_int_equal(ask_total(&q), 360);
    q.filters[q.filter_count++] = (struct usage_filter){TRAFFIC_PART_model, SLICE("large")};
    assert_int_equal(ask_total(&q), 60);
    q.filters[q.filter_count++] = (struct usage_filter){TRAFFIC_PART_workload, SLICE("")};
    assert_int_equal(ask_total(&q), 60);
    q.to_s = AT(0, 11, 0);
    assert_int_equal(ask_total(&q), 30);
}

static void every_level_tells_the_same(void **state) {
    (void)state;
    uint64_t expected = 0;
    for (int i = 0; i < 500; i++) {
        uint64_t n = 1 + random_u64() % 9;
        count(AT(0, 10, 0) + (int64_t)(random_u64() % 9000), acme, mini, n); /* 2.5 hours */
        expected += n;
    }
    const uint32_t steps[] = {0, 60, 3600, 86400, 120, 7200};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
        assert_int_equal(
            ask_total(&(struct usage_question){.from_s = AT(0, 0, 0), .to_s = AT(1, 0, 0), .step_s = steps[i]}),
            expected);
    assert_int_equal(usage_question_level(&(struct usage_question){.from_s = AT(0, 0, 0), .to_s = AT(1, 0, 0)}),
                     USAGE_DAY);
    assert_int_equal(usage_question_level(&(struct usage_question){.from_s = AT(0, 1, 0), .to_s = AT(1, 0, 0)}),
                     USAGE_HOUR);
    assert_int_equal(
        usage_question_level(&(struct usage_question){.from_s = AT(0, 0, 0), .to_s = AT(1, 0, 0), .step_s = 60}),
        USAGE_MINUTE);
}

static void old_slots_go_and_are_told_of(void **state) {
    (void)state;
    for (int minute = 0; minute < 300; minute++) count(AT(0, 10, minute), acme, mini, 1);
    const struct usage_question by_minute = {.from_s = AT(0, 0, 0), .to_s = AT(1, 0, 0), .step_s = 60};
    const struct usage_question by_hour = {.from_s = AT(0, 0, 0), .to_s = AT(1, 0, 0), .step_s = 3600};
    struct usage_answer a = {0};
    usage_ask(usage, &by_minute, &a);
    assert_int_equal(total(&a), 180);
    assert_int_equal(a.since_s, AT(0, 12, 0));
    usage_answer_clear(&a);
    usage_ask(usage, &by_hour, &a);
    assert_int_equal(total(&a), 300);
    assert_int_equal(a.since_s, AT(0, 10, 0)); /* the process's start */
    usage_answer_clear(&a);
}

static void rows_are_bounded_and_days_go_last(void **state) {
    (void)state;
    enum { MODELS = 1000 };
    for (int minute = 0; minute < 60; minute++) {
        for (uint32_t model = 0; model < MODELS; model++) count_row(acme, 100 + model, 1);
        take(AT(0, 10, minute));
    }
    struct usage_question q = {.from_s = AT(0, 0, 0), .to_s = AT(1, 0, 0), .step_s = 60};
    assert_in_range(ask_total(&q), 10 * MODELS, USAGE_ROWS_MAX);
    q.step_s = 86400;
    assert_int_equal(ask_total(&q), 60 * MODELS);
    assert_int_equal(requests_of(acme, AT(0, 11, 0), false), 60 * MODELS);
}

/* ---- telling others ---- */

struct unsent {
    struct usage_unsent items[64];
    size_t count, stop_after;
};

static bool unsent_take(void *context, const struct usage_unsent *s) {
    struct unsent *u = context;
    assert_in_range(u->count, 0, 63);
    u->items[u->count++] = *s;
    return u->count != u->stop_after;
}

static struct unsent unsent(void) {
    struct unsent u = {0};
    usage_unsent_each(usage, unsent_take, &u);
    return u;
}

static void what_changed_is_unsent_until_it_is_said_to_have_arrived(void **state) {
    (void)state;
    assert_true(usage_is_sent(usage));
    count_row(other, mini, 2);
    count(AT(0, 10, 0), acme, mini, 5);
    struct unsent u = unsent();
    assert_int_equal(u.count, 10); /* two tenants: minute, hour, day, and the sums of day and month */
    for (size_t i = 0; i < 10; i++) {
        assert_int_equal(u.items[i].kind, i % 5);
        assert_int_equal(u.items[i].key.tenant, i < 5 ? acme : other);
        assert_int_equal(u.items[i].key.model, i % 5 < 3 ? mini : NAME_NONE);
        assert_int_equal(u.items[i].row->counters[ROW_REQUESTS], i < 5 ? 5 : 2);
        assert_int_equal(u.items[i].row->measures[MEASURE_TOTAL].count, i % 5 < 3);
        assert_int_equal(u.items[i].told, 0);
    }
    assert_int_equal(u.items[0].start_s, AT(0, 10, 0));
    assert_int_equal(u.items[2].start_s, AT(0, 0, 0));
    assert_int_equal(u.items[4].start_s, AT(-22, 0, 0));
    for (size_t i = 0; i < 9; i++) usage_sent(usage, &u.items[i], 7);
    for (int twice = 0; twice < 2; twice++) usage_sent(usage, &u.items[3], 7);
    assert_int_equal(unsent().count, 1);
    assert_false(usage_is_sent(usage));
    usage_sent(usage, &u.items[9], 8);
    assert_true(usage_is_sent(usage));

    count(AT(0, 10, 1), acme, mini, 1); /* the next minute of the same hour */
    u = unsent();
    assert_int_equal(u.count, 5);
    assert_int_equal(u.items[0].told, 0);
    assert_int_equal(u.items[1].told, 7);
    assert_int_equal(u.items[1].row->counters[ROW_REQUESTS], 6); /* whole, not only what was added */
    count(AT(0, 10, 1), acme, mini, 1);                          /* … while it is on its way */
    for (size_t i = 0; i < 5; i++) usage_sent(usage, &u.items[i], 9);
    assert_int_equal(unsent().count, 5);
    assert_int_equal(unsent().items[0].told, 9);
    struct unsent one = {.stop_after = 1};
    usage_unsent_each(usage, unsent_take, &one);
    assert_int_equal(one.count, 1);
}

static void what_was_lost_is_all_unsent_again(void **state) {
    (void)state;
    for (int minute = 0; minute < 3; minute++) count(AT(0, 10, minute), acme, mini, 1);
    struct unsent u = unsent();
    assert_int_equal(u.count, 3 + 4);
    for (size_t i = 0; i < u.count; i++) usage_sent(usage, &u.items[i], 1);
    assert_true(usage_is_sent(usage));
    usage_forget_sent(usage);
    u = unsent();
    assert_int_equal(u.count, 3 + 4);
    assert_int_equal(u.items[0].told, 0);
    for (size_t i = 0; i < u.count; i++) usage_sent(usage, &u.items[i], 2);
    assert_true(usage_is_sent(usage));
    struct usage_unsent gone = u.items[0];
    gone.start_s -= 60;
    usage_sent(usage, &gone, 3); /* of a slot that is no more */
    gone = u.items[0];
    gone.key.model = 12345;
    usage_sent(usage, &gone, 3);
    assert_true(usage_is_sent(usage));
}

/* ---- rows as text ---- */

static struct row row_random(void) {
    struct row r = {0};
    for (int i = 0; i < ROW_COUNTER_COUNT; i++) r.counters[i] = random_u64() >> (1 + random_u64() % 63);
    for (int m = 0; m < ROW_MEASURE_COUNT; m++) {
        for (uint64_t n = random_u64() % 20; n > 0; n--)
            sparse_add(&r.measures[m], (unsigned)(random_u64() % HISTOGRAM_BUCKETS), 1 + random_u64() % 1000);
        if (r.measures[m].count > 0) r.measures[m].sum = random_u64() >> 2, r.measures[m].max = random_u64();
    }
    return r;
}

static void assert_rows_equal(const struct row *a, const struct row *b) {
    assert_memory_equal(a->counters, b->counters, sizeof a->counters);
    for (int m = 0; m < ROW_MEASURE_COUNT; m++) {
        const struct sparse *x = &a->measures[m], *y = &b->measures[m];
        assert_int_equal(x->cell_count, y->cell_count);
        if (x->cell_count > 0) assert_memory_equal(x->cells, y->cells, x->cell_count * sizeof *x->cells);
        assert_true(x->count == y->count && x->sum == y->sum && x->max == y->max);
    }
}

static void a_row_comes_back_from_its_text(void **state) {
    (void)state;
    for (int round = 0; round < 500; round++) {
        struct row r = row_random(), again = {0}, sum = {0};
        struct buf text = {0};
        row_text_write(&text, &r, true);
        assert_true(row_text_read(buf_slice(&text), &again));
        assert_rows_equal(&r, &again);
        row_add(&sum, &r);
        row_add(&sum, &r);
        assert_true(row_text_read(buf_slice(&text), &again)); /* it adds */
        assert_rows_equal(&sum, &again);
        text.start = text.end = 0;
        row_text_write(&text, &r, false);
        row_clear(&again);
        assert_true(row_text_read(buf_slice(&text), &again));
        assert_memory_equal(again.counters, r.counters, sizeof r.counters);
        assert_int_equal(again.measures[0].count, 0);
        buf_clear(&text);
        row_clear(&r);
        row_clear(&again);
        row_clear(&sum);
    }
}

static void texts_of_other_versions_are_read_as_far_as_they_are_known(void **state) {
    (void)state;
    struct row r = {0};
    assert_true(row_text_read(SLICE("5,1"), &r));
    assert_true(row_text_read(SLICE("1,2,3,4,5,6,7,8,9,10,11,12,13;;;;;;anything,7:;9"), &r));
    assert_int_equal(r.counters[ROW_REQUESTS], 6);
    assert_int_equal(r.counters[ROW_WASTE], 11);
    assert_int_equal(r.measures[0].count, 0);
}

static void what_is_no_text_of_a_row_adds_nothing(void **state) {
    (void)state;
    static const char *const wrong[] = {"",
                                        ";",
                                        "1,",
                                        ",1",
                                        "-1",
                                        "1.5",
                                        "18446744073709551616",
                                        "1;5",
                                        "1;5,",
                                        "1;5,6",
                                        "1;5,6,",
                                        "1;5,6,7",
                                        "1;5,6,7:",
                                        "1;5,6,7:0",
                                        "1;5,6,1408:1",
                                        "1;5,6,7:1,7:1",
                                        "1;5,6,8:1,7:1",
                                        "1;5,6,7:9007199254740992",
                                        "1;5,6,7:1:1",
                                        "1;;;;;x"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct row r = {0};
        if (row_text_read(slice_of(wrong[i]), &r)) fail_msg("%s was taken", wrong[i]);
        assert_memory_equal(&r, &(struct row){0}, sizeof r);
    }
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(today_and_this_month_begin_with_the_process_or_later),
        TEST(a_clock_set_back_loses_and_doubles_nothing),
        TEST(months_begin_on_the_first),
        TEST(steps_and_keys_group_what_was_counted),
        TEST(every_level_tells_the_same),
        TEST(old_slots_go_and_are_told_of),
        TEST(rows_are_bounded_and_days_go_last),
        TEST(what_changed_is_unsent_until_it_is_said_to_have_arrived),
        TEST(what_was_lost_is_all_unsent_again),
        TEST(a_row_comes_back_from_its_text),
        TEST(texts_of_other_versions_are_read_as_far_as_they_are_known),
        TEST(what_is_no_text_of_a_row_adds_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
