/* Lines of those who wait for a limit: the order they came in, who is told when, and that nobody is forgotten or told
 * after having left. */
#include "unit.h"

#include "net/net_fixture.h"
#include "limit/waiting.h"

enum { PEOPLE = 12 };

static struct waiting *waiting;
static struct inbox inboxes[2]; /* of two workers, which here share a thread */
static struct waiter *line[PEOPLE];
static char told_list[64]; /* who was told, in order */
static char letters[PEOPLE];

static void on_told(struct waiter *own) {
    told_list[strlen(told_list)] = *(char *)own->context;
}

static int setup(void **state) {
    (void)state;
    loop = loop_new();
    waiting = waiting_new();
    for (int i = 0; i < 2; i++) inbox_init(&inboxes[i], loop, 4, NULL);
    memset(told_list, 0, sizeof told_list);
    for (int i = 0; i < PEOPLE; i++) letters[i] = (char)('a' + i);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    for (int i = 0; i < 2; i++) inbox_clear(&inboxes[i]);
    waiting_free(waiting);
    loop_free(loop);
    return 0;
}

static struct waiter *join(int who, const char *tenant, const char *model) {
    return line[who] =
               waiting_join(waiting, slice_of(tenant), slice_of(model), 5, &inboxes[who % 2], on_told, &letters[who]);
}

static void expect_told(const char *expected) {
    RUN_MS(5);
    assert_string_equal(told_list, expected);
}

static void a_full_line_takes_nobody_more(void **state) {
    (void)state;
    assert_null(waiting_join(waiting, SLICE("acme"), SLICE(""), 0, &inboxes[0], on_told, NULL));
    for (int i = 0; i < 5; i++) assert_non_null(join(i, "acme", i % 2 ? "fast" : ""));
    assert_null(join(5, "acme", ""));
    assert_null(join(5, "acme", "smart")); /* the size is the tenant's */
    assert_non_null(join(6, "other", ""));
    assert_int_equal(waiting_count(waiting), 6);
    waiter_leave(line[2]);
    assert_non_null(join(5, "acme", ""));
    for (int i = 0; i < 7; i++)
        if (i != 2) waiter_leave(line[i]);
    assert_int_equal(waiting_count(waiting), 0);
}

static void one_that_has_left_is_not_told(void **state) {
    (void)state;
    join(0, "acme", "");
    join(1, "acme", "");
    waiting_settled(waiting, SLICE("acme"));
    waiter_leave(line[0]); /* its message is on its way */
    expect_told("b");
    waiter_leave(line[1]);
    join(2, "acme", "");
    waiting_settled(waiting, SLICE("acme"));
    waiter_leave(line[2]);
    /* … and the loop ends before it comes: teardown frees it */
}

static void an_inbox_that_is_full_leaves_the_line_as_it_is(void **state) {
    (void)state;
    static struct message messages[4];
    join(0, "acme", "");
    for (int i = 0; i < 4; i++) {
        messages[i].run = NULL;
        inbox_post(&inboxes[0], &messages[i]);
    }
    waiting_settled(waiting, SLICE("acme"));
    assert_false(line[0]->posted);
    assert_true(waiter_is_first(line[0]));
    waiter_leave(line[0]);
    inbox_clear(&inboxes[0]);
    inbox_init(&inboxes[0], loop, 4, NULL);
}

static void the_first_is_told_of_what_was_settled_and_who_comes_next_of_being_first(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) join(i, "acme", "");
    assert_true(waiter_is_first(line[0]));
    assert_false(waiter_is_first(line[1]));
    expect_told("");
    waiting_settled(waiting, SLICE("acme"));
    waiting_settled(waiting, SLICE("acme")); /* once is enough */
    expect_told("a");
    waiter_leave(line[2]); /* not the first: nobody's turn */
    expect_told("a");
    waiter_leave(line[0]);
    expect_told("ab");
    assert_true(waiter_is_first(line[1]));
    waiter_leave(line[1]);
    expect_told("abd");
    waiter_leave(line[3]);
}

static void tenants_do_not_wait_for_each_other(void **state) {
    (void)state;
    for (int i = 0; i < 4; i++) join(i, "acme", "");
    join(4, "other", "");
    waiting_settled(waiting, SLICE("other"));
    expect_told("e");
    waiting_settled(waiting, SLICE("nobody"));
    waiting_settled(waiting, SLICE("acme"));
    expect_told("ea");
    for (int i = 0; i < 5; i++) waiter_leave(line[i]);
}

static void a_model_with_limits_of_its_own_has_a_line_of_its_own(void **state) {
    (void)state;
    bool of_model;
    assert_false(waiting_is_behind(waiting, SLICE("acme"), SLICE("fast"), &of_model));
    join(0, "acme", "fast");
    assert_true(waiting_is_behind(waiting, SLICE("acme"), SLICE("fast"), &of_model));
    assert_false(waiting_is_behind(waiting, SLICE("acme"), SLICE("smart"), &of_model));
    assert_false(waiting_is_behind(waiting, SLICE("other"), SLICE("fast"), &of_model));
    join(1, "acme", "");
    assert_true(
        waiting_is_behind(waiting, SLICE("acme"), SLICE("smart"), &of_model)); /* the whole tenant's comes before any */
    waiting_settled(waiting, SLICE("acme"));
    RUN_MS(5);
    assert_int_equal(strlen(told_list), 2);
    waiter_leave(line[0]);
    waiter_leave(line[1]);
}

static void any_order_of_comings_and_goings_keeps_the_order(void **state) {
    (void)state;
    uint64_t random = 88172645463325252u;
    int queue[PEOPLE], count = 0;
    memset(line, 0, sizeof line);
    for (int step = 0; step < 5000; step++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        int who = (int)(random % PEOPLE);
        if (line[who] == NULL && count < 5) {
            assert_non_null(join(who, "acme", ""));
            queue[count++] = who;
        } else if (line[who] != NULL) {
            int at = 0;
            while (queue[at] != who) at++;
            waiter_leave(line[who]);
            line[who] = NULL;
            memmove(queue + at, queue + at + 1, (size_t)(--count - at) * sizeof *queue);
        }
        if (count > 0) assert_true(waiter_is_first(line[queue[0]]));
        if (step % 7 == 0) waiting_settled(waiting, SLICE("acme"));
        if (step % 3 == 0) {
            memset(told_list, 0, sizeof told_list);
            loop_turn(loop);
            for (size_t i = 0; i < strlen(told_list); i++) assert_int_equal(told_list[i], letters[queue[0]]);
        }
    }
    for (int i = 0; i < PEOPLE; i++)
        if (line[i] != NULL) waiter_leave(line[i]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void) {
    signal(SIGPIPE, SIG_IGN);
    const struct CMUnitTest tests[] = {
        TEST(a_full_line_takes_nobody_more),
        TEST(one_that_has_left_is_not_told),
        TEST(an_inbox_that_is_full_leaves_the_line_as_it_is),
        TEST(the_first_is_told_of_what_was_settled_and_who_comes_next_of_being_first),
        TEST(tenants_do_not_wait_for_each_other),
        TEST(a_model_with_limits_of_its_own_has_a_line_of_its_own),
        TEST(any_order_of_comings_and_goings_keeps_the_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
