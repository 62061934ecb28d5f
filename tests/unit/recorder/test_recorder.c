/* The recorder's thread: every record that fits arrives as one whole line, from however many rings; a log that takes no
 * more costs lines, which are counted, and nothing else. */
#include "records.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jansson.h>

#include "base/buf.h"
#include "base/clock.h"
#include "recorder/recorder.h"

#define PATIENCE_NS (20 * NS_PER_S)

static char directory[] = "/tmp/weir-recorder-XXXXXX";
static char log_path[64], other_path[64];

static int setup(void **state) {
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    snprintf(log_path, sizeof log_path, "%s/access.log", directory);
    snprintf(other_path, sizeof other_path, "%s/access.log.1", directory);
    return 0;
}

static int teardown(void **state) {
    (void)state;
    unlink(log_path);
    unlink(other_path);
    return 0;
}

static struct recorder *start(const char *file, bool access, unsigned rings) {
    char error[256] = "";
    struct recorder_options o = {.replica = SLICE("gw-1"), .access_file = file, .access = access, .rings = rings};
    struct recorder *r = recorder_start(&o, error, sizeof error);
    if (r == NULL) fail_msg("%s", error);
    return r;
}

static bool put(struct recorder *r, unsigned ring, uint16_t writer, uint64_t number) {
    static const struct slice texts[RECORD_TEXT_COUNT] = {[RECORD_TEXT_PATH] = SLICE_INIT("/v1/chat/completions")};
    struct record *record = record_with(texts);
    record->attempts = writer;
    record->request_bytes = number;
    void *room = ring_reserve(recorder_ring(r, ring), record->size_bytes);
    if (room != NULL) {
        memcpy(room, record, record->size_bytes);
        ring_commit(recorder_ring(r, ring));
        recorder_wake(r);
    }
    mem_free(record);
    return room != NULL;
}

static struct buf file_read(const char *path) {
    struct buf b = {0};
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    assert_true(fd >= 0);
    for (ssize_t n; (n = read(fd, buf_reserve(&b, 65536), 65536)) > 0;) buf_commit(&b, (size_t)n);
    close(fd);
    return b;
}

/* Calls `each` with writer and number of every line, all of which must be whole; returns how many there are. */
static size_t lines_each(struct slice text, void (*each)(void *context, unsigned writer, unsigned number),
                         void *context) {
    size_t count = 0;
    for (const char *at = text.p, *end = text.p + text.n, *newline; at < end; at = newline + 1, count++) {
        json_error_t error;
        newline = memchr(at, '\n', (size_t)(end - at));
        if (newline == NULL) fail_msg("the last line has no end: %.*s", (int)(end - at), at);
        json_t *json = json_loadb(at, (size_t)(newline - at), JSON_REJECT_DUPLICATES, &error);
        if (json == NULL) fail_msg("%s: %.*s", error.text, (int)(newline - at), at);
        assert_string_equal(json_string_value(json_object_get(json, "replica")), "gw-1");
        if (each != NULL)
            each(context, (unsigned)json_integer_value(json_object_get(json, "attempts")),
                 (unsigned)json_integer_value(json_object_get(json, "request_bytes")));
        json_decref(json);
    }
    return count;
}

static bool wait_until(bool (*what)(void *context), void *context) {
    uint64_t end_ns = clock_now_ns() + PATIENCE_NS;
    while (!what(context)) {
        if (clock_now_ns() > end_ns) return false;
        usleep(2000);
    }
    return true;
}

static bool log_has_lines(void *context) {
    const struct {
        const char *path;
        size_t count;
    } *wanted = context;
    struct stat s;
    if (stat(wanted->path, &s) != 0) return false;
    struct buf b = file_read(wanted->path);
    size_t lines = 0;
    for (size_t i = 0; i < buf_length(&b); i++) lines += b.data[i] == '\n';
    buf_clear(&b);
    return lines >= wanted->count;
}
#define WAIT_FOR_LINES(file, n)                                                                                        \
    assert_true(wait_until(log_has_lines, &(struct {                                                                   \
                               const char *path;                                                                       \
                               size_t count;                                                                           \
                           }){file, n}))

/* ---- errors ---- */

static void a_file_that_cannot_be_opened_is_told(void **state) {
    (void)state;
    char error[256] = "", path[96];
    snprintf(path, sizeof path, "%s/none/access.log", directory);
    struct recorder_options o = {.access_file = path, .access = true, .rings = 2};
    assert_null(recorder_start(&o, error, sizeof error));
    assert_non_null(strstr(error, path));
    assert_non_null(strstr(error, strerror(ENOENT)));
    recorder_stop(NULL);
}

