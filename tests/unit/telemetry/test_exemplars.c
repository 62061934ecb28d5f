/* Exemplars: the newest of each octave, of the measures a record has, in bounded memory, from any thread. */
#include "records.h"

#include <pthread.h>

#include "telemetry/exemplars.h"

static struct exemplars *exemplars;
static struct exemplar list[EXEMPLARS_PER_MEASURE];

static int setup(void **state) {
    (void)state;
    exemplars = exemplars_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    exemplars_free(exemplars);
    return 0;
}

static void add(uint32_t model, uint64_t total_ns, uint8_t id) {
    struct record *r = record_usual();
    r->model = model, r->total_ns = total_ns, r->trace_id[0] = id;
    r->ttft_ns = TIME_UNKNOWN_NS;
    exemplars_add(exemplars, r);
    mem_free(r);
}

static unsigned read_of(uint32_t model, enum measure m) {
    struct record *r = record_usual();
    const struct traffic_group g = {
        .tenant = r->tenant, .provider = r->provider, .model = model, .workload = r->workload};
    mem_free(r);
    return exemplars_read(exemplars, &g, m, list);
}

static void the_newest_of_each_octave_is_kept(void **state) {
    (void)state;
    add(7, 1000000, 1);
    add(7, 1000001, 2); /* the same octave */
    add(7, 3000000, 3);
    assert_int_equal(read_of(7, MEASURE_TOTAL), 2);
    for (unsigned i = 0; i < 2; i++) {
        assert_int_equal(list[i].trace_id[0], list[i].value == 1000001 ? 2 : 3);
        assert_int_equal(list[i].unix_ns, INT64_C(1795342528563402123));
    }
    assert_int_equal(read_of(7, MEASURE_TTFT), 0); /* not known, not kept */
    assert_int_equal(read_of(7, MEASURE_PHASE + PHASE_RECEIVE), 0);
    assert_int_equal(read_of(7, MEASURE_PHASE + PHASE_WAIT), 1);
    assert_int_equal(read_of(8, MEASURE_TOTAL), 0);
}

static void groups_are_bounded_and_the_first_stay(void **state) {
    (void)state;
    for (uint32_t model = 1; model <= EXEMPLAR_GROUPS_MAX + 50; model++) add(model, 5, 1);
    unsigned kept = 0;
    for (uint32_t model = 1; model <= EXEMPLAR_GROUPS_MAX + 50; model++) kept += read_of(model, MEASURE_TOTAL);
    assert_int_equal(kept, EXEMPLAR_GROUPS_MAX);
    assert_int_equal(read_of(1, MEASURE_TOTAL), 1);
    assert_int_equal(read_of(EXEMPLAR_GROUPS_MAX + 50, MEASURE_TOTAL), 0);
}

static void *adder(void *context) {
    (void)context;
    for (int i = 0; i < 5000; i++) add(7, (uint64_t)i + 1, 9);
    return NULL;
}

static void one_adds_while_another_reads(void **state) {
    (void)state;
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, adder, NULL), 0);
    for (int i = 0; i < 500; i++) {
        unsigned n = read_of(7, MEASURE_TOTAL);
        for (unsigned j = 0; j < n; j++) assert_int_equal(list[j].trace_id[0], 9);
    }
    pthread_join(thread, NULL);
    assert_int_equal(read_of(7, MEASURE_TOTAL), EXEMPLARS_PER_MEASURE);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {TEST(the_newest_of_each_octave_is_kept),
                                       TEST(groups_are_bounded_and_the_first_stay), TEST(one_adds_while_another_reads)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
