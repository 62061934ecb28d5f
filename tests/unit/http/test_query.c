/* Tests of queries: what is decoded, what is refused. */
#include "unit.h"

#include "http/query.h"

static struct query q;

static void pairs_are_decoded(void **state) {
    (void)state;
    assert_true(query_parse(&q, SLICE("from=-1h&by=tenant,model&tenant=a%26b%3Dc&x&&y=&z=1=2&sp=a+b%20c&u=%C3%a9")));
    static const char *const expected[][2] = {{"from", "-1h"}, {"by", "tenant,model"}, {"tenant", "a&b=c"},
                                              {"x", ""},       {"y", ""},              {"z", "1=2"},
                                              {"sp", "a b c"}, {"u", "\xc3\xa9"}};
    assert_int_equal(q.count, sizeof expected / sizeof *expected);
    for (unsigned i = 0; i < q.count; i++) {
        assert_true(slice_equal(q.pairs[i].name, slice_of(expected[i][0])));
        assert_true(slice_equal(q.pairs[i].value, slice_of(expected[i][1])));
    }
    assert_true(query_parse(&q, SLICE("")));
    assert_int_equal(q.count, 0);
}

static void what_is_no_text_is_refused(void **state) {
    (void)state;
    static const char *const wrong[] = {"a=%", "a=%4", "a=%zz", "a%00=1", "a=%0a", "a=%7f", "a=%ff", "a=%c3", "%c0%80=1"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        if (query_parse(&q, slice_of(wrong[i]))) fail_msg("%s was taken", wrong[i]);
}

static void bounds_hold(void **state) {
    (void)state;
    static char text[QUERY_BYTES_MAX + 1];
    memset(text, 'a', sizeof text);
    assert_true(query_parse(&q, (struct slice){text, QUERY_BYTES_MAX}));
    assert_false(query_parse(&q, (struct slice){text, QUERY_BYTES_MAX + 1}));
    for (size_t i = 1; i < 2 * QUERY_PAIRS_MAX; i += 2) text[i] = '&';
    assert_true(query_parse(&q, (struct slice){text, 2 * QUERY_PAIRS_MAX - 1}));
    assert_int_equal(q.count, QUERY_PAIRS_MAX);
    assert_false(query_parse(&q, (struct slice){text, 2 * QUERY_PAIRS_MAX + 1}));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pairs_are_decoded),
        cmocka_unit_test(what_is_no_text_is_refused),
        cmocka_unit_test(bounds_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