static bool dropped_some(void *context) {
    return recorder_log_dropped(context) > 0;
}

static void a_full_disk_costs_lines_and_is_told(void **state) {
    (void)state;
    int old_stderr = dup(STDERR_FILENO), fd = open(other_path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && dup2(fd, STDERR_FILENO) >= 0);
    struct recorder *r = start("/dev/full", true, 1);
    for (unsigned i = 0; i < 300; i++) assert_true(put(r, 0, 1, i));
    bool dropped = wait_until(dropped_some, r);
    for (unsigned i = 0; i < 300; i++) put(r, 0, 1, i); /* the thread lives on */
    uint64_t end_ns = clock_now_ns() + PATIENCE_NS;
    while (recorder_log_dropped(r) < 600 && clock_now_ns() < end_ns) usleep(2000);
    uint64_t count = recorder_log_dropped(r);
    recorder_stop(r);
    dup2(old_stderr, STDERR_FILENO);
    close(old_stderr);
    close(fd);
    assert_true(dropped);
    assert_int_equal(count, 600);
    struct buf told = file_read(other_path);
    buf_append(&told, "", 1);
    const char *message = strstr(told.data, "access log: lines are being dropped");
    assert_non_null(message);
    assert_non_null(strstr(message, strerror(ENOSPC)));
    assert_null(strstr(message + 1, "access log:")); /* once, not once a line */
    buf_clear(&told);
}

static void a_ring_that_is_full_is_counted(void **state) {
    (void)state;
    char error[256];
    struct recorder_options o = {.rings = 1};
    struct recorder *r = recorder_start(&o, error, sizeof error);
    assert_null(ring_reserve(recorder_ring(r, 0), RECORDER_RING_BYTES)); /* can never fit */
    assert_int_equal(recorder_log_dropped(r), 1);
    recorder_stop(r);
}

/* ---- a pipe nobody reads ---- */

struct tally {
    unsigned next;
    bool in_order;
};

static void tally_line(void *context, unsigned writer, unsigned number) {
    struct tally *t = context;
    (void)writer;
    t->in_order = t->in_order && number >= t->next;
    t->next = number + 1;
}

static bool pipe_read_more(int fd, struct buf *into) {
    ssize_t n = read(fd, buf_reserve(into, 65536), 65536);
    if (n > 0) buf_commit(into, (size_t)n);
    return n > 0;
}

