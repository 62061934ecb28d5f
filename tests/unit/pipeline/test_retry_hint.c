/* What error answers say about asking again. */
#include "unit.h"

#include <stdio.h>

#include "retry_hint.h"

#define MS UINT64_C(1000000)

static struct retry_hint of_head(const char *fields) {
    static const struct head_limits limits = {8192, 65536, 100};
    struct field memory[HEAD_FIELDS_MAX];
    struct retry_hint hint = {0};
    struct http_head head;
    char text[1024];
    int n = snprintf(text, sizeof text, "HTTP/1.1 429 No\r\n%s\r\n", fields);
    assert_int_equal(head_parse_answer(&head, (struct slice){text, (size_t)n}, memory, &limits, false), FAILURE_NONE);
    retry_hint_head(&hint, &head, 784111777); /* Sun, 06 Nov 1994 08:49:37 GMT */
    return hint;
}

static struct retry_hint of_body(const char *body) {
    struct retry_hint hint = {0};
    retry_hint_body(&hint, slice_of(body));
    return hint;
}

static void what_cannot_be_read_says_nothing(void **state) {
    (void)state;
    static const char *const heads[] = {"", "retry-after: soon\r\n", "retry-after-ms: -1\r\n",
                                        "x-should-retry: maybe\r\n", "retry-after:\r\n"};
    static const char *const bodies[] = {"",
                                         " ",
                                         "no JSON",
                                         "{\"error\":",
                                         "{\"error\":\"insufficient_quota\"}",
                                         "{\"code\":\"insufficient_quota\"}",
                                         "{\"error\":{\"code\":429}}",
                                         "{\"error\":{\"code\":\"insufficient_quota_\"}}",
                                         "{\"error\":{\"details\":[{\"retryDelay\":\"-3s\"}]}}",
                                         "{\"error\":{\"details\":[{\"retryDelay\":3}]}}",
                                         "{\"error\":{\"details\":{\"retryDelay\":\"3s\"}}}"};
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        struct retry_hint hint = of_head(heads[i]);
        if (hint.should != SHOULD_RETRY_UNSAID || hint.after_said || hint.no_quota || hint.after_ns != 0)
            fail_msg("%s", heads[i]);
    }
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        struct retry_hint hint = of_body(bodies[i]);
        if (hint.after_said || hint.no_quota) fail_msg("%s", bodies[i]);
    }
}

static void a_head_says_whether_and_when(void **state) {
    (void)state;
    assert_int_equal(of_head("X-Should-Retry: TRUE\r\n").should, SHOULD_RETRY_YES);
    assert_int_equal(of_head("x-should-retry: false\r\n").should, SHOULD_RETRY_NO);
    assert_true(of_head("retry-after: 3\r\n").after_ns == 3000 * MS);
    assert_true(of_head("retry-after: Sun, 06 Nov 1994 08:49:40 GMT\r\n").after_ns == 3000 * MS);
    struct retry_hint both = of_head("retry-after: 3\r\nRetry-After-Ms: 120\r\n");
    assert_true(both.after_said && both.after_ns == 120 * MS);
    both = of_head("retry-after: 3\r\nretry-after-ms: soon\r\n");
    assert_true(both.after_said && both.after_ns == 3000 * MS);
}

static void a_body_says_whether_and_when(void **state) {
    (void)state;
    assert_true(of_body("{\"error\":{\"type\":\"insufficient_quota\",\"code\":null}}").no_quota);
    assert_true(of_body("{\"error\":{\"type\":\"x\",\"code\":\"insufficient_quota\"}}").no_quota);
    static const char *const delays[] = {
        "{\"error\":{\"details\":[{\"@type\":\"a\"},{\"@type\":\"RetryInfo\",\"retryDelay\":\"2.5s\"}]}}",
        "\r\n[{\"error\":{\"details\":[{\"retryDelay\":\"2.5s\"}]}}\r\n]",
        "{\"error\":{\"details\":[{\"retryDelay\":\"1s\"},{\"retryDelay\":\"2.5s\"}]}}"};
    for (size_t i = 0; i < sizeof delays / sizeof *delays; i++) {
        struct retry_hint hint = of_body(delays[i]);
        if (!hint.after_said || hint.after_ns != 2500 * MS) fail_msg("%s", delays[i]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_read_says_nothing),
        cmocka_unit_test(a_head_says_whether_and_when),
        cmocka_unit_test(a_body_says_whether_and_when),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
