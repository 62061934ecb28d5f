/* Live windows: they react within seconds, lose nothing when they are merged, stay within their bounds, and answer
 * while they are written. */
#include "records.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>

#include "base/random.h"
#include "telemetry/live.h"

#define START_NS (UINT64_C(1000) * NS_PER_S)
#define START_UNIX_NS INT64_C(1795342528000000000)

static struct live *live;
static struct changes *changes;

static int setup(void **state) {
    (void)state;
    live = live_new();
    changes = mem_zalloc(sizeof *changes);
    changes_init(changes);
    changes->to_ns = START_NS;
    changes->to_unix_ns = START_UNIX_NS;
    return 0;
}

static int teardown(void **state) {
    (void)state;
    live_free(live);
    changes_clear(changes);
    mem_free(changes);
    return 0;
}

static struct traffic_key key_of(const char *tenant, const char *model) {
    return (struct traffic_key){name_id(slice_of(tenant)), name_id(SLICE("openai")), name_id(slice_of(model)),
                                NAME_NONE};
}

/* `requests` exchanges of that duration in the second that is being made. */
static void busy(const char *tenant, const char *model, uint64_t requests, uint64_t total_ns) {
    const struct traffic_key key = key_of(tenant, model);
    struct row *row = row_table_get(&changes->rows, &key);
    row->counters[ROW_REQUESTS] += requests;
    row->counters[ROW_OUTPUT_TOKENS] += 10 * requests;
    struct sparse *s = &row->measures[MEASURE_TOTAL];
    sparse_add(s, histogram_bucket_of(total_ns), requests);
    s->sum += requests * total_ns;
    if (total_ns > s->max) s->max = total_ns;
}

static void second_ends(void) {
    changes->from_ns = changes->to_ns;
    changes->to_ns += NS_PER_S;
    changes->to_unix_ns += (int64_t)NS_PER_S;
    live_take(live, changes);
    row_table_clear(&changes->rows);
}

static struct live_answer answer;
static const struct live_answer *ask(uint64_t seconds, struct live_question q) {
    q.window_ns = seconds * NS_PER_S;
    live_answer_clear(&answer);
    live_ask(live, &q, &answer);
    return &answer;
}

static bool is_about(uint64_t value, uint64_t wanted) {
    return fabs((double)value - (double)wanted) <= (double)wanted * 0.012;
}

#define BY_MODEL ((struct live_question){.by[TRAFFIC_PART_model] = true})

static void nothing_is_known_at_first(void **state) {
    (void)state;
    const struct live_answer *a = ask(60, BY_MODEL);
    assert_int_equal(a->rows.count, 0);
    assert_int_equal(a->covered_ns, 0);
    assert_int_equal(a->total.counters[ROW_REQUESTS], 0);
    changes->to_ns = 0; /* the first look of all: it has no beginning */
    changes->from_ns = 0;
    live_take(live, changes);
    assert_int_equal(ask(60, BY_MODEL)->covered_ns, 0);
}

static void quantiles_react_within_seconds(void **state) {
    (void)state;
    for (int i = 0; i < 60; i++, second_ends()) busy("acme", "m", 10, 100000000);
    assert_true(is_about(sparse_quantile(&ask(60, BY_MODEL)->total.measures[MEASURE_TOTAL], 0.95), 100000000));
    for (int i = 0; i < 5; i++, second_ends()) busy("acme", "m", 10, 900000000);
    const struct sparse *s = &ask(60, BY_MODEL)->total.measures[MEASURE_TOTAL];
    assert_int_equal(s->count, 600);
    assert_true(is_about(sparse_quantile(s, 0.95), 900000000)); /* 50 of 600 are slow now */
    assert_true(is_about(sparse_quantile(s, 0.5), 100000000));
    s = &ask(10, BY_MODEL)->total.measures[MEASURE_TOTAL];
    assert_int_equal(s->count, 100);
    assert_true(is_about(sparse_quantile(s, 0.51), 900000000));
    for (int i = 0; i < 60; i++) second_ends(); /* silence */
    assert_int_equal(ask(60, BY_MODEL)->total.counters[ROW_REQUESTS], 0);
    assert_int_equal(answer.covered_ns, 60 * NS_PER_S);
    assert_int_equal(ask(130, BY_MODEL)->total.counters[ROW_REQUESTS], 650);
}

