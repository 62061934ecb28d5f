/* json/splice: the runs, put together, are the edited body, and its length is known beforehand. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/buf.h"
#include "json/splice.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const char body[] = "0123456789";

static void check(const struct splice *s, size_t length, const char *expected) {
    struct buf out = {0};
    struct splice_run run;
    unsigned cursor = 0;
    while (splice_next(s, length, &cursor, &run)) {
        assert_true(run.literal.n > 0 || run.n > 0); /* no empty runs: they would be empty iovecs */
        assert_true(run.literal.n == 0 || run.n == 0);
        if (run.literal.n > 0)
            buf_append_slice(&out, run.literal);
        else
            buf_append(&out, body + run.offset, run.n);
    }
    assert_false(splice_next(s, length, &cursor, &run));
    assert_int_equal(splice_length(s, length), buf_length(&out));
    assert_true(slice_equal(buf_slice(&out), slice_of(expected)));
    buf_clear(&out);
}

/* Does adding the second edit after the first abort? */
static bool aborts(struct edit first, struct edit second) {
    pid_t child = fork();
    if (child == 0) {
        struct splice s = {0};
        fclose(stderr);
        signal(SIGABRT, SIG_DFL);
        splice_add(&s, first.offset, first.length, first.replacement);
        splice_add(&s, second.offset, second.length, second.replacement);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void an_overlap_is_a_program_bug(void **state) {
    (void)state;
    assert_true(aborts((struct edit){.offset = 2, .length = 3}, (struct edit){.offset = 4, .length = 1}));
    assert_true(aborts((struct edit){.offset = 4, .length = 1}, (struct edit){.offset = 2, .length = 3}));
    assert_true(aborts((struct edit){.offset = 2, .length = 3}, (struct edit){.offset = 2, .length = 3}));
    assert_true(aborts((struct edit){.offset = 2, .length = 3}, (struct edit){.offset = 3, .length = 0}));
    assert_false(aborts((struct edit){.offset = 2, .length = 3}, (struct edit){.offset = 5, .length = 3}));
    assert_false(aborts((struct edit){.offset = 2, .length = 3}, (struct edit){.offset = 2, .length = 0}));
}

static void no_edits_leave_the_body_alone(void **state) {
    (void)state;
    struct splice s = {0};
    check(&s, 10, body);
    check(&s, 0, "");
}

static void edits_apply_in_any_order(void **state) {
    (void)state;
    static const struct edit edits[] = {{0, 1, {"AA", 2}}, {3, 0, {"+", 1}}, {5, 2, {NULL, 0}}, {10, 0, {"!", 1}}};
    static const unsigned orders[][4] = {{0, 1, 2, 3}, {3, 2, 1, 0}, {2, 0, 3, 1}, {1, 3, 0, 2}};
    for (size_t i = 0; i < COUNT(orders); i++) {
        struct splice s = {0};
        for (int j = 0; j < 4; j++) {
            const struct edit *e = &edits[orders[i][j]];
            splice_add(&s, e->offset, e->length, e->replacement);
        }
        check(&s, 10, "AA12+34789!");
    }
}

static void edits_may_touch(void **state) {
    (void)state;
    struct splice s = {0};
    splice_add(&s, 4, 2, SLICE("b"));
    splice_add(&s, 2, 2, SLICE("a"));
    splice_add(&s, 6, 4, SLICE(""));
    check(&s, 10, "01ab");
}

static void the_whole_body_can_go(void **state) {
    (void)state;
    struct splice s = {0};
    splice_add(&s, 0, 10, SLICE(""));
    check(&s, 10, "");
}

static void insertions_at_one_place_keep_their_order(void **state) {
    (void)state;
    struct splice s = {0};
    splice_add(&s, 5, 0, SLICE("a"));
    splice_add(&s, 5, 0, SLICE("b"));
    splice_add(&s, 5, 1, SLICE("c"));
    splice_add(&s, 5, 0, SLICE("d")); /* before what is replaced, behind what was inserted */
    check(&s, 10, "01234abdc6789");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_overlap_is_a_program_bug), cmocka_unit_test(no_edits_leave_the_body_alone),
        cmocka_unit_test(edits_apply_in_any_order),    cmocka_unit_test(edits_may_touch),
        cmocka_unit_test(the_whole_body_can_go),       cmocka_unit_test(insertions_at_one_place_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
