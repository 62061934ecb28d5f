/* A connection's life: opening, sending, closing. The hard part is that nothing here may call its owner back from a
 * downward call: a send that fails only notes it and queues a task, closing takes the descriptor out of the loop at
 * once and leaves the memory to the end of the turn. Reading is in conn_read.c, TLS in conn_tls.c. */
#include "net/conn.h"

#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include "base/mem.h"
#include "conn_private.h"
#include "tls.h"

enum { PIECES_PER_SEND = 256 };

static void deadline_fired(struct timer *t) {
    struct conn *c = CONTAINER_OF(t, struct conn, deadline);
    c->ops->on_deadline(c);
}

static struct conn *conn_new(struct loop *l, int fd, const struct conn_ops *ops, void *owner) {
    struct conn *c = mem_zalloc(sizeof *c);
    c->loop = l;
    c->fd = fd;
    c->ops = ops;
    c->owner = owner;
    c->reading = true;
    c->deadline = (struct timer){.due_ns = TIMER_NEVER, .fire = deadline_fired};
    c->redrive.run = conn_redrive;
    c->opened_ns = l->in_turn ? l->now_ns : loop_stamp(l);
    c->next = l->conns;
    c->link = &l->conns;
    if (c->next != NULL) c->next->link = &c->next;
    l->conns = c;
    l->conn_count++;
    conn_events_init(c);
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    return c;
}

struct conn *conn_accept(struct loop *l, int fd, struct tls_context *tls, const struct conn_ops *ops, void *owner) {
    struct conn *c = conn_new(l, fd, ops, owner);
    c->connected_ns = c->opened_ns;
    if (tls != NULL) {
        c->tls = tls_new(tls, NULL);
        c->handshaking = true;
    } else {
        c->ready_ns = c->opened_ns;
    }
    conn_read_arm(c);
    return c;
}

struct conn *conn_connect(struct loop *l, const struct sockaddr *address, socklen_t length, struct tls_context *tls,
                          const char *host, const struct conn_ops *ops, void *owner) {
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return NULL;
    struct conn *c = conn_new(l, fd, ops, owner);
    c->connecting = true;
    if (tls != NULL) c->tls = tls_new(tls, host);
    if (connect(fd, address, length) != 0 && errno != EINPROGRESS)
        conn_break(c, errno);
    else
        conn_write_arm(c);
    return c;
}

void conn_owner_set(struct conn *c, const struct conn_ops *ops, void *owner) {
    c->ops = ops;
    c->owner = owner;
}

void conn_deadline_set(struct conn *c, uint64_t at_ns) {
    if (!c->closing) timer_set(&c->loop->wheel, &c->deadline, at_ns);
}

/* ---- sending ---- */

void conn_break(struct conn *c, int error) {
    if (c->broken) return;
    c->broken = true;
    c->error = error;
    conn_events_stop(c);
    loop_defer(c->loop, &c->redrive);
}

static enum send_result queued_result(struct conn *c) {
    c->drain_owed = true;
    if (buf_length(&c->out) > CONN_HIGH_BYTES) c->over_high = true;
    return c->over_high ? SEND_OVER : SEND_QUEUED;
}

static enum send_result queue_rest(struct conn *c, const struct iovec *pieces, int count, size_t sent) {
    for (int i = 0; i < count; i++) {
        size_t skip = sent < pieces[i].iov_len ? sent : pieces[i].iov_len;
        buf_append(&c->out, (const char *)pieces[i].iov_base + skip, pieces[i].iov_len - skip);
        sent -= skip;
    }
    if (!c->connecting) conn_write_arm(c);
    return queued_result(c);
}

/* One piece goes without a message header, which the kernel would have to read and check. */
static ssize_t pieces_send(int fd, const struct iovec *pieces, int count) {
    if (count == 1) return send(fd, pieces[0].iov_base, pieces[0].iov_len, MSG_NOSIGNAL);
    struct msghdr message = {.msg_iov = (struct iovec *)pieces,
                             .msg_iovlen = (size_t)(count < PIECES_PER_SEND ? count : PIECES_PER_SEND)};
    return sendmsg(fd, &message, MSG_NOSIGNAL);
}

static enum send_result plain_send(struct conn *c, const struct iovec *pieces, int count, size_t total) {
    if (c->connecting || buf_length(&c->out) > 0) return queue_rest(c, pieces, count, 0);
    ssize_t n = pieces_send(c->fd, pieces, count);
    if (n < 0 && errno != EAGAIN && errno != EINTR) {
        conn_break(c, errno);
        return SEND_FAILED;
    }
    size_t sent = n > 0 ? (size_t)n : 0;
    c->bytes_out += sent;
    c->bytes_flushed += sent;
    return sent == total ? SEND_DONE : queue_rest(c, pieces, count, sent);
}