static void a_pipe_nobody_reads_costs_whole_lines_only(void **state) {
    (void)state;
    struct buf got = {0};
    assert_int_equal(mkfifo(log_path, 0600), 0);
    int fd = open(log_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct recorder *r = start(log_path, true, 1);
    enum { FIRST = 200, SECOND = 40 };
    for (unsigned i = 0; i < FIRST; i++) assert_true(put(r, 0, 1, i)); /* more than a pipe holds */
    assert_true(wait_until(dropped_some, r));
    for (unsigned i = 0; i < SECOND; i++) assert_true(put(r, 0, 1, FIRST + i));
    uint64_t end_ns = clock_now_ns() + PATIENCE_NS;
    struct tally t = {0, true};
    while (clock_now_ns() < end_ns) { /* the reader comes back; the last line tells that all are through */
        while (pipe_read_more(fd, &got)) continue;
        if (buf_length(&got) > 0 && memmem(got.data, buf_length(&got), "\"request_bytes\":239,", 20) != NULL &&
            got.data[got.end - 1] == '\n')
            break;
        usleep(2000);
    }
    uint64_t dropped = recorder_log_dropped(r);
    recorder_stop(r);
    while (pipe_read_more(fd, &got)) continue;
    close(fd);
    assert_true(dropped > 0);
    assert_int_equal(lines_each(buf_slice(&got), tally_line, &t) + dropped, FIRST + SECOND);
    assert_true(t.in_order);
    buf_clear(&got);
}

static void stopping_does_not_wait_for_a_reader_for_long(void **state) {
    (void)state;
    assert_int_equal(mkfifo(log_path, 0600), 0);
    int fd = open(log_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct recorder *r = start(log_path, true, 2);
    for (unsigned i = 0; i < 1500; i++) assert_true(put(r, i % 2, 1, i)); /* about thirty batches */
    uint64_t begin_ns = clock_now_ns();
    recorder_stop(r);
    assert_true(clock_now_ns() - begin_ns < 10 * NS_PER_S);
    close(fd);
}

static void a_reader_that_left_does_not_end_the_process(void **state) {
    (void)state;
    assert_int_equal(mkfifo(log_path, 0600), 0);
    int fd = open(log_path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    struct recorder *r = start(log_path, true, 1);
    close(fd);
    assert_true(put(r, 0, 1, 1));
    assert_true(wait_until(dropped_some, r));
    recorder_stop(r);
}

/* ---- what should be ---- */

enum { WRITERS = 4, PER_WRITER = 1500 };
struct writer {
    struct recorder *recorder;
    unsigned ring;
};

static void *writer_run(void *context) {
    struct writer *w = context;
    for (unsigned i = 0; i < PER_WRITER; i++) {
        if (!put(w->recorder, w->ring, (uint16_t)(w->ring + 1), i)) return w;
        if (i % 64 == 0) usleep(500);
    }
    return NULL;
}

static void seen_line(void *context, unsigned writer, unsigned number) {
    unsigned *next = context; /* per writer: records of one ring come in their order */
    assert_in_range(writer, 1, WRITERS);
    assert_int_equal(number, next[writer - 1]++);
}

static void all_records_of_all_rings_arrive(void **state) {
    (void)state;
    struct recorder *r = start(log_path, true, WRITERS);
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    unsigned next[WRITERS] = {0};
    for (unsigned i = 0; i < WRITERS; i++) {
        writers[i] = (struct writer){r, i};
        assert_int_equal(pthread_create(&threads[i], NULL, writer_run, &writers[i]), 0);
    }
    for (int i = 0; i < WRITERS; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    assert_int_equal(recorder_log_dropped(r), 0);
    recorder_stop(r);
    struct buf log = file_read(log_path);
    assert_int_equal(lines_each(buf_slice(&log), seen_line, next), WRITERS * PER_WRITER);
    buf_clear(&log);
}

static void a_record_after_a_long_silence_is_written_soon(void **state) {
    (void)state;
    struct recorder *r = start(log_path, true, 1);
    usleep(400000); /* asleep by now */
    uint64_t begin_ns = clock_now_ns();
    assert_true(put(r, 0, 1, 7));
    WAIT_FOR_LINES(log_path, 1);
    assert_true(clock_now_ns() - begin_ns < 5 * NS_PER_S);
    recorder_stop(r);
}

static void what_is_in_the_rings_is_written_before_the_end(void **state) {
    (void)state;
    struct recorder *r = start(log_path, true, 2);
    for (unsigned i = 0; i < 1000; i++) assert_true(put(r, i % 2, 1, i));
    recorder_stop(r);
    struct buf log = file_read(log_path);
    assert_int_equal(lines_each(buf_slice(&log), NULL, NULL), 1000);
    buf_clear(&log);
}

static void an_existing_log_is_added_to(void **state) {
    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct recorder *r = start(log_path, true, 1);
        assert_true(put(r, 0, 1, i));
        recorder_stop(r);
    }
    struct tally t = {0, true};
    struct buf log = file_read(log_path);
    assert_int_equal(lines_each(buf_slice(&log), tally_line, &t), 2);
    assert_true(t.in_order);
    buf_clear(&log);
    struct stat s;
    assert_int_equal(stat(log_path, &s), 0);
    assert_int_equal(s.st_mode & 0007, 0); /* not for everybody to read */
}

static void a_rotated_log_goes_on_in_a_new_file(void **state) {
    (void)state;
    struct recorder *r = start(log_path, true, 1);
    assert_true(put(r, 0, 1, 1));
    WAIT_FOR_LINES(log_path, 1);
    assert_int_equal(rename(log_path, other_path), 0);
    assert_true(put(r, 0, 1, 2)); /* not asked yet: still into the old one */
    WAIT_FOR_LINES(other_path, 2);
    recorder_reopen(r);
    WAIT_FOR_LINES(log_path, 0);
    assert_true(put(r, 0, 1, 3));
    WAIT_FOR_LINES(log_path, 1);
    recorder_stop(r);
    struct buf log = file_read(log_path), old = file_read(other_path);
    assert_int_equal(lines_each(buf_slice(&log), NULL, NULL), 1);
    assert_int_equal(lines_each(buf_slice(&old), NULL, NULL), 2);
    buf_clear(&log);
    buf_clear(&old);
}

static void without_an_access_log_records_are_just_taken(void **state) {
    (void)state;
    struct recorder *r = start(NULL, false, 1);
    for (unsigned i = 0; i < 20000; i++) { /* far more than the ring holds */
        if (put(r, 0, 1, i)) continue;
        usleep(1000);
        i--;
    }
    recorder_reopen(r);
    recorder_stop(r);
}

/* `ends`: what is read, what becomes standard output; nobody reads while it is written. */
static void standard_output_is(int ends[2]) {
    struct buf got = {0};
    fflush(stdout);
    int old_stdout = dup(STDOUT_FILENO);
    assert_true(dup2(ends[1], STDOUT_FILENO) >= 0);
    struct recorder *r = start(NULL, true, 1);
    for (unsigned i = 0; i < 900; i++) put(r, 0, 1, i); /* several times what it holds */
    bool dropped = wait_until(dropped_some, r);         /* … and it is not stuck in a write */
    int flags = fcntl(STDOUT_FILENO, F_GETFL);          /* others write there, who do not expect EAGAIN */
    recorder_stop(r);
    dup2(old_stdout, STDOUT_FILENO);
    close(old_stdout);
    close(ends[1]);
    while (pipe_read_more(ends[0], &got)) continue;
    close(ends[0]);
    assert_true(dropped);
    assert_false(flags & O_NONBLOCK);
    assert_true(buf_length(&got) > 4096);
    buf_clear(&got);
}

static void standard_output_takes_lines_too(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    standard_output_is(ends);
}

static void standard_output_may_be_a_socket(void **state) {
    (void)state;
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    standard_output_is(ends);
}

struct sums {
    _Atomic uint64_t looks, requests;
};

static void sums_take(void *context, const struct changes *c) {
    struct sums *s = context;
    for (size_t i = 0; i < c->rows.count; i++) s->requests += c->rows.entries[i].row.counters[ROW_REQUESTS];
    s->looks++;
}

/* Once a second without anything in the rings, and a last time when the workers have ended. */
static void what_workers_count_is_handed_on(void **state) {
    (void)state;
    char error[256] = "";
    struct sums sums = {0};
    struct traffic *traffic = mem_zalloc(sizeof *traffic);
    struct recorder_options o = {.rings = 1, .sinks = {{.take = sums_take, .context = &sums}}};
    struct recorder *r = recorder_start(&o, error, sizeof error);
    struct record *record = record_usual();
    recorder_watch(r, traffic);
    for (int i = 0; i < 5; i++) traffic_add(traffic, record);
    for (uint64_t until_ns = clock_now_ns() + PATIENCE_NS; sums.requests < 5 && clock_now_ns() < until_ns;)
        usleep(1000);
    assert_int_equal(sums.requests, 5);
    for (int i = 0; i < 3; i++) traffic_add(traffic, record);
    recorder_stop(r);
    assert_int_equal(sums.requests, 8);
    assert_true(sums.looks >= 2);
    mem_free(record);
    traffic_clear(traffic);
    mem_free(traffic);
}

static void record_sum(void *context, const struct record *r) {
    *(uint64_t *)context += r->request_bytes;
}

/* Also with no access log, and everything before recorder_stop() returns. */
static void every_record_is_given_to_each_sink(void **state) {
    (void)state;
    char error[256] = "";
    uint64_t first = 0, second = 0;
    struct recorder_options o = {
        .rings = 2, .sinks = {{.record = record_sum, .context = &first}, {.record = record_sum, .context = &second}}};
    struct recorder *r = recorder_start(&o, error, sizeof error);
    for (uint64_t i = 1; i <= 100; i++) assert_true(put(r, i % 2, 0, i));
    recorder_stop(r);
    assert_int_equal(first, 5050);
    assert_int_equal(second, 5050);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(a_file_that_cannot_be_opened_is_told),
        TEST(a_full_disk_costs_lines_and_is_told),
        TEST(a_ring_that_is_full_is_counted),
        TEST(a_pipe_nobody_reads_costs_whole_lines_only),
        TEST(stopping_does_not_wait_for_a_reader_for_long),
        TEST(a_reader_that_left_does_not_end_the_process),
        TEST(all_records_of_all_rings_arrive),
        TEST(every_record_is_given_to_each_sink),
        TEST(a_record_after_a_long_silence_is_written_soon),
        TEST(what_is_in_the_rings_is_written_before_the_end),
        TEST(an_existing_log_is_added_to),
        TEST(a_rotated_log_goes_on_in_a_new_file),
        TEST(without_an_access_log_records_are_just_taken),
        TEST(standard_output_takes_lines_too),
        TEST(standard_output_may_be_a_socket),
        TEST(what_workers_count_is_handed_on),
    };
    if (mkdtemp(directory) == NULL) return 1;
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    rmdir(directory);
    return failed;
}