/* Against a plain list of what was put into each second. */
static void merging_loses_nothing_and_counts_nothing_twice(void **state) {
    (void)state;
    enum { SECONDS = 1000 };
    uint64_t counts[SECONDS], tail = 0;
    for (int i = 0; i < SECONDS; i++, second_ends()) {
        counts[i] = random_u64() % 100;
        if (counts[i] > 0) busy("acme", i % 2 ? "a" : "b", counts[i], 1 + random_u64() % 1000000000);
        if (i < 30 || i % 97 != 0) continue;
        tail = 0;
        for (int j = 0; j < 30; j++) tail += counts[i - 1 - j];
        assert_int_equal(ask(30, BY_MODEL)->total.counters[ROW_REQUESTS], tail);
    }
    tail = 0;
    for (int i = SECONDS - 60; i < SECONDS; i++) tail += counts[i];
    assert_int_equal(ask(60, BY_MODEL)->total.counters[ROW_REQUESTS], tail);
    /* further back in steps of ten seconds: what is covered is said */
    uint64_t covered_s = ask(900, BY_MODEL)->covered_ns / NS_PER_S;
    assert_in_range(covered_s, 895, 905);
    tail = 0;
    for (uint64_t i = SECONDS - covered_s; i < SECONDS; i++) tail += counts[i];
    assert_int_equal(answer.total.counters[ROW_REQUESTS], tail);
    assert_int_equal(answer.total.measures[MEASURE_TOTAL].count, tail);
    assert_int_equal(answer.rows.count, 2);
    assert_int_equal(
        answer.rows.entries[0].row.counters[ROW_REQUESTS] + answer.rows.entries[1].row.counters[ROW_REQUESTS], tail);
    assert_int_equal(answer.unix_ns, START_UNIX_NS + SECONDS * (int64_t)NS_PER_S);
}

static void rows_are_by_the_keys_asked_for_and_the_busiest_come_first(void **state) {
    (void)state;
    busy("acme", "a", 1, 1000);
    busy("acme", "b", 5, 1000);
    busy("beta", "a", 3, 1000);
    second_ends();
    const struct live_answer *a =
        ask(60, (struct live_question){.by[TRAFFIC_PART_tenant] = true, .by[TRAFFIC_PART_model] = true});
    assert_int_equal(a->rows.count, 3);
    assert_int_equal(a->rows.entries[0].row.counters[ROW_REQUESTS], 5);
    assert_int_equal(a->rows.entries[0].key.provider, NAME_NONE);
    a = ask(60, BY_MODEL);
    assert_int_equal(a->rows.count, 2);
    assert_int_equal(a->rows.entries[0].key.model, name_id(SLICE("b")));
    assert_int_equal(a->rows.entries[1].row.counters[ROW_REQUESTS], 4);
    struct live_question q = BY_MODEL;
    q.filters[q.filter_count++] = (struct live_filter){TRAFFIC_PART_tenant, SLICE("acme")};
    assert_int_equal(ask(60, q)->total.counters[ROW_REQUESTS], 6);
    q.filters[q.filter_count++] = (struct live_filter){TRAFFIC_PART_tenant, SLICE("beta")}; /* either */
    assert_int_equal(ask(60, q)->total.counters[ROW_REQUESTS], 9);
    q.filters[q.filter_count++] = (struct live_filter){TRAFFIC_PART_model, SLICE("a")}; /* and */
    assert_int_equal(ask(60, q)->total.counters[ROW_REQUESTS], 4);
    q.filters[q.filter_count++] = (struct live_filter){TRAFFIC_PART_provider, SLICE("nobody")};
    assert_int_equal(ask(60, q)->total.counters[ROW_REQUESTS], 0);
}

static void what_is_under_way_is_that_of_the_last_second(void **state) {
    (void)state;
    const struct traffic_key key = key_of("acme", "m");
    for (uint32_t i = 5; i > 0; i--, second_ends()) row_table_get(&changes->rows, &key)->in_flight = i;
    assert_int_equal(ask(60, BY_MODEL)->total.in_flight, 1);
    assert_int_equal(answer.rows.entries[0].row.in_flight, 1);
    second_ends();
    assert_int_equal(ask(60, BY_MODEL)->total.in_flight, 0);
}