enum send_result conn_send(struct conn *c, const struct iovec *pieces, int count) {
    if (c->closing || c->broken) return SEND_FAILED;
    size_t total = 0;
    for (int i = 0; i < count; i++) total += pieces[i].iov_len;
    if (total == 0) return SEND_DONE;
    if (c->tls == NULL) return plain_send(c, pieces, count, total);
    enum send_result result = conn_tls_send(c, pieces, count);
    return result == SEND_QUEUED ? queued_result(c) : result;
}

enum send_result conn_send_slice(struct conn *c, struct slice s) {
    struct iovec piece = {(void *)s.p, s.n};
    return conn_send(c, &piece, 1);
}

size_t conn_write_out(struct conn *c) {
    struct slice queued = buf_slice(&c->out);
    ssize_t n = send(c->fd, queued.p, queued.n, MSG_NOSIGNAL);
    if (n < 0) {
        if (errno != EAGAIN && errno != EINTR) conn_break(c, errno);
        return 0;
    }
    if (c->tls == NULL) c->bytes_out += (size_t)n;
    c->bytes_flushed += (size_t)n;
    buf_consume(&c->out, (size_t)n);
    return (size_t)n;
}

static void connect_finished(struct conn *c) {
    socklen_t size = sizeof c->error;
    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &c->error, &size) != 0) c->error = errno;
    if (c->error != 0) {
        conn_fail(c, CLOSE_CONNECT_FAILED);
        return;
    }
    c->connecting = false;
    c->connected_ns = c->loop->wake_ns;
    if (c->tls == NULL) {
        conn_ready(c, c->loop->wake_ns);
        return;
    }
    c->handshaking = true;
    if (c->ops->on_connected != NULL) c->ops->on_connected(c);
}

void conn_ready(struct conn *c, uint64_t ready_ns) {
    c->ready_ns = ready_ns;
    if (c->reading) conn_read_arm(c);
    if (c->ops->on_ready != NULL) c->ops->on_ready(c);
}

void conn_flush(struct conn *c) {
    if (c->connecting) connect_finished(c);
    if (c->closing) return;
    if (c->handshaking && buf_length(&c->out) == 0) {
        conn_tls_step(c);
        if (c->closing) return;
    }
    if (buf_length(&c->out) > 0 && conn_write_out(c) == 0) return;
    size_t left = buf_length(&c->out);
    if (left == 0 && (!c->handshaking || c->read_armed)) conn_write_disarm(c);
    if (!c->drain_owed || c->handshaking || (left > 0 && !(c->over_high && left < CONN_LOW_BYTES))) return;
    c->over_high = false;
    c->drain_owed = left > 0;
    if (c->ops->on_drained != NULL) c->ops->on_drained(c);
}

/* ---- closing ---- */

static void list_move(struct conn *c, struct conn **to) {
    *c->link = c->next;
    if (c->next != NULL) c->next->link = c->link;
    c->next = *to;
    c->link = to;
    if (c->next != NULL) c->next->link = &c->next;
    *to = c;
}

static void detach(struct conn *c) {
    c->closing = true;
    conn_events_stop(c);
    timer_cancel(&c->loop->wheel, &c->deadline);
    close(c->fd);
    c->fd = -1;
    buf_clear(&c->in);
    buf_clear(&c->out);
    list_move(c, &c->loop->closed);
    c->loop->conn_count--;
}

void conn_close(struct conn *c) {
    if (c->closing) return;
    conn_tls_farewell(c);
    detach(c);
}

void conn_abort(struct conn *c) {
    if (c->closing) return;
    struct linger reset = {.l_onoff = 1};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    detach(c);
}

void conn_fail(struct conn *c, enum close_reason why) {
    detach(c);
    c->ops->on_close(c, why);
}

static void conn_free(struct conn *c) {
    *c->link = c->next;
    if (c->next != NULL) c->next->link = c->link;
    tls_free(c->tls);
    mem_free(c);
}

void loop_conns_reap(struct loop *l) {
    for (struct conn *c = l->closed, *next; c != NULL; c = next) {
        next = c->next;
        if (!c->redrive.queued) conn_free(c);
    }
}

void loop_conns_close(struct loop *l) {
    while (l->conns != NULL) conn_close(l->conns);
    while (l->closed != NULL) conn_free(l->closed);
}
