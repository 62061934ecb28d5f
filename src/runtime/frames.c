/* Frames between two processes of weir, not always of one version: what comes is checked before it is believed, and
 * descriptors nobody asked for are closed. */
#include "frames.h"

#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"

static const char mark[4] = {'w', 'e', 'i', 'r'};

ssize_t frame_take(struct slice bytes, struct frame *f) {
    uint64_t n = 0;
    size_t seen = bytes.n < sizeof mark ? bytes.n : sizeof mark;
    if (seen > 0 && memcmp(bytes.p, mark, seen) != 0) return -1;
    if (bytes.n < FRAME_HEAD_BYTES) return 0;
    for (int i = 7; i >= 0; i--) n = n << 8 | (unsigned char)bytes.p[5 + i];
    if (n > FRAME_BYTES_MAX) return -1;
    if (bytes.n - FRAME_HEAD_BYTES < n) return 0;
    *f = (struct frame){bytes.p[4], {bytes.p + FRAME_HEAD_BYTES, (size_t)n}};
    return (ssize_t)(FRAME_HEAD_BYTES + n);
}

static bool wait_for(int fd, short what, uint64_t until_ns) {
    uint64_t now = clock_now_ns();
    struct pollfd p = {.fd = fd, .events = what};
    if (now >= until_ns) {
        errno = ETIMEDOUT;
        return false;
    }
    int ready = poll(&p, 1, (int)((until_ns - now) / NS_PER_MS) + 1);
    if (ready == 0) errno = ETIMEDOUT;
    return ready > 0 || (ready < 0 && errno == EINTR);
}

static bool all_send(int fd, struct slice left, uint64_t until_ns) {
    while (left.n > 0) {
        ssize_t n = send(fd, left.p, left.n, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) {
            left.p += n;
            left.n -= (size_t)n;
        } else if (n < 0 && errno != EAGAIN && errno != EINTR) {
            return false;
        } else if (!wait_for(fd, POLLOUT, until_ns)) {
            return false;
        }
    }
    return true;
}

/* The head alone fits into any socket's buffer, so it goes whole, and the descriptors with it. */
static bool head_send(int fd, const char head[FRAME_HEAD_BYTES], const int *fds, unsigned fd_count) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FRAME_FDS_MAX * sizeof(int))];
    } control = {0};
    struct iovec piece = {(void *)(uintptr_t)head, FRAME_HEAD_BYTES};
    struct msghdr m = {.msg_iov = &piece, .msg_iovlen = 1};
    if (fd_count > 0) {
        m.msg_control = control.bytes;
        m.msg_controllen = CMSG_SPACE(fd_count * sizeof(int));
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(fd_count * sizeof(int));
        memcpy(CMSG_DATA(c), fds, fd_count * sizeof(int));
    }
    return sendmsg(fd, &m, MSG_NOSIGNAL) == FRAME_HEAD_BYTES;
}

bool frame_send(int fd, char kind, struct slice payload, const int *fds, unsigned fd_count, int timeout_ms) {
    char head[FRAME_HEAD_BYTES];
    uint64_t until_ns = clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
    if (payload.n > FRAME_BYTES_MAX || fd_count > FRAME_FDS_MAX) {
        errno = EMSGSIZE;
        return false;
    }
    memcpy(head, mark, sizeof mark);
    head[4] = kind;
    for (int i = 0; i < 8; i++) head[5 + i] = (char)((uint64_t)payload.n >> (8 * i));
    while (!head_send(fd, head, fds, fd_count))
        if ((errno != EAGAIN && errno != EINTR) || !wait_for(fd, POLLOUT, until_ns)) return false;
    return all_send(fd, payload, until_ns);
}

/* ---- receiving ---- */

static void fds_keep(struct msghdr *m, int *fds, unsigned *fd_count) {
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c != NULL; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS) continue;
        unsigned count = (unsigned)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
        for (unsigned i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(c) + i * sizeof fd, sizeof fd);
            if (fds != NULL && *fd_count < FRAME_FDS_MAX)
                fds[(*fd_count)++] = fd;
            else
                close(fd);
        }
    }
}

/* Reads what there is. 1: something came; 0: nothing yet; -1: the end. */
static int some_receive(int fd, struct buf *in, int *fds, unsigned *fd_count) {
    union {
        struct cmsghdr align;
        char bytes[CMSG_SPACE(FRAME_FDS_MAX * sizeof(int))];
    } control;
    char bytes[65536];
    struct iovec piece = {bytes, sizeof bytes};
    struct msghdr m = {
        .msg_iov = &piece, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (n < 0) return errno == EAGAIN || errno == EINTR ? 0 : -1;
    fds_keep(&m, fds, fd_count);
    buf_append(in, bytes, (size_t)n);
    if (n == 0) errno = ECONNRESET;
    return n > 0 ? 1 : -1;
}

bool frame_wait(int fd, struct buf *in, size_t *used, struct frame *f, int *fds, unsigned *fd_count, int timeout_ms) {
    uint64_t until_ns = clock_now_ns() + (uint64_t)timeout_ms * NS_PER_MS;
    unsigned none = 0;
    for (;;) {
        ssize_t size = buf_length(in) > 0 ? frame_take(buf_slice(in), f) : 0;
        if (size != 0) {
            *used = size > 0 ? (size_t)size : 0;
            errno = EPROTO;
            return size > 0;
        }
        int got = some_receive(fd, in, fds, fd_count != NULL ? fd_count : &none);
        if (got < 0 || (got == 0 && !wait_for(fd, POLLIN, until_ns))) return false;
    }
}

/* ---- ports ---- */

void ports_line_put(struct buf *out, const char *kind, const char *address) {
    buf_append_text(out, kind);
    buf_append(out, " ", 1);
    buf_append_text(out, address);
    buf_append(out, "\n", 1);
}

bool ports_line_take(struct slice *rest, struct slice *kind, struct slice *address) {
    const char *end = rest->n > 0 ? memchr(rest->p, '\n', rest->n) : NULL;
    if (end == NULL) return false;
    struct slice line = {rest->p, (size_t)(end - rest->p)};
    const char *space = memchr(line.p, ' ', line.n);
    if (space == NULL || space == line.p || space + 1 == end) return false;
    *kind = (struct slice){line.p, (size_t)(space - line.p)};
    *address = (struct slice){space + 1, (size_t)(end - space - 1)};
    *rest = (struct slice){end + 1, rest->n - line.n - 1};
    return true;
}