static void many_groups_are_folded_and_memory_is_bounded(void **state) {
    (void)state;
    enum { MODELS = 900, SECONDS = 300 };
    char model[32];
    for (int i = 0; i < SECONDS; i++, second_ends())
        for (int m = 0; m < MODELS; m++) {
            snprintf(model, sizeof model, "model-%d", m);
            busy("acme", model, 1, 1 + random_u64() % 100000000000);
        }
    const struct live_answer *a = ask(60, BY_MODEL);
    assert_int_equal(a->total.counters[ROW_REQUESTS], 60 * MODELS);
    assert_int_equal(a->rows.count, LIVE_DETAIL_MAX);
    assert_true(a->any_other);
    assert_int_equal(a->other.counters[ROW_REQUESTS], 60 * (MODELS - LIVE_DETAIL_MAX));
    assert_in_range(live_bytes(live), 1 << 20, LIVE_BYTES_MAX);
}

static void more_than_memory_allows_drops_the_oldest_windows(void **state) {
    (void)state;
    enum { SECONDS = 120 };
    char model[32];
    for (int i = 0; i < SECONDS; i++, second_ends())
        for (int m = 0; m < LIVE_DETAIL_MAX; m++) {
            snprintf(model, sizeof model, "model-%d", m);
            busy("acme", model, 1, 5);
            const struct traffic_key key = key_of("acme", model);
            struct row *row = row_table_get(&changes->rows, &key);
            for (int measure = 0; measure < ROW_MEASURE_COUNT; measure++)
                for (unsigned bucket = 0; bucket < 100; bucket++) sparse_add(&row->measures[measure], bucket, 1);
        }
    assert_in_range(live_bytes(live), LIVE_BYTES_MAX / 2, LIVE_BYTES_MAX);
    const struct live_answer *a = ask(900, BY_MODEL);
    assert_in_range(a->covered_ns, 20 * NS_PER_S, (SECONDS - 1) * NS_PER_S); /* the answer says how much it covers */
    assert_int_equal(a->total.counters[ROW_REQUESTS], a->covered_ns / NS_PER_S * LIVE_DETAIL_MAX);
}

static void loop_lag_is_of_the_window(void **state) {
    (void)state;
    struct histogram lag = {0};
    histogram_add(&lag, 7000000);
    live_watch_lag(live, &lag);
    second_ends();
    for (int i = 0; i < 15; i++) second_ends();
    histogram_add(&lag, 1000);
    second_ends();
    assert_int_equal(ask(10, BY_MODEL)->lag.count, 1);
    assert_true(is_about(sparse_quantile(&answer.lag, 0.5), 1000));
    assert_int_equal(ask(60, BY_MODEL)->lag.count, 2);
    assert_int_equal(answer.lag.sum, 7001000);
    histogram_clear(&lag);
}

static const char *text_of(struct buf *b) {
    buf_append(b, "", 1);
    return b->data + b->start;
}

static void as_json_it_has_every_member(void **state) {
    (void)state;
    struct buf out = {0};
    busy("acme", "m", 20, 4096);
    for (int i = 0; i < 10; i++) second_ends();
    const struct live_question q = {
        .window_ns = 60 * NS_PER_S, .by[TRAFFIC_PART_provider] = true, .by[TRAFFIC_PART_model] = true};
    const struct live_extra extra = {.replica = SLICE("gw-1"), .redis_up = -1, .dropped_records = 2};
    live_answer_clear(&answer);
    live_ask(live, &q, &answer);
    live_write(&out, &q, &answer, &extra);
    const char *got = text_of(&out);
#define HAS(part)                                                                                                      \
    if (strstr(got, part) == NULL) fail_msg("no %s in %s", part, got)
    HAS("{\"time\":\"2026-11-22T10:15:38.000000Z\",\"window_s\":60,\"scope\":\"replica\",\"replicas\":[\"gw-1\"],"
        "\"missing_replicas\":[],\"by\":[\"provider\",\"model\"],\"rows\":[{\"provider\":\"openai\",\"model\":\"m\","
        "\"health\":null,\"requests\":20,\"rps\":2,\"in_flight\":0,\"queued\":0,\"errors\":0,");
    HAS("\"total_ms\":{\"n\":20,\"p50\":0.00405"); /* the middle of its bucket */
    HAS(",\"max\":0.004096}");
    HAS("],\"other\":null,\"total\":{\"requests\":20,");
    HAS(",\"loop_lag_ms\":null,\"redis_up\":null,\"dropped\":{\"records\":2,\"spans\":0}}");
    buf_clear(&out);
}

