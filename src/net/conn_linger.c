/* Leaving politely: closing a socket with unread input makes the kernel reset it, and the reset can destroy the answer
 * the peer has not read yet. So the output goes out first, then our end is told, and what the peer still sends is
 * thrown away for a bounded time and size (RFC 9112 9.6). */
#include <linux/sockios.h>
#include <sys/ioctl.h>

#include "base/clock.h"
#include "conn_private.h"

#define LINGER_SEND_NS (10 * NS_PER_S)
#define LINGER_DISCARD_NS (2 * NS_PER_S)
#define LINGER_DISCARD_BYTES UINT64_C(65536)
#define LINGER_LOOK_NS (20 * NS_PER_MS) /* the kernel tells nobody when the peer has acknowledged all */

static void sending_end(struct conn *c) {
    conn_tls_farewell(c);
    if (buf_length(&c->out) > 0 && !c->broken) {
        c->drain_owed = true;
        c->linger_mark = c->bytes_flushed;
        conn_deadline_set(c, c->loop->now_ns + LINGER_SEND_NS);
        conn_write_arm(c);
        return;
    }
    if (c->broken || c->eof_seen || shutdown(c->fd, SHUT_WR) != 0) {
        conn_close(c);
        return;
    }
    conn_deadline_set(c, c->loop->now_ns + LINGER_DISCARD_NS);
}

static size_t linger_bytes(struct conn *c, const char *p, size_t n) {
    (void)p;
    if (c->bytes_in <= LINGER_DISCARD_BYTES) return n;
    if (buf_length(&c->out) == 0)
        conn_close(c);
    else
        conn_read_pause(c);
    return n;
}

static void linger_drained(struct conn *c) {
    if (buf_length(&c->out) > 0) return;
    sending_end(c);
    if (c->bytes_in > LINGER_DISCARD_BYTES) conn_close(c);
}

static void linger_eof(struct conn *c) {
    if (buf_length(&c->out) == 0) conn_close(c);
}

static void linger_deadline(struct conn *c) {
    if (buf_length(&c->out) == 0 || c->bytes_flushed == c->linger_mark) {
        conn_close(c);
        return;
    }
    c->linger_mark = c->bytes_flushed;
    conn_deadline_set(c, c->loop->now_ns + LINGER_SEND_NS);
}

static void linger_close(struct conn *c, enum close_reason why) {
    (void)c, (void)why;
}

static const struct conn_ops linger_ops = {
    .on_bytes = linger_bytes,
    .on_drained = linger_drained,
    .on_eof = linger_eof,
    .on_deadline = linger_deadline,
    .on_close = linger_close,
};

void conn_close_lingering(struct conn *c) {
    if (c->closing) return;
    conn_owner_set(c, &linger_ops, NULL);
    if (c->broken || c->connecting || c->handshaking) {
        conn_close(c);
        return;
    }
    buf_clear(&c->in);
    c->bytes_in = 0;
    if (buf_length(&c->out) == 0) {
        sending_end(c);
    } else {
        c->linger_mark = c->bytes_flushed;
        c->drain_owed = true;
        conn_deadline_set(c, c->loop->now_ns + LINGER_SEND_NS);
    }
    if (!c->closing) conn_read_resume(c);
}

/* ---- leaving by a reset ---- */

static size_t abort_bytes(struct conn *c, const char *p, size_t n) {
    (void)c, (void)p;
    return n;
}

static void abort_eof(struct conn *c) {
    (void)c; /* it may still read */
}

/* A reset throws away what the peer's side has not acknowledged. */
static void abort_deadline(struct conn *c) {
    int unacknowledged = 0;
    bool waits = ioctl(c->fd, SIOCOUTQ, &unacknowledged) == 0 && unacknowledged > 0;
    if (waits && c->loop->now_ns < c->linger_mark)
        conn_deadline_set(c, c->loop->now_ns + LINGER_LOOK_NS);
    else
        conn_abort(c);
}

static const struct conn_ops abort_ops = {
    .on_bytes = abort_bytes, .on_eof = abort_eof, .on_deadline = abort_deadline, .on_close = linger_close};

void conn_abort_lingering(struct conn *c) {
    if (c->closing) return;
    conn_owner_set(c, &abort_ops, NULL);
    c->linger_mark = c->loop->now_ns + LINGER_SEND_NS;
    buf_clear(&c->in);
    if (c->broken || c->connecting || c->handshaking)
        conn_abort(c);
    else
        abort_deadline(c);
    if (!c->closing) conn_read_resume(c);
}
