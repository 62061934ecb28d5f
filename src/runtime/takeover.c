/* The new process's side of an upgrade. While it starts it waits for its predecessor, which is the only thing it has to
 * do; once it serves, what the old one still settles is one more event of the main loop. */
#include "takeover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "frames.h"
#include "limit/handover.h"
#include "parts.h"

enum { PATIENCE_MS = 30000 };

struct takeover {
    int fd;
    struct buf in;
    int fds[FRAME_FDS_MAX];
    unsigned fd_count;
    struct buf ports; /* the lines of `fds`, in order; one that is taken is -1 */
    struct gateway *gateway;
    struct event event;
    bool listening; /* `event` is there */
};

static bool number_read(const char *text, int *fd) {
    uint64_t n;
    if (text == NULL || !slice_to_u64(slice_of(text), &n) || n > 1000000) return false;
    *fd = (int)n;
    return fcntl(*fd, F_SETFD, FD_CLOEXEC) == 0;
}

static bool next(struct takeover *t, enum frame_kind wanted, struct frame *f, size_t *used) {
    if (!frame_wait(t->fd, &t->in, used, f, t->fds, &t->fd_count, PATIENCE_MS)) return false;
    errno = EPROTO;
    return f->kind == (char)wanted;
}

struct takeover *takeover_begin(void) {
    struct frame f;
    size_t used;
    int fd;
    bool asked = number_read(getenv(TAKEOVER_VARIABLE), &fd);
    unsetenv(TAKEOVER_VARIABLE);
    if (!asked) return NULL;
    struct takeover *t = mem_zalloc(sizeof *t);
    t->fd = fd;
    if (next(t, FRAME_PORTS, &f, &used)) {
        buf_append_slice(&t->ports, f.payload);
        buf_consume(&t->in, used);
        return t;
    }
    log_error("taking over: the old process hands nothing over: %s", strerror(errno));
    takeover_free(t);
    return NULL;
}

int takeover_socket(struct takeover *t, const char *kind, const char *address) {
    if (t == NULL) return -1;
    struct slice rest = buf_slice(&t->ports), its_kind, its_address;
    for (unsigned i = 0; i < t->fd_count && ports_line_take(&rest, &its_kind, &its_address); i++) {
        if (t->fds[i] < 0 || !slice_equal(its_kind, slice_of(kind)) || !slice_equal(its_address, slice_of(address)))
            continue;
        int fd = t->fds[i];
        t->fds[i] = -1;
        return fd;
    }
    return -1;
}

bool takeover_counts(struct takeover *t, struct gateway *g) {
    struct frame f;
    size_t used;
    if (!frame_send(t->fd, FRAME_UP, SLICE(""), NULL, 0, PATIENCE_MS) || !next(t, FRAME_LIMITS, &f, &used)) {
        log_error("taking over: the old process went on by itself: %s", strerror(errno));
        return false;
    }
    if (!limiter_import(g->limiter, f.payload))
        log_warn("taking over: the old process's counts of limits are none that this version knows: they begin anew");
    buf_consume(&t->in, used);
    return true;
}

/* ---- while the old one drains ---- */

static void end(struct takeover *t) {
    if (t->listening) event_del(&t->event);
    t->listening = false;
    limiter_holder_gone(t->gateway->limiter);
    close(t->fd);
    t->fd = -1;
    log_info("the old process has ended");
}

static bool notes_take(struct takeover *t) {
    struct gateway *g = t->gateway;
    struct frame f;
    for (ssize_t size; buf_length(&t->in) > 0 && (size = frame_take(buf_slice(&t->in), &f)) != 0;) {
        if (size < 0 || f.kind != FRAME_NOTES ||
            !limiter_note_apply(g->limiter, f.payload, g->loop->now_ns, clock_wall_ns(g->loop->now_ns)))
            return false;
        buf_consume(&t->in, (size_t)size);
    }
    return true;
}

static void notes_ready(evutil_socket_t fd, short what, void *context) {
    struct takeover *t = context;
    char bytes[65536];
    (void)what;
    loop_callback_begin(t->gateway->loop);
    ssize_t n = read((int)fd, bytes, sizeof bytes);
    if (n > 0) buf_append(&t->in, bytes, (size_t)n);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR) || !notes_take(t)) end(t);
    loop_callback_end(t->gateway->loop);
}

/* Nobody accepts there any more: a socket kept open would let clients wait for ever. */
static void sockets_close(struct takeover *t) {
    for (unsigned i = 0; i < t->fd_count; i++)
        if (t->fds[i] >= 0) close(t->fds[i]);
    t->fd_count = 0;
}

void takeover_serving(struct takeover *t, struct gateway *g) {
    t->gateway = g;
    sockets_close(t);
    if (!frame_send(t->fd, FRAME_SERVING, SLICE(""), NULL, 0, PATIENCE_MS)) {
        end(t);
        return;
    }
    fcntl(t->fd, F_SETFL, O_NONBLOCK);
    event_assign(&t->event, g->loop->base, t->fd, EV_READ | EV_PERSIST, notes_ready, t);
    event_add(&t->event, NULL);
    t->listening = true;
}

void takeover_free(struct takeover *t) {
    if (t == NULL) return;
    if (t->listening) event_del(&t->event);
    sockets_close(t);
    if (t->fd >= 0) close(t->fd);
    buf_clear(&t->in);
    buf_clear(&t->ports);
    mem_free(t);
}
