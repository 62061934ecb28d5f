/* Answers of a provider that may be broken or hostile: what is refused, and how an accepted one is framed. */
#include "feed.h"

#define OK "HTTP/1.1 200 OK\r\n"

static void every_malformed_answer_is_refused(void **state) {
    (void)state;
    static const struct slice rows[] = {
        SLICE_INIT(OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"),
        SLICE_INIT(OK "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"),
        SLICE_INIT(OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"),
        SLICE_INIT(OK "Content-Length: 5, 5\r\n\r\n"),
        SLICE_INIT(OK "Content-Length: -1\r\n\r\n"),
        SLICE_INIT(OK "Content-Length: +1\r\n\r\n"),
        SLICE_INIT(OK "Content-Length:\r\n\r\n"),
        SLICE_INIT(OK "Content-Length: 18446744073709551616\r\n\r\n"),
        SLICE_INIT(OK "Transfer-Encoding: gzip, chunked\r\n\r\n"),
        SLICE_INIT(OK "Transfer-Encoding: identity\r\n\r\n"),
        SLICE_INIT(OK "Transfer-Encoding:\r\n\r\n"),
        SLICE_INIT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        SLICE_INIT("HTTP/1.1 304 Not Modified\r\nContent-Length: x\r\n\r\n"),
        SLICE_INIT(OK "X: a\n\r\n"),
        SLICE_INIT("HTTP/1.1 200 OK\nX: a\n\n"),
        SLICE_INIT(OK "X: a\r\n\rX"),
        SLICE_INIT(OK "X: a\r\n b\r\n\r\n"),
        SLICE_INIT(OK "X: a\0b\r\n\r\n"),
        SLICE_INIT(OK "X: a\x1b\r\n\r\n"),
        SLICE_INIT(OK ": a\r\n\r\n"),
        SLICE_INIT(OK "X : a\r\n\r\n"),
        SLICE_INIT("HTTP/1.1 200\r\n\r\n"),
        SLICE_INIT("HTTP/1.1 99 Low\r\n\r\n"),
        SLICE_INIT("HTTP/1.1 099 Low\r\n\r\n"),
        SLICE_INIT("HTTP/1.1 600 High\r\n\r\n"),
        SLICE_INIT("HTTP/1.1 999 High\r\n\r\n"),
        SLICE_INIT("HTTP/1.1 1000 High\r\n\r\n"),
        SLICE_INIT("HTTP/1.1 2OO OK\r\n\r\n"),
        SLICE_INIT("HTTP/1.1 +20 OK\r\n\r\n"),
        SLICE_INIT("HTTP/1.1  200 OK\r\n\r\n"),
        SLICE_INIT("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n"),
        SLICE_INIT("HTTP/1.1 200 O\x01K\r\n\r\n"),
        SLICE_INIT("HTTP/1.1 200 O\x7fK\r\n\r\n"),
        SLICE_INIT("HTTP/1.1 200 O\0K\r\n\r\n"),
        SLICE_INIT("HTTP/2.0 200 OK\r\n\r\n"),
        SLICE_INIT("HTTP/0.9 200 OK\r\n\r\n"),
        SLICE_INIT("HTTP/1.2 200 OK\r\n\r\n"),
        SLICE_INIT("HTTP/1.1\r\n\r\n"),
        SLICE_INIT("http/1.1 200 OK\r\n\r\n"),
        SLICE_INIT("ICY 200 OK\r\n\r\n"),
        SLICE_INIT("<html>hello</html>"),
        SLICE_INIT("\r\nHTTP/1.1 200 OK\r\n\r\n"),
        SLICE_INIT("\x15\x03\x03\x00\x02\x02\x28"),
        SLICE_INIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        feed_expect(&(struct feed){.answer = true}, rows[i], FAILURE_BAD_RESPONSE);
}

static void framing_follows_status_and_fields(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool head_request;
        enum framing framing;
        uint64_t length;
        bool keep_alive;
    } rows[] = {
        {OK "Content-Length: 5\r\n\r\n", false, FRAMING_LENGTH, 5, true},
        {OK "Content-Length: 0\r\n\r\n", false, FRAMING_LENGTH, 0, true},
        {OK "Transfer-Encoding: CHUNKED\r\n\r\n", false, FRAMING_CHUNKED, 0, true},
        {OK "\r\n", false, FRAMING_CLOSE, 0, false},
        {OK "Connection: close\r\nContent-Length: 5\r\n\r\n", false, FRAMING_LENGTH, 5, false},
        {"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n", false, FRAMING_LENGTH, 5, false},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\n", false, FRAMING_LENGTH, 5, true},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\n", false, FRAMING_CLOSE, 0, false},
        {OK "Content-Length: 5\r\n\r\n", true, FRAMING_NONE, 0, true},
        {OK "Transfer-Encoding: chunked\r\n\r\n", true, FRAMING_NONE, 0, true},
        {OK "\r\n", true, FRAMING_NONE, 0, true},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", false, FRAMING_NONE, 0, true},
        {"HTTP/1.1 204 No Content\r\n\r\n", false, FRAMING_NONE, 0, true},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 0\r\n\r\n", false, FRAMING_NONE, 0, true},
        {"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", false, FRAMING_NONE, 0, false},
        {"HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", false, FRAMING_NONE, 0, false},
        {"HTTP/1.1 100 Continue\r\n\r\n", false, FRAMING_NONE, 0, true},
        {"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", false, FRAMING_NONE, 0, true},
        {"HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n\r\n", false, FRAMING_LENGTH, 0, true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct feed f = {.answer = true, .answers_head_request = rows[i].head_request};
        feed_expect(&f, slice_of(rows[i].text), FAILURE_NONE);
        feed_parse(&f, slice_of(rows[i].text));
        assert_int_equal(f.head.framing, rows[i].framing);
        assert_int_equal(f.head.content_length, rows[i].length);
        assert_int_equal(f.head.keep_alive, rows[i].keep_alive);
    }
}

static void status_and_reason_are_read(void **state) {
    (void)state;
    struct feed f = {.answer = true};
    feed_parse(&f, SLICE("HTTP/1.1 429 Too Many Requests\r\nretry-after: 3\r\nUpgrade: h2,h2c\r\n\r\n"));
    assert_int_equal(f.head.status, 429);
    assert_slice(f.head.reason, "Too Many Requests");
    assert_slice(head_value(&f.head, FIELD_RETRY_AFTER), "3");
    feed_parse(&f, SLICE("HTTP/1.1 529 \r\nContent-Length: 0\r\n\r\n"));
    assert_int_equal(f.head.status, 529);
    assert_slice(f.head.reason, "");
    feed_parse(&f, SLICE("HTTP/1.0 200 d\xe9j\xe0 vu\r\n\r\n"));
    assert_true(f.head.http_1_0);
    assert_slice(f.head.reason, "d\xe9j\xe0 vu");
}

static void an_endless_answer_head_is_cut_at_its_limits(void **state) {
    (void)state;
    static const struct head_limits limits = {.uri_bytes = 64, .header_bytes = 300, .fields = 5};
    char text[2048];
    int n = snprintf(text, sizeof text, "HTTP/1.1 200 ");
    memset(text + n, 'r', sizeof text - (size_t)n);
    feed_expect(&(struct feed){.answer = true, .limits = &limits}, (struct slice){text, sizeof text},
                FAILURE_BAD_RESPONSE);
    assert_int_equal(head_check_partial_answer(text, 64, &limits), FAILURE_NONE);
    assert_int_equal(head_check_partial_answer(text, 65, &limits), FAILURE_BAD_RESPONSE);
    n = snprintf(text, sizeof text, OK "X: ");
    memset(text + n, 'v', sizeof text - (size_t)n);
    feed_expect(&(struct feed){.answer = true, .limits = &limits}, (struct slice){text, sizeof text},
                FAILURE_BAD_RESPONSE);
    feed_expect(&(struct feed){.answer = true, .limits = &limits}, SLICE(OK "a:1\r\nb:2\r\nc:3\r\nd:4\r\ne:5\r\n\r\n"),
                FAILURE_NONE);
    feed_expect(&(struct feed){.answer = true, .limits = &limits},
                SLICE(OK "a:1\r\nb:2\r\nc:3\r\nd:4\r\ne:5\r\nf:6\r\n\r\n"), FAILURE_BAD_RESPONSE);
}

static void an_incomplete_answer_head_waits(void **state) {
    (void)state;
    static const struct slice whole = SLICE_INIT("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n");
    for (size_t n = 1; n < whole.n; n++)
        feed_expect(&(struct feed){.answer = true}, (struct slice){whole.p, n}, FEED_WAITS);
}

static void no_more_fields_than_there_is_room_for_are_ever_taken(void **state) {
    (void)state;
    static const struct head_limits limits = {.uri_bytes = 64, .header_bytes = 1 << 20, .fields = 100000};
    struct slice text = {mem_alloc(64 + 4 * 400), 0};
    char *p = (char *)text.p;
    for (unsigned count = HEAD_FIELDS_MAX; count <= HEAD_FIELDS_MAX + 1; count++) {
        size_t n = (size_t)sprintf(p, OK);
        for (unsigned i = 0; i < count; i++) n += (size_t)sprintf(p + n, "a:\r\n");
        n += (size_t)sprintf(p + n, "\r\n");
        struct feed f = {.answer = true, .limits = &limits};
        assert_int_equal(feed_run(&f, (struct slice){p, n}, 0, 0),
                         count > HEAD_FIELDS_MAX ? FAILURE_BAD_RESPONSE : FAILURE_NONE);
    }
    mem_free(p);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_malformed_answer_is_refused),
        cmocka_unit_test(framing_follows_status_and_fields),
        cmocka_unit_test(status_and_reason_are_read),
        cmocka_unit_test(an_endless_answer_head_is_cut_at_its_limits),
        cmocka_unit_test(an_incomplete_answer_head_waits),
        cmocka_unit_test(no_more_fields_than_there_is_room_for_are_ever_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
