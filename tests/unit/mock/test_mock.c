/* The mock on a real socket: it keeps connections, takes requests however they are cut, and stops when it is told to.
 */
#include "unit.h"

#include <arpa/inet.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "mock/mock.h"

#define BODY "{\"model\":\"m\",\"messages\":[]}"
#define STREAM_BODY "{\"model\":\"m\",\"stream\":true,\"messages\":[]}"
static char text[1 << 20];
static struct mock *mock;

static int start(void **state) {
    (void)state;
    char error[200];
    struct mock_options o = {.host = "127.0.0.1", .port = "0"};
    signal(SIGPIPE, SIG_IGN);
    mock_knobs_init(&o.knobs);
    mock = mock_start(&o, error, sizeof error);
    return mock ? 0 : -1;
}

static int stop(void **state) {
    (void)state;
    mock_stop(mock);
    return 0;
}

static int dial(void) {
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(mock_port(mock)), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static size_t request_write(char *out, size_t max, const char *fields, const char *body) {
    return (size_t)snprintf(
        out, max,
        "POST /v1/chat/completions HTTP/1.1\r\nhost: m\r\nauthorization: Bearer k\r\n%scontent-length: %zu\r\n\r\n%s",
        fields, strlen(body), body);
}

static void ask(int fd, const char *fields, const char *body) {
    char request[1024];
    size_t n = request_write(request, sizeof request, fields, body);
    assert_int_equal(send(fd, request, n, MSG_NOSIGNAL), n);
}

/* Reads until `needle` has come `times` times, the peer ends, or 5 s are over; returns how often it came. -1: reset. */
static int read_until(int fd, const char *needle, int times) {
    size_t n = 0;
    int seen = 0;
    while (seen < times && n + 1 < sizeof text) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 5000) != 1) break;
        ssize_t got = recv(fd, text + n, sizeof text - 1 - n, 0);
        if (got < 0) return -1;
        if (got == 0) break;
        n += (size_t)got;
        text[n] = 0;
        seen = 0;
        for (char *at = strstr(text, needle); at; at = strstr(at + 1, needle)) seen++;
    }
    return seen;
}

static void a_port_in_use_is_an_error_with_a_message(void **state) {
    (void)state;
    char port[16], error[200] = "";
    snprintf(port, sizeof port, "%u", mock_port(mock));
    struct mock_options o = {.host = "127.0.0.1", .port = port};
    mock_knobs_init(&o.knobs);
    assert_null(mock_start(&o, error, sizeof error));
    assert_true(strlen(error) > 0);
}

static void requests_sent_together_are_answered_in_order_on_one_connection(void **state) {
    (void)state;
    int fd = dial();
    char all[4096];
    size_t n = request_write(all, sizeof all, "x-mock-ttft-ms: 20\r\nx-mock-tokens: 1\r\n", STREAM_BODY);
    n += request_write(all + n, sizeof all - n, "", BODY);
    n += request_write(all + n, sizeof all - n, "x-mock-error: 429\r\n", BODY);
    assert_int_equal(send(fd, all, n, MSG_NOSIGNAL), n);
    assert_int_equal(read_until(fd, "rate_limit_exceeded\"}}", 1), 1);
    const char *done = strstr(text, "[DONE]"), *second = strstr(text, "\"chat.completion\""),
               *third = strstr(text, "HTTP/1.1 429");
    assert_true(done && second && third && done < second && second < third);
    close(fd);
}

static void a_request_byte_by_byte_is_answered_like_a_whole_one(void **state) {
    (void)state;
    int fd = dial();
    char request[1024];
    size_t n = request_write(request, sizeof request, "", BODY);
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &(int){1}, sizeof(int));
    for (size_t i = 0; i < n; i++) assert_int_equal(send(fd, request + i, 1, MSG_NOSIGNAL), 1);
    assert_int_equal(read_until(fd, "fp_mock000001\"}", 1), 1);
    assert_memory_equal(text, "HTTP/1.1 200", 12);
    close(fd);
}

static void what_is_no_request_is_refused_and_the_connection_closed(void **state) {
    (void)state;
    int fd = dial();
    assert_int_equal(send(fd, "GET / HTTP/1.1\nhost: m\n\n", 24, MSG_NOSIGNAL), 24);
    assert_int_equal(read_until(fd, "\x01never", 1), 0);
    assert_memory_equal(text, "HTTP/1.1 400", 12);
    close(fd);
}

static void a_reset_comes_after_the_bytes_before_it(void **state) {
    (void)state;
    int fd = dial();
    ask(fd, "x-mock-fault: reset\r\nx-mock-fault-after: 2\r\n", STREAM_BODY);
    assert_int_equal(read_until(fd, "\x01never", 1), -1);
    close(fd);
}

static void a_truncated_stream_ends_without_its_last_chunk(void **state) {
    (void)state;
    int fd = dial();
    ask(fd, "x-mock-fault: truncate\r\n", STREAM_BODY);
    assert_int_equal(read_until(fd, "\r\n0\r\n\r\n", 1), 0);
    assert_non_null(strstr(text, "data: {"));
    close(fd);
}

