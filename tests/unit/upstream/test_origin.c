/* Origins: the same place is the same origin, another place is another, and none is freed while somebody has it. */
#include "unit.h"

#include <stdio.h>

#include "net/net_fixture.h"
#include "certificates.h"
#include "upstream/origin.h"
#include "upstream/pool.h"

static struct origins *origins;
static char message[256];

static struct origin *get(const char *name, const char *host, const char *port, bool tls, const char *ca) {
    struct origin_place place = {slice_of(name), slice_of(host), slice_of(port), tls, true, ca};
    return origin_get(origins, &place, 5, message, sizeof message);
}

static int setup(void **state) {
    (void)state;
    origins = origins_new();
    loop = loop_new();
    return 0;
}

static int teardown(void **state) {
    (void)state;
    origins_free(origins);
    loop_free(loop);
    return 0;
}

static void authorities_that_cannot_be_read_are_told_and_leave_nothing(void **state) {
    (void)state;
    assert_null(get("a", "h", "443", true, "/nowhere/ca.pem"));
    assert_non_null(strstr(message, "/nowhere/ca.pem"));
    struct origin *o = get("a", "h", "443", true, NULL);
    assert_int_equal(o->slot, 0);
    origin_put(o);
}

static void there_is_an_end_to_them(void **state) {
    (void)state;
    static struct origin *all[ORIGINS_MAX];
    char name[16];
    for (int i = 0; i < ORIGINS_MAX; i++) {
        snprintf(name, sizeof name, "p%d", i);
        all[i] = get(name, "h", "80", false, NULL);
        assert_non_null(all[i]);
    }
    assert_null(get("one-more", "h", "80", false, NULL));
    assert_non_null(strstr(message, "256"));
    unsigned slot = all[7]->slot;
    origin_put(all[7]);
    all[7] = get("one-more", "h", "80", false, NULL);
    assert_int_equal(all[7]->slot, slot);
    for (int i = 0; i < ORIGINS_MAX; i++) origin_put(all[i]);
}

static void the_same_place_is_the_same_origin_and_any_difference_makes_another(void **state) {
    (void)state;
    struct origin *first = get("a", "h", "80", false, NULL), *again = get("a", "h", "80", false, NULL);
    assert_ptr_equal(first, again);
    struct origin *others[] = {get("b", "h", "80", false, NULL), get("a", "i", "80", false, NULL),
                               get("a", "h", "81", false, NULL), get("a", "h8", "0", false, NULL),
                               get("a", "h", "80", true, NULL)};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        assert_non_null(others[i]);
        assert_ptr_not_equal(others[i], first);
        origin_put(others[i]);
    }
    origin_put(first);
    origin_put(again);
}

static void other_authorities_in_the_same_file_make_another_origin(void **state) {
    (void)state;
    certificates_begin();
    struct issued c = issue("authority", NULL, NULL, 30), d = issue("other", NULL, NULL, 30);
    struct origin *before = get("a", "h", "443", true, c.certificate_file);
    struct origin *same = get("a", "h", "443", true, c.certificate_file);
    assert_ptr_equal(before, same);
    assert_int_equal(rename(d.certificate_file, c.certificate_file), 0);
    struct origin *after = get("a", "h", "443", true, c.certificate_file);
    assert_ptr_not_equal(after, before);
    origin_put(before), origin_put(same), origin_put(after);
    issued_clear(&c);
    issued_clear(&d);
    rmdir(certificates_dir);
}

static void one_with_pools_waits_for_them_and_is_given_to_nobody_any_more(void **state) {
    (void)state;
    struct inbox inboxes[2];
    static struct pool pools[2];
    struct origin *o = get("a", "h", "80", false, NULL);
    for (int i = 0; i < 2; i++) {
        inbox_init(&inboxes[i], loop, 4, NULL);
        pool_open_at(&pools[i], o, loop, &inboxes[i]);
    }
    assert_null(origins_take_unused(origins));
    origin_put(o);
    struct origin *back = get("a", "h", "80", false, NULL); /* between two configurations it may come back … */
    assert_ptr_equal(back, o);
    origin_put(back);
    assert_ptr_equal(origins_take_unused(origins), o);
    assert_null(origins_take_unused(origins));
    struct origin *next = get("a", "h", "80", false, NULL); /* … from here on not */
    assert_ptr_not_equal(next, o);
    assert_int_not_equal(next->slot, o->slot);
    pool_clear(&pools[0]);
    pool_clear(&pools[1]); /* frees it: its slot is there again */
    struct origin *other = get("b", "h", "80", false, NULL);
    assert_int_equal(other->slot, 0);
    origin_put(next), origin_put(other);
    for (int i = 0; i < 2; i++) inbox_clear(&inboxes[i]);
}

static void a_ceiling_that_is_raised_lets_more_in(void **state) {
    (void)state;
    struct permits p;
    permits_init(&p, 1);
    assert_true(permits_take(&p));
    assert_false(permits_take(&p));
    permits_max_set(&p, 2);
    assert_true(permits_take(&p));
    permits_max_set(&p, 1); /* below what is out */
    permits_give(&p);
    assert_false(permits_take(&p));
    permits_give(&p);
    assert_true(permits_take(&p));
    permits_give(&p);
    permits_clear(&p);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(authorities_that_cannot_be_read_are_told_and_leave_nothing),
        TEST(there_is_an_end_to_them),
        TEST(the_same_place_is_the_same_origin_and_any_difference_makes_another),
        TEST(other_authorities_in_the_same_file_make_another_origin),
        TEST(one_with_pools_waits_for_them_and_is_given_to_nobody_any_more),
        TEST(a_ceiling_that_is_raised_lets_more_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
