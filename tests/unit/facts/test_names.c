/* The registry of names: one id for one name, from whichever thread, and bounds that hold whatever clients send. The
 * registry lives as long as the process, so the tests that fill it come last. */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>

#include "facts/names.h"

static void the_first_two_names_are_given(void **state) {
    (void)state;
    assert_int_equal(name_id(SLICE("")), NAME_NONE);
    assert_int_equal(name_id(SLICE("_other")), NAME_OTHER);
    assert_int_equal(name_of(NAME_NONE).n, 0);
    assert_true(slice_equal(name_of(NAME_OTHER), SLICE("_other")));
    assert_int_equal(name_known(SLICE("")), NAME_NONE);
}

static void a_name_has_one_id(void **state) {
    (void)state;
    char copy[] = "acme";
    uint32_t id = name_id(SLICE("acme"));
    assert_true(id > NAME_OTHER);
    assert_int_equal(name_id((struct slice){copy, 4}), id);
    assert_int_equal(name_known((struct slice){copy, 4}), id);
    assert_int_not_equal(name_id((struct slice){copy, 3}), id);
    copy[0] = 'x'; /* the registry keeps its own copy */
    assert_true(slice_equal(name_of(id), SLICE("acme")));
    assert_int_equal(name_of(id).p[4], '\0');
}

static void names_are_bytes(void **state) {
    (void)state;
    uint32_t a = name_id(SLICE("n\0a")), b = name_id(SLICE("n\0b"));
    assert_int_not_equal(a, b);
    assert_true(slice_equal(name_of(a), SLICE("n\0a")));
    assert_true(slice_equal(name_of(b), SLICE("n\0b")));
}

static void an_id_without_a_name_reads_as_empty(void **state) {
    (void)state;
    assert_int_equal(name_of(NAMES_MAX - 1).n, 0);
}

/* ---- threads ---- */

enum { THREADS = 4, SHARED = 400 };
static uint32_t seen[THREADS][SHARED];
static atomic_bool go;

static struct slice numbered(char *out, size_t bytes, const char *prefix, unsigned i) {
    return (struct slice){out, (size_t)snprintf(out, bytes, "%s-%u", prefix, i)};
}

static void *add_shared(void *context) {
    uint32_t *ids = context;
    char text[32];
    while (!atomic_load(&go)) sched_yield();
    for (unsigned i = 0; i < SHARED; i++) {
        struct slice name = numbered(text, sizeof text, "shared", i);
        ids[i] = i % 2 ? name_id(name) : name_known(name);
        if (!slice_equal(name_of(ids[i]), name)) ids[i] = UINT32_MAX;
    }
    return NULL;
}

static void threads_that_add_the_same_names_get_the_same_ids(void **state) {
    (void)state;
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, add_shared, seen[i]), 0);
    atomic_store(&go, true);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < SHARED; i++) {
        assert_int_not_equal(seen[0][i], UINT32_MAX);
        for (int j = 1; j < THREADS; j++) assert_int_equal(seen[j][i], seen[0][i]);
    }
}

/* ---- bounds, last ---- */

static unsigned given_to_clients; /* by the test below */

static void *flood(void *context) {
    unsigned *own = context, thread = *own;
    char text[32];
    *own = 0;
    for (unsigned i = 0; i < 1500; i++) {
        uint32_t id = name_known(numbered(text, sizeof text, thread == 0 ? "left" : "right", i));
        *own += id != NAME_OTHER;
    }
    return NULL;
}

static void clients_can_add_so_many_names_and_no_more(void **state) {
    (void)state;
    unsigned counts[2] = {0, 1};
    pthread_t threads[2];
    char text[32];
    for (int i = 0; i < 2; i++) assert_int_equal(pthread_create(&threads[i], NULL, flood, &counts[i]), 0);
    for (int i = 0; i < 2; i++) pthread_join(threads[i], NULL);
    given_to_clients = counts[0] + counts[1];
    assert_true(given_to_clients <= NAMES_FROM_CLIENTS_MAX);
    /* What an earlier test let clients add counts too; two threads adding one name at once may count it twice. */
    assert_true(given_to_clients >= NAMES_FROM_CLIENTS_MAX - THREADS * SHARED / 2 - 2);
    assert_int_equal(name_known(SLICE("one more")), NAME_OTHER);
    assert_int_not_equal(name_known(SLICE("acme")), NAME_OTHER); /* known ones keep their ids */
    assert_int_not_equal(name_known(numbered(text, sizeof text, "shared", 7)), NAME_OTHER);
    assert_int_not_equal(name_id(SLICE("from the configuration")), NAME_OTHER); /* and so does what is configured */
    assert_int_not_equal(name_known(SLICE("from the configuration")), NAME_OTHER);
}

static void a_full_registry_gives_other_and_keeps_what_it_has(void **state) {
    (void)state;
    char text[32];
    uint32_t last = 0;
    for (unsigned i = 0; i < NAMES_MAX + 10; i++) {
        uint32_t id = name_id(numbered(text, sizeof text, "fill", i));
        if (id != NAME_OTHER) last = id;
    }
    assert_int_equal(last, NAMES_MAX - 1);
    assert_int_equal(name_id(SLICE("no room")), NAME_OTHER);
    assert_true(slice_equal(name_of(name_id(SLICE("acme"))), SLICE("acme")));
    assert_true(name_of(last).n > 0);
    assert_int_equal(name_id(name_of(last)), last);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_two_names_are_given),
        cmocka_unit_test(a_name_has_one_id),
        cmocka_unit_test(names_are_bytes),
        cmocka_unit_test(an_id_without_a_name_reads_as_empty),
        cmocka_unit_test(threads_that_add_the_same_names_get_the_same_ids),
        cmocka_unit_test(clients_can_add_so_many_names_and_no_more),
        cmocka_unit_test(a_full_registry_gives_other_and_keeps_what_it_has),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