static void an_early_answer_does_not_wait_for_the_body(void **state) {
    (void)state;
    int fd = dial();
    static const char head[] = "POST /v1/chat/completions HTTP/1.1\r\nhost: m\r\nauthorization: Bearer "
                               "k\r\nx-mock-early: 1\r\nx-mock-error: 413\r\n"
                               "content-length: 1000000\r\n\r\n{";
    assert_int_equal(send(fd, head, sizeof head - 1, MSG_NOSIGNAL), sizeof head - 1);
    assert_int_equal(read_until(fd, "\x01never", 1), 0); /* … and closes */
    assert_memory_equal(text, "HTTP/1.1 413", 12);
    close(fd);
}

static void a_client_waiting_for_100_is_told_to_go_on(void **state) {
    (void)state;
    int fd = dial();
    static const char head[] = "POST /v1/chat/completions HTTP/1.1\r\nhost: m\r\nauthorization: Bearer k\r\nexpect: "
                               "100-continue\r\ncontent-length: 27\r\n\r\n";
    assert_int_equal(send(fd, head, sizeof head - 1, MSG_NOSIGNAL), sizeof head - 1);
    assert_int_equal(read_until(fd, "HTTP/1.1 100", 1), 1);
    assert_int_equal(send(fd, BODY, 27, MSG_NOSIGNAL), 27);
    assert_int_equal(read_until(fd, "fp_mock000001\"}", 1), 1);
    close(fd);
}

static void a_paced_stream_takes_its_time(void **state) {
    (void)state;
    struct timespec a, b;
    int fd = dial();
    clock_gettime(CLOCK_MONOTONIC, &a);
    ask(fd, "x-mock-ttft-ms: 40\r\nx-mock-gap-ms: 10\r\nx-mock-tokens: 5\r\n", STREAM_BODY);
    assert_int_equal(read_until(fd, "[DONE]", 1), 1);
    clock_gettime(CLOCK_MONOTONIC, &b);
    int64_t ms = (b.tv_sec - a.tv_sec) * 1000 + (b.tv_nsec - a.tv_nsec) / 1000000;
    assert_true(ms >= 79 && ms < 2000);
    close(fd);
}

static void a_client_that_leaves_mid_stream_is_counted_as_abandoning_it(void **state) {
    (void)state;
    int fd = dial();
    ask(fd, "x-mock-gap-ms: 1000\r\n", STREAM_BODY);
    assert_true(read_until(fd, "data: ", 1) >= 1);
    close(fd);
    for (int tries = 0; tries < 100; tries++) {
        int other = dial();
        static const char stats[] = "GET /mock/stats HTTP/1.1\r\nhost: m\r\n\r\n";
        assert_int_equal(send(other, stats, sizeof stats - 1, MSG_NOSIGNAL), sizeof stats - 1);
        assert_int_equal(read_until(other, "\"open\"", 1), 1);
        close(other);
        if (strstr(text, "\"abandoned\":1,")) return;
        usleep(10000);
    }
    fail_msg("never counted: %s", text);
}

static void a_slow_reader_gets_every_byte_of_a_large_body(void **state) {
    (void)state;
    int fd = dial();
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &(int){8192}, sizeof(int));
    ask(fd, "x-mock-body-bytes: 900000\r\n", BODY);
    usleep(50000);
    assert_int_equal(read_until(fd, "fp_mock000001\"}", 1), 1);
    assert_in_range(strlen(text), 899000, 901000);
    close(fd);
}

static void it_stops_with_streams_still_open(void **state) {
    (void)state;
    int fds[8];
    for (int i = 0; i < 8; i++) {
        fds[i] = dial();
        ask(fds[i], i % 2 ? "x-mock-gap-ms: 100000\r\n" : "x-mock-fault: stall\r\n", STREAM_BODY);
        assert_true(read_until(fds[i], "data: ", 1) >= 1);
    }
    mock_stop(mock);
    for (int i = 0; i < 8; i++) {
        read_until(fds[i], "\x01never", 1);
        close(fds[i]);
    }
    assert_int_equal(start(NULL), 0);
}

#define WITH_MOCK(test) cmocka_unit_test_setup_teardown(test, start, stop)
int main(void) {
    const struct CMUnitTest tests[] = {
        WITH_MOCK(a_port_in_use_is_an_error_with_a_message),
        WITH_MOCK(requests_sent_together_are_answered_in_order_on_one_connection),
        WITH_MOCK(a_request_byte_by_byte_is_answered_like_a_whole_one),
        WITH_MOCK(what_is_no_request_is_refused_and_the_connection_closed),
        WITH_MOCK(a_reset_comes_after_the_bytes_before_it),
        WITH_MOCK(a_truncated_stream_ends_without_its_last_chunk),
        WITH_MOCK(an_early_answer_does_not_wait_for_the_body),
        WITH_MOCK(a_client_waiting_for_100_is_told_to_go_on),
        WITH_MOCK(a_paced_stream_takes_its_time),
        WITH_MOCK(a_client_that_leaves_mid_stream_is_counted_as_abandoning_it),
        WITH_MOCK(a_slow_reader_gets_every_byte_of_a_large_body),
        WITH_MOCK(it_stops_with_streams_still_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