static void a_tenant_sees_its_own_and_nothing_of_the_operators(void **state) {
    (void)state;
    struct buf out = {0};
    busy("acme", "m", 20, 4000);
    busy("beta", "secret-model", 7, 4000);
    second_ends();
    live_write_tenant(live, name_id(SLICE("acme")), 60 * NS_PER_S, &out);
    const char *got = text_of(&out);
    HAS("\"by\":[\"model\"],\"rows\":[{\"model\":\"m\",\"requests\":20,");
    HAS("\"total\":{\"requests\":20,");
    assert_null(strstr(got, "secret"));
    assert_null(strstr(got, "replicas"));
    assert_null(strstr(got, "loop_lag"));
    buf_clear(&out);
    live_write_tenant(live, name_id(SLICE("beta")), 60 * NS_PER_S, &out); /* not the other's answer */
    got = text_of(&out);
    HAS("\"rows\":[{\"model\":\"secret-model\",\"requests\":7,");
    buf_clear(&out);
    busy("acme", "m", 1, 4000);
    second_ends();
    live_write_tenant(live, name_id(SLICE("acme")), 60 * NS_PER_S, &out); /* not the last second's */
    got = text_of(&out);
    HAS("\"requests\":21,");
    buf_clear(&out);
}

static void windows_are_ten_seconds_to_a_quarter_of_an_hour(void **state) {
    (void)state;
    static const char *const bad[] = {"",   "s",  "9s",  "901s", "16m",  "0m",
                                      "60", "1h", "-5m", "1.5m", "60 s", "99999999999999999999m"};
    uint64_t ns;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(live_window_parse(slice_of(bad[i]), &ns));
    assert_true(live_window_parse(SLICE("10s"), &ns) && ns == 10 * NS_PER_S);
    assert_true(live_window_parse(SLICE("15m"), &ns) && ns == 900 * NS_PER_S);
    assert_true(live_window_parse(SLICE("900s"), &ns) && ns == 900 * NS_PER_S);
}

/* ---- replicas ---- */

/* This one's newest window as another's, moved to now: who is missing goes by the clock. */
static void tell_as(uint64_t replica, const char *name, int64_t ago_s) {
    struct buf text = {0};
    int64_t last = 0;
    while (live_tell(live, &last, &text)) {
        char line[64];
        long long to = (long long)clock_real_ns() - ago_s * (long long)NS_PER_S;
        snprintf(line, sizeof line, "%lld:%lld", to - (long long)NS_PER_S, to);
        struct slice rest = buf_slice(&text), first;
        assert_true(slice_cut(&rest, '\n', &first));
        struct buf moved = {0};
        buf_append_text(&moved, line);
        buf_append(&moved, "\n", 1);
        buf_append_slice(&moved, rest);
        assert_true(live_hear(live, replica, slice_of(name), buf_slice(&moved)));
        assert_false(live_hear(live, replica, slice_of(name), buf_slice(&moved))); /* once is enough */
        buf_clear(&moved);
        text.start = text.end = 0;
    }
    buf_clear(&text);
}

static void second_ends_now(void) {
    changes->to_unix_ns = clock_real_ns() - (int64_t)NS_PER_S;
    second_ends();
}

