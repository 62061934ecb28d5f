/* runtime/frames.h: what the old process and the one that takes over say to each other, over a pair of sockets: frames
 * of a kind, a length and so many bytes; the first byte of one may bring file descriptors with it. */
#pragma once
#include <sys/types.h>

#include "base/buf.h"

#define FRAME_BYTES_MAX ((size_t)1 << 30)
enum { FRAME_HEAD_BYTES = 13, FRAME_FDS_MAX = 128 };

/*      kind         letter */
#define FRAMES(X)                                                                                                      \
    X(PORTS, 'P')   /* old: the listening sockets, one line each */                                                    \
    X(UP, 'U')      /* new: all started, ready to accept */                                                            \
    X(LIMITS, 'L')  /* old: accepts no more; the counts of limits */                                                   \
    X(SERVING, 'S') /* new: accepts */                                                                                 \
    X(NOTES, 'N')   /* old: what it still takes and settles */
#define FRAME_ENUM(id, letter) FRAME_##id = letter,
enum frame_kind { FRAMES(FRAME_ENUM) };
#undef FRAME_ENUM

struct frame {
    char kind;
    struct slice payload; /* borrowed from what it was taken from */
};

/* Takes the first one off: its size in all, 0 when more bytes are needed, -1 when this is no frame. */
ssize_t frame_take(struct slice bytes, struct frame *f);
/* Sends one, waiting for at most `timeout_ms` where the socket takes no more. False: not sent, errno says why. */
bool frame_send(int fd, char kind, struct slice payload, const int *fds, unsigned fd_count, int timeout_ms);
/* Waits for one; `in` keeps what came behind it. fds may be NULL. False: none came in time, or none will. */
bool frame_wait(int fd, struct buf *in, size_t *used, struct frame *f, int *fds, unsigned *fd_count, int timeout_ms);

/* ---- the payload of PORTS: "KIND ADDRESS\n" for each descriptor, in order ---- */
void ports_line_put(struct buf *out, const char *kind, const char *address);
/* Takes the first line off. False: it is none. */
bool ports_line_take(struct slice *rest, struct slice *kind, struct slice *address);
