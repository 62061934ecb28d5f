/* net_fixture.h: a loop that stops by itself, loopback socket pairs, and an owner that records what it is told. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "net/conn.h"

#define PATIENCE_NS (10 * NS_PER_S) /* a test that waits longer has failed */

static struct loop *loop;
static struct timer stop_timer;
static bool timed_out;

static inline void stop_fired(struct timer *t) {
    (void)t;
    timed_out = true;
    loop_stop(loop);
}

/* Runs until somebody stops the loop; true when the time ran out first. */
static inline bool run_for(uint64_t ns) {
    timed_out = false;
    stop_timer.fire = stop_fired;
    timer_cancel(&loop->wheel, &stop_timer);
    timer_set(&loop->wheel, &stop_timer, clock_now_ns() + ns);
    loop_run(loop);
    timer_cancel(&loop->wheel, &stop_timer);
    return timed_out;
}
#define RUN() assert_false(run_for(PATIENCE_NS))
#define RUN_MS(ms) ((void)run_for((uint64_t)(ms)*NS_PER_MS))

struct probe {
    struct conn *c;
    struct buf got;
    char log[128]; /* R ready, B bytes, D drained, E eof, H hangup, T deadline, then the reason of a close: r t x c */
    size_t logged;
    const char *stop_on;  /* events that stop the loop */
    size_t stop_at_bytes; /* so does having got this many */
    size_t take_max;      /* on_bytes takes at most this many; 0: all */
    const char *close_on; /* events in which the conn closes itself */
    struct conn *victim;  /* … and closes this one */
    bool echo;
    unsigned calls; /* of on_bytes */
    char error[128];
    bool downward; /* set while a downward call runs: nothing may call back then */
};

static inline void probe_note(struct probe *p, char event) {
    assert_false(p->downward);
    if (p->logged + 1 < sizeof p->log && (event != 'B' || p->logged == 0 || p->log[p->logged - 1] != 'B'))
        p->log[p->logged++] = event;
    if (p->stop_on != NULL && strchr(p->stop_on, event) != NULL) loop_stop(loop);
    if (p->close_on != NULL && strchr(p->close_on, event) != NULL) {
        if (p->victim != NULL) conn_close(p->victim);
        p->victim = NULL;
        conn_close(p->c);
    }
}

static inline void probe_ready(struct conn *c) {
    probe_note(c->owner, 'R');
}
static inline void probe_drained(struct conn *c) {
    probe_note(c->owner, 'D');
}
static inline void probe_eof(struct conn *c) {
    probe_note(c->owner, 'E');
}
static inline void probe_hangup(struct conn *c) {
    probe_note(c->owner, 'H');
}
static inline void probe_deadline(struct conn *c) {
    probe_note(c->owner, 'T');
}

static inline size_t probe_bytes(struct conn *c, const char *bytes, size_t n) {
    struct probe *p = c->owner;
    assert_true(n > 0);
    p->calls++;
    size_t taken = p->take_max != 0 && p->take_max < n ? p->take_max : n;
    buf_append(&p->got, bytes, taken);
    if (p->echo) conn_send_slice(c, (struct slice){bytes, taken});
    probe_note(p, 'B');
    if (p->stop_at_bytes != 0 && buf_length(&p->got) >= p->stop_at_bytes) loop_stop(loop);
    return taken;
}

static inline void probe_close(struct conn *c, enum close_reason why) {
    struct probe *p = c->owner;
    conn_error_text(c, p->error, sizeof p->error);
    p->c = NULL;
    probe_note(p, "rtxc"[why]);
}

static const struct conn_ops probe_ops = {.on_ready = probe_ready,
                                          .on_bytes = probe_bytes,
                                          .on_drained = probe_drained,
                                          .on_eof = probe_eof,
                                          .on_hangup = probe_hangup,
                                          .on_deadline = probe_deadline,
                                          .on_close = probe_close};

static inline void probe_clear(struct probe *p) {
    if (p->c != NULL) conn_close(p->c);
    buf_clear(&p->got);
    *p = (struct probe){0};
}

static inline void fd_nonblocking(int fd) {
    assert_int_equal(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

static inline int loopback_listener(struct sockaddr_in *address) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof *address;
    *address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)address, size), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)address, &size), 0);
    return fd;
}

/* Two ends of one TCP connection over loopback, both non-blocking. */
static inline void tcp_pair(int fd[2]) {
    struct sockaddr_in address;
    int listening = loopback_listener(&address);
    fd[0] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd[0], (struct sockaddr *)&address, sizeof address), 0);
    fd[1] = accept(listening, NULL, NULL);
    assert_true(fd[1] >= 0);
    close(listening);
    fd_nonblocking(fd[0]);
    fd_nonblocking(fd[1]);
}

static inline void fd_reset(int fd) {
    struct linger now = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close(fd);
}

/* Reads what there is without waiting long; stops at the end, an error or `want` bytes. Returns the last recv's result.
 */
static inline ssize_t fd_read(int fd, struct buf *out, size_t want) {
    char bytes[65536];
    ssize_t n = 0;
    while (buf_length(out) < want) {
        n = recv(fd, bytes, sizeof bytes, MSG_DONTWAIT);
        if (n <= 0) break;
        buf_append(out, bytes, (size_t)n);
    }
    return n;
}

static inline char *pattern_new(size_t n) {
    char *p = mem_alloc(n);
    uint32_t x = 12345;
    for (size_t i = 0; i < n; i++) {
        x = x * 1664525u + 1013904223u;
        p[i] = (char)(x >> 24);
    }
    return p;
}

static inline void open_probe(struct probe *p, int *peer) {
    int fd[2];
    tcp_pair(fd);
    *p = (struct probe){0};
    p->c = conn_accept(loop, fd[1], NULL, &probe_ops, p);
    *peer = fd[0];
}

static inline int fixture_setup(void **state) {
    (void)state;
    signal(SIGPIPE, SIG_IGN);
    loop = loop_new();
    return 0;
}

static inline int fixture_teardown(void **state) {
    (void)state;
    loop_free(loop);
    loop = NULL;
    return 0;
}
#define NET_TEST(f) cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)