static void what_another_replica_tells_is_counted_once(void **state) {
    (void)state;
    busy("acme", "a:b %\n\x7f\xc3\xa9", 20, 100000000); /* a name that has to be escaped */
    busy("", "m", 3, 1000);
    row_table_get(&changes->rows, &(struct traffic_key){0})->in_flight = 2;
    second_ends_now();
    tell_as(7, "gw-2", 0);
    const struct live_answer *a = ask(60, BY_MODEL);
    assert_int_equal(a->total.counters[ROW_REQUESTS], 46);
    assert_int_equal(a->total.counters[ROW_OUTPUT_TOKENS], 460);
    assert_int_equal(a->total.in_flight, 4);
    assert_int_equal(a->rows.entries[0].key.model, name_id(SLICE("a:b %\n\x7f\xc3\xa9")));
    assert_int_equal(a->rows.entries[0].row.measures[MEASURE_TOTAL].count, 40);
    assert_int_equal(a->rows.entries[0].row.measures[MEASURE_TOTAL].sum, 40 * UINT64_C(100000000));
    assert_int_equal(a->covered_ns, NS_PER_S); /* the same second of two replicas */
    assert_false(a->fleet);                    /* nobody said that these are all */
    live_known(live, clock_real_ns());
    assert_true(ask(60, BY_MODEL)->fleet);
    assert_int_equal(a->other_count, 1);
    assert_string_equal(a->others[0].name, "gw-2");
    assert_false(a->others[0].missing);
}

static void who_is_missing_longest_gives_way_to_who_is_there(void **state) {
    (void)state;
    char name[16];
    busy("acme", "m", 5, 1000);
    second_ends_now();
    for (uint64_t i = 0; i < LIVE_PEERS_MAX - 1; i++) { /* a fleet that was started anew a few times */
        snprintf(name, sizeof name, "old-%d", (int)i);
        tell_as(100 + i, name, 20 + (int64_t)(i * 7) % 31);
    }
    tell_as(7, "there", 0);
    tell_as(8, "new", 0);
    const struct live_answer *a = ask(60, BY_MODEL);
    unsigned there = 0;
    for (unsigned i = 0; i < a->other_count; i++) {
        there += !a->others[i].missing;
        assert_true(strcmp(a->others[i].name, "old-22") != 0); /* 22 * 7 % 31 is 30 */
    }
    assert_int_equal(a->other_count, LIVE_PEERS_MAX);
    assert_int_equal(there, 2);
    assert_int_equal(a->total.counters[ROW_REQUESTS], 5 * (1 + LIVE_PEERS_MAX));
    for (uint64_t i = 0; i < LIVE_PEERS_MAX - 2; i++) tell_as(200 + i, "newer", 0);
    char text[64]; /* but nobody who is there gives way */
    long long now = (long long)clock_real_ns();
    snprintf(text, sizeof text, "%lld:%lld\n", now - (long long)NS_PER_S, now);
    assert_false(live_hear(live, 999, SLICE("one too many"), slice_of(text)));
    assert_true(live_heard_unix_ns(live, 7) != 0 && live_heard_unix_ns(live, 200) != 0);
}

static void a_replica_that_is_not_heard_of_is_missing_and_then_forgotten(void **state) {
    (void)state;
    busy("acme", "m", 5, 1000);
    row_table_get(&changes->rows, &(struct traffic_key){0})->in_flight = 2;
    second_ends_now();
    tell_as(7, "gw-2", 20);
    const struct live_answer *a = ask(60, BY_MODEL);
    assert_int_equal(a->total.counters[ROW_REQUESTS], 10); /* it was within the minute */
    assert_int_equal(a->total.in_flight, 2);               /* … but what it has in flight now nobody knows */
    assert_true(a->other_count == 1 && a->others[0].missing);
    assert_int_equal(ask(10, BY_MODEL)->total.counters[ROW_REQUESTS], 5);
    tell_as(9, "gw-2", 15); /* it had begun anew, and ended again */
    a = ask(60, BY_MODEL);
    assert_true(a->other_count == 1 && a->others[0].missing);
    tell_as(8, "gw-2", 0); /* it is back, as another process */
    a = ask(60, BY_MODEL);
    assert_true(a->other_count == 1 && !a->others[0].missing);
    assert_int_equal(a->total.counters[ROW_REQUESTS], 20);
    live_forget(live, clock_real_ns() + 890 * (int64_t)NS_PER_S);
    assert_int_equal(live_heard_unix_ns(live, 7), 0);
    assert_true(live_heard_unix_ns(live, 8) != 0);
    assert_int_equal(ask(60, BY_MODEL)->total.counters[ROW_REQUESTS], 10);
}

