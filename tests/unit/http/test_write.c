/* What goes out: exact bytes, and values that would break a line stop the process. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include "http/body.h"
#include "http/write.h"

/* In a child: does writing this field abort? */
static bool field_aborts(struct slice name, struct slice value) {
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        struct buf out = {0};
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        signal(SIGABRT, SIG_DFL);
        fclose(stderr);
        write_field(&out, name, value);
        _exit(0);
    }
    int status = 0;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void a_field_that_would_break_its_line_stops_the_process(void **state) {
    (void)state;
    assert_true(field_aborts(SLICE("x"), SLICE("a\r\nb: c")));
    assert_true(field_aborts(SLICE("x"), SLICE("a\nb")));
    assert_true(field_aborts(SLICE("x"), SLICE("a\rb")));
    assert_true(field_aborts(SLICE("x"), SLICE("a\0b")));
    assert_true(field_aborts(SLICE("x: y\r\nz"), SLICE("a")));
    assert_true(field_aborts(SLICE(""), SLICE("a")));
    assert_false(field_aborts(SLICE("x"), SLICE("a\tb \xc3\xa9")));
}

static void heads_are_written_byte_for_byte(void **state) {
    (void)state;
    struct buf out = {0};
    write_status_line(&out, 200);
    write_status_line(&out, 429);
    write_status_line(&out, 599);
    write_field(&out, SLICE("x-a"), SLICE("b c"));
    write_field(&out, SLICE("x-empty"), (struct slice){NULL, 0});
    static const char expected[] =
        "HTTP/1.1 200 OK\r\nHTTP/1.1 429 Too Many Requests\r\nHTTP/1.1 599 Unknown\r\nx-a: b c\r\nx-empty: \r\n";
    assert_int_equal(buf_length(&out), sizeof expected - 1);
    assert_memory_equal(out.data + out.start, expected, sizeof expected - 1);
    buf_clear(&out);
}

static void every_failure_has_a_reason(void **state) {
    (void)state;
    for (int f = FAILURE_NONE + 1; f < FAILURE_COUNT; f++) {
        struct slice reason = http_reason(failure_row((enum failure)f)->status);
        assert_false(slice_equal(reason, SLICE("Unknown")));
    }
}

static void chunk_heads_are_what_the_body_reader_takes(void **state) {
    (void)state;
    static const struct {
        uint64_t length;
        const char *text;
    } rows[] = {{0, "0\r\n"},
                {1, "1\r\n"},
                {15, "f\r\n"},
                {16, "10\r\n"},
                {500, "1f4\r\n"},
                {4096, "1000\r\n"},
                {UINT64_MAX, "ffffffffffffffff\r\n"}};
    char out[CHUNK_HEAD_MAX];
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        size_t n = write_chunk_head(out, rows[i].length);
        assert_int_equal(n, strlen(rows[i].text));
        assert_memory_equal(out, rows[i].text, n);
    }
    for (int shift = 0; shift <= 53; shift++) {
        struct body_reader reader;
        struct slice data;
        enum body_state now;
        size_t n = write_chunk_head(out, UINT64_C(1) << shift);
        body_reader_init(&reader, FRAMING_CHUNKED, 0);
        assert_int_equal(body_reader_take(&reader, out, n, &data, &now), n);
        assert_int_equal(now, BODY_MORE);
        assert_int_equal(reader.left, UINT64_C(1) << shift);
    }
}

static void dates_are_those_of_the_calendar(void **state) {
    (void)state;
    char out[30], expected[64];
    write_http_date(out, 784111777);
    assert_string_equal(out, "Sun, 06 Nov 1994 08:49:37 GMT");
    write_http_date(out, 0);
    assert_string_equal(out, "Thu, 01 Jan 1970 00:00:00 GMT");
    write_http_date(out, -5);
    assert_string_equal(out, "Thu, 01 Jan 1970 00:00:00 GMT");
    write_http_date(out, INT64_MAX);
    assert_string_equal(out, "Fri, 31 Dec 9999 23:59:59 GMT");
    for (time_t at = 0; at < (time_t)20000000000;
         at += 86399 * 17) { /* into the 27th century, every leap rule on the way */
        struct tm parts;
        gmtime_r(&at, &parts);
        strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &parts);
        write_http_date(out, at);
        assert_string_equal(out, expected);
    }
}

static void the_date_field_follows_the_second(void **state) {
    (void)state;
    struct buf out = {0};
    write_date(&out, 784111777);
    write_date(&out, 784111777);
    write_date(&out, 784111778);
    assert_true(slice_equal(buf_slice(&out), SLICE("date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                                   "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"
                                                   "date: Sun, 06 Nov 1994 08:49:38 GMT\r\n")));
    buf_clear(&out);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_field_that_would_break_its_line_stops_the_process),
        cmocka_unit_test(heads_are_written_byte_for_byte),
        cmocka_unit_test(every_failure_has_a_reason),
        cmocka_unit_test(chunk_heads_are_what_the_body_reader_takes),
        cmocka_unit_test(dates_are_those_of_the_calendar),
        cmocka_unit_test(the_date_field_follows_the_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
