/* The second gate by itself, without llhttp in front of it: what a parser that is more lenient would let through is
 * refused here all the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "head_policy.h"

enum { PAIRS_MAX = 4 };

struct row {
    const char *pairs[2 * PAIRS_MAX]; /* names and values */
    bool http_1_0;
    enum failure expected;
    enum framing framing;
};

#define HOST "Host", "a"
#define BAD FAILURE_BAD_REQUEST

static const struct row requests[] = {
    {{HOST}, false, FAILURE_NONE, FRAMING_NONE},
    {{HOST, "Content-Length", "5"}, false, FAILURE_NONE, FRAMING_LENGTH},
    {{HOST, "Transfer-Encoding", "Chunked"}, false, FAILURE_NONE, FRAMING_CHUNKED},
    {{HOST, "Content-Length", "5", "Transfer-Encoding", "chunked"}, false, BAD, FRAMING_NONE},
    {{HOST, "Transfer-Encoding", "chunked", "Content-Length", "5"}, false, BAD, FRAMING_NONE},
    {{HOST, "Transfer-Encoding", "chunked", "Content-Length", "0"}, false, BAD, FRAMING_NONE},
    {{HOST, "Content-Length", "5", "Transfer-Encoding", ""}, false, BAD, FRAMING_NONE},
    {{HOST, "Transfer-Encoding", "", "Content-Length", "5"}, false, BAD, FRAMING_NONE},
    {{HOST, "Transfer-Encoding", "chunked", "transfer-encoding", "chunked"}, false, BAD, FRAMING_NONE},
    {{HOST, "Transfer-Encoding", "gzip, chunked"}, false, BAD, FRAMING_NONE},
    {{HOST, "Transfer-Encoding", ",chunked"}, false, BAD, FRAMING_NONE},
    {{HOST, "Transfer-Encoding", "identity"}, false, BAD, FRAMING_NONE},
    {{HOST, "Transfer-Encoding", "chunked"}, true, BAD, FRAMING_NONE},
    {{HOST, "Content-Length", "5", "content-length", "5"}, false, BAD, FRAMING_NONE},
    {{HOST, "Content-Length", "5, 5"}, false, BAD, FRAMING_NONE},
    {{HOST, "Content-Length", ""}, false, BAD, FRAMING_NONE},
    {{HOST, "Content-Length", "+5"}, false, BAD, FRAMING_NONE},
    {{HOST, "Content-Length", "-5"}, false, BAD, FRAMING_NONE},
    {{HOST, "Content-Length", "0x5"}, false, BAD, FRAMING_NONE},
    {{HOST, "Content-Length", "18446744073709551615"}, false, BAD, FRAMING_NONE},
    {{HOST, "Content-Length", "18446744073709551621"}, false, BAD, FRAMING_NONE},
    {{"Content-Length", "5"}, false, BAD, FRAMING_NONE},
    {{"Content-Length", "5"}, true, FAILURE_NONE, FRAMING_LENGTH},
    {{HOST, "host", "a"}, false, BAD, FRAMING_NONE},
    {{"Host", ""}, false, BAD, FRAMING_NONE},
    {{HOST, "Content-Length ", "5"}, false, BAD, FRAMING_NONE},
    {{HOST, "X(", "5"}, false, BAD, FRAMING_NONE},
    {{HOST, "Upgrade", "websocket"}, false, FAILURE_UPGRADE_REFUSED, FRAMING_NONE},
};

static struct http_head head_of(const struct row *r, struct field *fields) {
    struct http_head head = {.fields = fields, .http_1_0 = r->http_1_0};
    for (size_t i = 0; i < 2 * PAIRS_MAX && r->pairs[i] != NULL; i += 2)
        fields[head.field_count++] = (struct field){.name = slice_of(r->pairs[i]), .value = slice_of(r->pairs[i + 1])};
    return head;
}

static void what_a_request_may_not_say_is_refused_here_too(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct field fields[PAIRS_MAX];
        struct http_head head = head_of(&requests[i], fields);
        enum failure got = policy_request(&head);
        if (got != requests[i].expected) print_error("row %zu\n", i);
        assert_int_equal(got, requests[i].expected);
        if (got == FAILURE_NONE) assert_int_equal(head.framing, requests[i].framing);
    }
}

/* The same rules of framing; a host is nobody's business there. */
static void nor_an_answer(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        const struct row *r = &requests[i];
        bool about_framing =
            r->pairs[2] != NULL && strcmp(r->pairs[0], "Host") == 0 && strcmp(r->pairs[2], "host") != 0;
        if (!about_framing || (r->expected != BAD && r->expected != FAILURE_NONE)) continue;
        struct field fields[PAIRS_MAX];
        struct http_head head = head_of(r, fields);
        head.status = 200;
        enum failure got = policy_answer(&head, false);
        if (got != (r->expected == BAD ? FAILURE_BAD_RESPONSE : FAILURE_NONE)) print_error("row %zu\n", i);
        assert_int_equal(got, r->expected == BAD ? FAILURE_BAD_RESPONSE : FAILURE_NONE);
        if (got == FAILURE_NONE) assert_int_equal(head.framing, r->framing);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_request_may_not_say_is_refused_here_too),
        cmocka_unit_test(nor_an_answer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