static void replicas_are_bounded(void **state) {
    (void)state;
    busy("acme", "m", 1, 1000);
    second_ends_now();
    char name[200];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    for (uint64_t id = 1; id <= LIVE_PEERS_MAX; id++) tell_as(id, name, 0);
    assert_int_equal(ask(60, BY_MODEL)->other_count, LIVE_PEERS_MAX);
    assert_int_equal(strlen(answer.others[0].name), LIVE_NAME_BYTES - 1);
    assert_false(live_hear(live, 99, SLICE("one more"), SLICE("1000000000:2000000000\n")));
    assert_int_equal(ask(60, BY_MODEL)->total.counters[ROW_REQUESTS], 1 + LIVE_PEERS_MAX);
}

static void what_is_no_window_is_not_heard(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "nonsense",
                                      "0:1000000000\n",
                                      "2000000000:1000000000\n",
                                      "1000000000:1000000000\n",
                                      "1:99999999999999999999\n",
                                      "1:9223372036854775808\n",
                                      "1000000000:99000000000\n",
                                      "-5:1000000000\n",
                                      "1000000000:2000000000\na:b:c:d:0:0:x\n",
                                      "1000000000:2000000000\na:b:c:d:0:1\n",
                                      "1000000000:2000000000\na:b:c:d:-1:0:1\n",
                                      "1000000000:2000000000\na:b:c:d:4294967296:0:1\n",
                                      "1000000000:2000000000\na:%zz:c:d:0:0:1\n",
                                      "1000000000:2000000000\na:%4:c:d:0:0:1\n",
                                      "1000000000:2000000000\na:b:c:d:0:0:1;5,5,9999:1\n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (live_hear(live, 7, SLICE("x"), slice_of(bad[i]))) fail_msg("heard: %s", bad[i]);
    struct buf many = {0};
    buf_append_text(&many, "1000000000:2000000000\n");
    for (int i = 0; i < 5 * LIVE_DETAIL_MAX; i++) buf_append_text(&many, "a:b:c:d:0:0:1\n");
    assert_false(live_hear(live, 7, SLICE("x"), buf_slice(&many)));
    buf_clear(&many);
    assert_int_equal(ask(60, BY_MODEL)->other_count, 0);
    assert_int_equal(answer.total.counters[ROW_REQUESTS], 0);
    assert_true(live_hear(live, 7, SLICE("x"), SLICE("1000000000:2000000000\n"))); /* a second without anything */
}

static void *asker(void *context) {
    (void)context;
    for (int i = 0; i < 300; i++) {
        struct live_answer a;
        struct buf out = {0};
        const struct live_question q = {.window_ns = 900 * NS_PER_S, .by[TRAFFIC_PART_model] = true};
        live_ask(live, &q, &a);
        assert_int_equal(a.total.counters[ROW_REQUESTS] * NS_PER_S, 3 * a.covered_ns);
        live_answer_clear(&a);
        live_write_tenant(live, name_id(SLICE("acme")), 60 * NS_PER_S, &out);
        buf_clear(&out);
    }
    return NULL;
}

static void answers_are_whole_while_windows_are_added(void **state) {
    (void)state;
    pthread_t threads[2];
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, asker, NULL), 0);
    for (int i = 0; i < 2000; i++, second_ends()) busy("acme", "m", 3, 1000);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {TEST(nothing_is_known_at_first),
                                       TEST(quantiles_react_within_seconds),
                                       TEST(merging_loses_nothing_and_counts_nothing_twice),
                                       TEST(rows_are_by_the_keys_asked_for_and_the_busiest_come_first),
                                       TEST(what_is_under_way_is_that_of_the_last_second),
                                       TEST(many_groups_are_folded_and_memory_is_bounded),
                                       TEST(more_than_memory_allows_drops_the_oldest_windows),
                                       TEST(loop_lag_is_of_the_window),
                                       TEST(as_json_it_has_every_member),
                                       TEST(a_tenant_sees_its_own_and_nothing_of_the_operators),
                                       TEST(windows_are_ten_seconds_to_a_quarter_of_an_hour),
                                       TEST(answers_are_whole_while_windows_are_added),
                                       TEST(what_another_replica_tells_is_counted_once),
                                       TEST(a_replica_that_is_not_heard_of_is_missing_and_then_forgotten),
                                       TEST(who_is_missing_longest_gives_way_to_who_is_there),
                                       TEST(replicas_are_bounded),
                                       TEST(what_is_no_window_is_not_heard)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    live_answer_clear(&answer);
    return failed;
}
