/* Requests: what must be refused, how, and what an accepted one says. Each input is fed whole, byte by byte and in
 * random pieces. */
#include "feed.h"

struct row {
    struct slice bytes;
    int expected;
};
#define L(literal) SLICE_INIT(literal)
#define HOST "Host: a\r\n"
#define POST "POST /v1/chat/completions HTTP/1.1\r\n" HOST

static void check(const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) feed_expect(&(struct feed){0}, rows[i].bytes, rows[i].expected);
}
#define CHECK(rows) check(rows, sizeof(rows) / sizeof *(rows))

static void every_ambiguous_framing_is_refused(void **state) {
    (void)state;
    static const struct row rows[] = {
        {L(POST "Transfer-Encoding: ,chunked\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding: gzip, chunked\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding: chunked, chunked\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding: chunked,\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding: chunked;q=1\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding: xchunked\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding: \"chunked\"\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding: identity\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding: gzip\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding:\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding:\r\n chunked\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding: chun\r\n\tked\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding : chunked\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding: chunked\x0b\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding: \xa0"
                "chunked\r\n\r\n"),
         FAILURE_BAD_REQUEST},
        {L("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding:\r\nContent-Length: 5\r\n\r\nhello"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: 5\r\nTransfer-Encoding:\r\n\r\nhello"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\nhello"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\nhello"), FAILURE_BAD_REQUEST},
        {L(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: 5\r\ncontent-length: 6\r\n\r\nhello"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: 5, 5\r\n\r\nhello"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: 5 5\r\n\r\nhello"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: +5\r\n\r\nhello"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: -5\r\n\r\nhello"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: 0x5\r\n\r\nhello"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: 5.0\r\n\r\nhello"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: five\r\n\r\nhello"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length:\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: \r\n 5\r\n\r\nhello"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: 18446744073709551615\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: 18446744073709551621\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: 9007199254740993\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L(POST "Content-Length: 99999999999999999999999999\r\n\r\n"), FAILURE_BAD_REQUEST},
    };
    CHECK(rows);
}

static void every_broken_line_structure_is_refused_at_once(void **state) {
    (void)state;
    static const struct row rows[] = {
        {L("GET / HTTP/1.1\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\nHost: a\n\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\n\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\n\rX"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\n\r\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\r\nHost: a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\rHost: a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX: a\r b\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\tb\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n \r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\n "), FAILURE_BAD_REQUEST}, /* without waiting for an end */
        {L("GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n\t"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX: \0"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX: a\rb"), FAILURE_BAD_REQUEST},
        {L("\r\n\r\n\r"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\n Host: a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX: a\x01\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX: a\x1b[1m\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX: a\x7f\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX\0: a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\n: a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\n:\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX : a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX\t: a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX Y: a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX(Y): a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nX\x80: a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\n\"X\": a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nx-weir-tag-a b: c\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nx-forwarded-\"for: c\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nno colon\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nnocolon\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("\r\n\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("\r\rGET / HTTP/1.1\r\n"), FAILURE_BAD_REQUEST},
        {L(" GET / HTTP/1.1\r\nHost: a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("\r\n GET / HTTP/1.1\r\nHost: a\r\n\r\n"), FAILURE_BAD_REQUEST},
    };
    CHECK(rows);
}

static void every_foreign_start_line_is_refused(void **state) {
    (void)state;
    static const struct row rows[] = {
        {L("GET /\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / \r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("GET\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/0.9\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/2.0\r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.2\r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.10\r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/11\r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / http/1.1\r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / RTSP/1.0\r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("SOURCE / ICE/1.0\r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1 \r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1 x\r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("GET  / HTTP/1.1\r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("GET /  HTTP/1.1\r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("GET\t/ HTTP/1.1\r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("GET /\tHTTP/1.1\r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("GET  HTTP/1.1\r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"), FAILURE_BAD_REQUEST},
        {L("{\"model\":\"x\"}"), FAILURE_BAD_REQUEST},
        {L("AVERYLONGMETHODNAMETHATNOBODYWILLEVERUSE / HTTP/1.1\r\n" HOST "\r\n"), FAILURE_BAD_REQUEST},
        {L("HTTP/1.1 200 OK\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("TRACE / HTTP/1.1\r\n" HOST "\r\n"), FAILURE_METHOD_NOT_ALLOWED},
        {L("CONNECT api.example:443 HTTP/1.1\r\n" HOST "\r\n"), FAILURE_METHOD_NOT_ALLOWED},
        {L("get / HTTP/1.1\r\n" HOST "\r\n"), FAILURE_METHOD_NOT_ALLOWED},
        {L("PROPFIND / HTTP/1.1\r\n" HOST "\r\n"), FAILURE_METHOD_NOT_ALLOWED},
        {L("M-SEARCH * HTTP/1.1\r\n" HOST "\r\n"), FAILURE_METHOD_NOT_ALLOWED},
        {L("FOO / HTTP/1.1\r\n" HOST "\r\n"), FAILURE_METHOD_NOT_ALLOWED},
    };
    CHECK(rows);
}

static void every_target_but_a_clean_origin_form_is_refused(void **state) {
    (void)state;
    static const char *const targets[] = {
        "http://a/v1", "https://a/", "a:443", "a",     "*",           "?x",   "/a#b", "#",    "/a\"b", "/a<b",
        "/a>b",        "/a{b",       "/a}b",  "/a\\b", "/a^b",        "/a`b", "/a|b", "/a[b", "/a?{}", "/a?\"",
        "/a?<",        "/a?#",       "/a?\\", "/\x80", "/a?\xc3\xa9", "/%",   "/%4",  "/%zz", "/a?%2", "/a?x=%gg",
    };
    for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
        char text[256];
        int n = snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" HOST "\r\n", targets[i]);
        feed_expect(&(struct feed){0}, (struct slice){text, (size_t)n}, FAILURE_BAD_REQUEST);
    }
}

static void a_host_must_be_there_once_and_well_formed(void **state) {
    (void)state;
    static const struct row rows[] = {
        {L("GET / HTTP/1.1\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nX: y\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.1\r\nHost: a\r\nhOST: b\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n"), FAILURE_BAD_REQUEST},
        {L("GET / HTTP/1.0\r\n\r\n"), FAILURE_NONE},
        {L("GET / HTTP/1.0\r\nHost: a\r\n\r\n"), FAILURE_NONE},
    };
    CHECK(rows);
    static const char *const bad[] = {"",        "a b",      "a,b",     "a/b",    "u@a",     "a:b",   "a:",
                                      "a:65536", "a:123456", "a:-1",    ":80",    "a#b",     "a?b",   "[::1",
                                      "[]",      "[a]",      "[::1]x",  "[::1]:", "[::1]:x", "[::g]", "http://a",
                                      "a%41",    "\xc3\xa9", "a:80:80", "\"a\""};
    static const char *const good[] = {
        "a",     "localhost:8080", "127.0.0.1",           "api.example.com", "my_service-1:65535",
        "[::1]", "[::1]:8080",     "[::ffff:127.0.0.1]:1"};
    char text[256];
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
        feed_expect(&(struct feed){0}, (struct slice){text, (size_t)n}, FAILURE_BAD_REQUEST);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        int n = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", good[i]);
        feed_expect(&(struct feed){0}, (struct slice){text, (size_t)n}, FAILURE_NONE);
    }
}

static void expectations_and_upgrades_have_their_own_answers(void **state) {
    (void)state;
    static const struct row rows[] = {
        {L(POST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n"), FAILURE_NONE},
        {L(POST "Expect: 200-ok\r\n\r\n"), FAILURE_EXPECTATION_FAILED},
        {L(POST "Expect:\r\n\r\n"), FAILURE_EXPECTATION_FAILED},
        {L(POST "Expect: 100-continue, x\r\n\r\n"), FAILURE_EXPECTATION_FAILED},
        {L(POST "Expect: 100-continue\r\nExpect: x\r\n\r\n"), FAILURE_EXPECTATION_FAILED},
        {L(POST "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"), FAILURE_UPGRADE_REFUSED},
        {L(POST "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n"),
         FAILURE_UPGRADE_REFUSED},
        {L(POST "upgrade:\r\n\r\n"), FAILURE_UPGRADE_REFUSED},
        {L(POST "Connection: upgrade\r\n\r\n"), FAILURE_NONE},
        {L(POST "Upgrade: x\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n"), FAILURE_BAD_REQUEST},
    };
    CHECK(rows);
}

/* "METHOD TARGET VERSION" with a target of `uri` bytes and `lines` fields of `line_bytes` each (CRLF included). */
static struct slice build(size_t uri, size_t lines, size_t line_bytes) {
    size_t room = uri + lines * line_bytes + 64, n = 0;
    char *text = mem_alloc(room);
    n += (size_t)snprintf(text, room, "GET /");
    for (size_t i = 1; i < uri; i++) text[n++] = 'u';
    n += (size_t)snprintf(text + n, room - n, " HTTP/1.1\r\n");
    for (size_t i = 0; i < lines; i++) {
        size_t start = n;
        n += (size_t)snprintf(text + n, room - n, i == 0 ? "Host: a" : "X: ");
        while (n < start + line_bytes - 2) text[n++] = 'v';
        text[n++] = '\r';
        text[n++] = '\n';
    }
    text[n++] = '\r';
    text[n++] = '\n';
    return (struct slice){text, n};
}

static void limits_are_exact_and_hold_before_the_head_is_complete(void **state) {
    (void)state;
    static const struct head_limits limits = {.uri_bytes = 100, .header_bytes = 400, .fields = 10};
    static const struct {
        size_t uri, lines, line_bytes;
        int expected;
    } rows[] = {
        {100, 1, 9, FAILURE_NONE},
        {101, 1, 9, FAILURE_URI_TOO_LONG},
        {900, 1, 9, FAILURE_URI_TOO_LONG},
        {10, 10, 40, FAILURE_NONE},
        {10, 10, 41, FAILURE_HEAD_TOO_LARGE},
        {10, 1, 400, FAILURE_NONE},
        {10, 1, 401, FAILURE_HEAD_TOO_LARGE},
        {10, 11, 9, FAILURE_HEAD_TOO_LARGE},
        {101, 11, 90, FAILURE_URI_TOO_LONG},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct slice bytes = build(rows[i].uri, rows[i].lines, rows[i].line_bytes);
        feed_expect(&(struct feed){.limits = &limits}, bytes, rows[i].expected);
        mem_free((char *)bytes.p);
    }
    struct slice bytes = build(900, 1, 9); /* refused without its end */
    assert_int_equal(head_check_partial(bytes.p, 106, &limits), FAILURE_URI_TOO_LONG);
    mem_free((char *)bytes.p);
    bytes = build(10, 1, 900);
    assert_int_equal(head_check_partial(bytes.p, 600, &limits), FAILURE_HEAD_TOO_LARGE);
    mem_free((char *)bytes.p);
    /* junk after the target counts for the line */
    static const struct row junk[] = {
        {L("GET / aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"),
         FAILURE_URI_TOO_LONG}};
    feed_expect(&(struct feed){.limits = &limits}, junk[0].bytes, junk[0].expected);
}

static void the_first_offence_decides_wherever_the_cuts_are(void **state) {
    (void)state;
    static const struct head_limits limits = {.uri_bytes = 20, .header_bytes = 40, .fields = 3};
    static const struct row rows[] = {
        {L("GET /aaaaaaaaaaaaaaaaaaaaaaaaaaaa\x01 HTTP/1.1\r\n\r\n"), FAILURE_URI_TOO_LONG},
        {L("GET /aa\x01"
           "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n\r\n"),
         FAILURE_BAD_REQUEST},
        {L("FOO /aaaaaaaaaaaaaaaaaaaaaaaaaaaa HTTP/1.1\r\n\r\n"), FAILURE_URI_TOO_LONG},
        {L("GET / HTTP/1.1\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\n"),
         FAILURE_HEAD_TOO_LARGE},
        {L("GET / HTTP/1.1\r\nX: a\naaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\n\n"), FAILURE_BAD_REQUEST},
        {L("G@T / HTTP/1.1\r\nX: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n\r\n"),
         FAILURE_BAD_REQUEST},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        feed_expect(&(struct feed){.limits = &limits}, rows[i].bytes, rows[i].expected);
}

static void an_incomplete_head_waits(void **state) {
    (void)state;
    static const struct slice whole = SLICE_INIT("\r\n\r\nPOST /a?b HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n");
    for (size_t n = 1; n < whole.n; n++) feed_expect(&(struct feed){0}, (struct slice){whole.p, n}, FEED_WAITS);
    feed_expect(&(struct feed){0}, whole, FAILURE_NONE);
}

static void what_follows_a_head_is_left_alone(void **state) {
    (void)state;
    static const struct slice bytes = SLICE_INIT("\r\nGET /a HTTP/1.1\r\nHost: a\r\n\r\n\n\x01junk\r\n\r\n");
    struct feed f = {0};
    feed_parse(&f, bytes);
    assert_int_equal(f.used, bytes.n - 10);
    assert_slice(f.head.raw, "GET /a HTTP/1.1\r\nHost: a\r\n\r\n");
    size_t scanned = 0;
    for (size_t n = 1; n < f.used; n++) assert_int_equal(head_end(bytes.p, n, &scanned), 0);
    assert_int_equal(head_end(bytes.p, bytes.n, &scanned), f.used);
}

static void an_accepted_request_says_what_it_said(void **state) {
    (void)state;
    struct feed f = {0};
    feed_parse(
        &f,
        SLICE("POST /v1/x?a=1&include[]=b|c HTTP/1.1\r\nHost: a:80\r\nX-Empty:\r\nX-Spaces: \t a b \t \r\n"
              "content-type: application/json\r\nCONTENT-LENGTH: 0012\r\nExpect: 100-Continue\r\nTE: gzip, Trailers\r\n"
              "x-weir-tag-team: \xc3\xa9\r\nContent-Type: second\r\n\r\n"));
    const struct http_head *head = &f.head;
    assert_int_equal(head->method, HTTP_POST);
    assert_slice(head->target, "/v1/x?a=1&include[]=b|c");
    assert_slice(head->path, "/v1/x");
    assert_slice(head->query, "a=1&include[]=b|c");
    assert_int_equal(head->framing, FRAMING_LENGTH);
    assert_int_equal(head->content_length, 12);
    assert_true(head->keep_alive && head->expect_continue && head->te_trailers && !head->http_1_0);
    assert_int_equal(head->field_count, 9);
    assert_slice(head_value(head, FIELD_CONTENT_TYPE), "application/json");
    assert_slice(head_value(head, FIELD_USER_AGENT), "");
    assert_slice(head_find(head, SLICE("X-SPACES")), "a b");
    assert_slice(head_find(head, SLICE("x-empty")), "");
    assert_slice(head_find(head, SLICE("x-none")), "");
    assert_int_equal(head->fields[7].id, FIELD_X_WEIR_TAG);
    assert_slice(head->fields[7].name, "x-weir-tag-team");
    assert_slice(head->fields[7].value, "\xc3\xa9");
    assert_int_equal(head->first[FIELD_CONTENT_TYPE], 4);
}

static void each_method_is_known_by_its_name(void **state) {
    (void)state;
    for (unsigned m = 0; m < HTTP_METHOD_COUNT; m++) {
        char text[64];
        struct slice name = http_method_name((enum http_method)m);
        int n = snprintf(text, sizeof text, "%.*s %s HTTP/1.1\r\n" HOST "\r\n", (int)name.n, name.p,
                         m == HTTP_OPTIONS ? "*" : "/");
        struct feed f = {0};
        feed_parse(&f, (struct slice){text, (size_t)n});
        assert_int_equal(f.head.method, m);
        assert_int_equal(f.head.framing, FRAMING_NONE);
    }
}

static void reuse_of_the_connection_follows_version_and_connection_fields(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool keep_alive;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: a\r\n\r\n", true},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: x\r\nConnection: close\r\n\r\n", false},
        {"GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", true},
        {"GET / HTTP/1.0\r\n\r\n", false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct feed f = {0};
        feed_parse(&f, slice_of(rows[i].text));
        assert_int_equal(f.head.keep_alive, rows[i].keep_alive);
    }
}

static void only_a_body_to_come_is_waited_for_with_100_continue(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool expects;
    } rows[] = {
        {POST "Expect: 100-continue\r\nContent-Length: 1\r\n\r\n", true},
        {POST "Expect: 100-continue\r\nTransfer-Encoding: Chunked\r\n\r\n", true},
        {POST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n", false},
        {POST "Expect: 100-continue\r\n\r\n", false},
        {"POST / HTTP/1.0\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n", false},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct feed f = {0};
        feed_parse(&f, slice_of(rows[i].text));
        assert_int_equal(f.head.expect_continue, rows[i].expects);
    }
}

static void connection_nominates_fields_but_never_framing(void **state) {
    (void)state;
    struct feed f = {0};
    feed_parse(
        &f,
        SLICE(POST
              "Connection: X-One , content-length,transfer-encoding, host\r\nX-One: 1\r\nConnection: x-two\r\n\r\n"));
    assert_true(head_nominated(&f.head, SLICE("x-one")));
    assert_true(head_nominated(&f.head, SLICE("X-TWO")));
    assert_false(head_nominated(&f.head, SLICE("x-three")));
    assert_false(head_nominated(&f.head, SLICE("Content-Length")));
    assert_false(head_nominated(&f.head, SLICE("transfer-encoding")));
    assert_false(head_nominated(&f.head, SLICE("Host")));
    assert_true(list_has_token(SLICE(" , a ,,b\t,"), SLICE("B")));
    assert_false(list_has_token(SLICE("ab, a b"), SLICE("b")));
    assert_false(list_has_token((struct slice){NULL, 0}, SLICE("b")));
}

static void dot_segments_are_found_in_any_spelling(void **state) {
    (void)state;
    static const char *const dotted[] = {"/.",   "/..",       "/a/../b",   "/a/./b",  "/a/..",
                                         "/%2e", "/%2E%2e/a", "/a/.%2e/b", "/a/%2e./"};
    static const char *const plain[] = {"/",      "/a",         "//",   "/...",     "/a.b",  "/.a",
                                        "/a/..b", "/%2e%2e%2e", "/%2f", "/a%2e%2e", "/..%2f"};
    for (size_t i = 0; i < sizeof dotted / sizeof *dotted; i++) assert_true(path_has_dot_segments(slice_of(dotted[i])));
    for (size_t i = 0; i < sizeof plain / sizeof *plain; i++) assert_false(path_has_dot_segments(slice_of(plain[i])));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_ambiguous_framing_is_refused),
        cmocka_unit_test(every_broken_line_structure_is_refused_at_once),
        cmocka_unit_test(every_foreign_start_line_is_refused),
        cmocka_unit_test(every_target_but_a_clean_origin_form_is_refused),
        cmocka_unit_test(a_host_must_be_there_once_and_well_formed),
        cmocka_unit_test(expectations_and_upgrades_have_their_own_answers),
        cmocka_unit_test(limits_are_exact_and_hold_before_the_head_is_complete),
        cmocka_unit_test(the_first_offence_decides_wherever_the_cuts_are),
        cmocka_unit_test(an_incomplete_head_waits),
        cmocka_unit_test(what_follows_a_head_is_left_alone),
        cmocka_unit_test(an_accepted_request_says_what_it_said),
        cmocka_unit_test(each_method_is_known_by_its_name),
        cmocka_unit_test(reuse_of_the_connection_follows_version_and_connection_fields),
        cmocka_unit_test(only_a_body_to_come_is_waited_for_with_100_continue),
        cmocka_unit_test(connection_nominates_fields_but_never_framing),
        cmocka_unit_test(dot_segments_are_found_in_any_spelling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
