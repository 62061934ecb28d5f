/* Reading: one recv a wake-up into the loop's scratch, bytes an owner did not take, the peer's end. The hard part is
 * order: what was kept is given before anything newer, an end only after all bytes, and all of it from the loop.
 * Pausing is lazy: the event stays armed until it fires, so a pause that is over before bytes come costs no system
 * call. */
#include <assert.h>
#include <errno.h>
#include <poll.h>

#include "conn_private.h"

enum { READS_BEFORE_CLOSE = 16 };

void conn_eof(struct conn *c) {
    c->eof_seen = true;
    if (c->eof_told || buf_length(&c->in) > 0) return;
    c->eof_told = true;
    if (!c->broken) conn_watch_arm(c);
    if (c->ops->on_eof != NULL) c->ops->on_eof(c);
}

/* The owner may close, pause, resume, send or unread within on_bytes. What it unreads comes before what it left. */
static void give_now(struct conn *c, const char *p, size_t n) {
    size_t taken = c->ops->on_bytes(c, p, n);
    if (c->closing) return;
    assert(taken <= n);
    if (taken == n) return;
    buf_append(&c->in, p + taken, n - taken);
    c->reading = false;
}

void conn_give(struct conn *c, const char *p, size_t n) {
    c->bytes_in += n;
    if (!c->reading || buf_length(&c->in) > 0)
        buf_append(&c->in, p, n);
    else
        give_now(c, p, n);
}

static void give_kept(struct conn *c) {
    struct buf kept = c->in;
    c->in = (struct buf){0};
    give_now(c, kept.data + kept.start, buf_length(&kept));
    buf_clear(&kept);
}

static void plain_received(struct conn *c, size_t n) {
    if (n > 0)
        conn_give(c, c->loop->scratch, n);
    else
        conn_eof(c);
}

/* False when there was nothing to read or the connection ended. */
static bool receive_once(struct conn *c) {
    ssize_t n = recv(c->fd, c->loop->scratch, LOOP_SCRATCH_BYTES, MSG_DONTWAIT);
    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR) return false;
        c->error = errno;
        conn_fail(c, CLOSE_RESET);
        return false;
    }
    if (c->tls != NULL)
        conn_tls_received(c, (size_t)n);
    else
        plain_received(c, (size_t)n);
    return n > 0 && !c->closing;
}

void conn_read_event(struct conn *c) {
    if (c->broken) return;
    if (c->handshaking && c->loop->handshakes >= HANDSHAKES_PER_TURN) return; /* level-triggered: it comes again */
    if (!c->reading && !c->handshaking) {
        conn_watch_arm(c);
        return;
    }
    if (buf_length(&c->in) == 0) receive_once(c); /* else the redrive is queued and gives those first */
}

static void hangup_tell(struct conn *c) {
    if (c->hangup_told) return;
    c->hangup_told = true;
    if (c->ops->on_hangup != NULL) c->ops->on_hangup(c);
}

/* Reading is paused and the peer has ended or reset. With nothing left before the end it is told at once. TLS bytes are
 * read to see whether they are only its farewell. A peek takes the socket's error with it: it must be used here. */
static void left_while_paused(struct conn *c) {
    char byte;
    ssize_t n = recv(c->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (n < 0) {
        if (errno == EAGAIN || errno == EINTR) return;
        c->error = errno;
        conn_fail(c, CLOSE_RESET);
        return;
    }
    if (buf_length(&c->in) == 0 && (n == 0 || c->tls != NULL)) receive_once(c);
    if (!c->closing && !c->eof_told) hangup_tell(c);
}

void conn_watch_event(struct conn *c) {
    struct pollfd state = {.fd = c->fd, .events = POLLRDHUP};
    if (poll(&state, 1, 0) <= 0) return;
    if (!c->eof_seen)
        left_while_paused(c);
    else if (c->eof_told && (state.revents & (POLLERR | POLLHUP)) != 0)
        conn_fail(c, CLOSE_RESET);
}

/* A send failed: the peer may have answered before it reset, so what it sent is given first. */
static void broken_end(struct conn *c) {
    if (c->connecting) {
        conn_fail(c, CLOSE_CONNECT_FAILED);
        return;
    }
    if (c->reading && buf_length(&c->in) > 0) give_kept(c);
    for (int i = 0; i < READS_BEFORE_CLOSE && !c->closing; i++) {
        if (!c->reading || c->eof_seen || c->handshaking || buf_length(&c->in) > 0 || !receive_once(c)) break;
    }
    if (!c->closing) conn_fail(c, CLOSE_RESET);
}

void conn_redrive(struct loop_task *task) {
    struct conn *c = CONTAINER_OF(task, struct conn, redrive);
    if (c->closing) return;
    if (c->broken) {
        broken_end(c);
        return;
    }
    if (!c->reading || c->connecting) return;
    if (buf_length(&c->in) > 0) give_kept(c);
    if (c->closing || !c->reading || buf_length(&c->in) > 0) return;
    if (c->eof_seen)
        conn_eof(c);
    else
        conn_read_arm(c);
}

void conn_read_pause(struct conn *c) {
    c->reading = false;
}

void conn_read_resume(struct conn *c) {
    if (c->reading || c->closing) return;
    c->reading = true;
    if (buf_length(&c->in) > 0 || (c->eof_seen && !c->eof_told))
        loop_defer(c->loop, &c->redrive);
    else
        conn_read_arm(c);
}

void conn_unread(struct conn *c, const char *p, size_t n) {
    if (n == 0 || c->closing) return;
    struct buf joined = {0};
    buf_append(&joined, p, n);
    buf_append_slice(&joined, buf_slice(&c->in));
    buf_clear(&c->in);
    c->in = joined;
    if (c->reading) loop_defer(c->loop, &c->redrive);
}
