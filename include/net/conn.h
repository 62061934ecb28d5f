/* net/conn.h: one socket, plain or TLS, on a worker's loop.
 *
 * OWNED BY its loop: the owner (an exchange, a pool, a server) only borrows it. conn_close() takes the fd out of the
 * loop and closes it at once, never calls back, and leaves the memory to the end of the turn. No downward call calls
 * back: every conn_ops function is called from the loop and from nowhere else. After on_close the owner must forget the
 * conn.
 *
 * Reading: bytes come from a scratch buffer that is valid during the call only; on_bytes returns how many it took.
 * Fewer than given: the rest is kept in `in`, and reading pauses until conn_read_resume(), which gives them again.
 * Writing: conn_send() sends at once and queues what the socket does not take.
 * Ends: the peer's orderly end is on_eof (the conn can still send); everything else is on_close. */
#pragma once
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/buf.h"
#include "net/loop.h"

struct tls;         /* net/tls.h: this connection's TLS state */
struct tls_context; /* crypto/tls_context.h */

enum close_reason {
    CLOSE_RESET,
    CLOSE_TLS_FAILED,
    CLOSE_TRUNCATED /* TLS ended without close_notify */,
    CLOSE_CONNECT_FAILED
};
enum send_result {
    SEND_DONE,   /* all of it is in the socket */
    SEND_QUEUED, /* some is queued: on_drained will come */
    SEND_OVER,   /* … and the queue is over CONN_HIGH_BYTES: stop the source until on_drained */
    SEND_FAILED, /* the socket is broken; on_close comes from the loop, nothing was called here */
};
#define CONN_HIGH_BYTES ((size_t)262144)
#define CONN_LOW_BYTES ((size_t)65536)

struct conn;
struct conn_ops { /* static const, one per role */
    /* Connected and, with TLS, handshake done and peer verified; not for accepted plain ones. */
    void (*on_ready)(struct conn *c);
    void (*on_connected)(struct conn *c); /* may be NULL: TCP is up, its TLS handshake begins; connected ones only */
    size_t (*on_bytes)(struct conn *c, const char *p, size_t n);
    /* The output queue fell to empty, or from over HIGH to below LOW; may be NULL. */
    void (*on_drained)(struct conn *c);
    /* The peer will send no more, and said so properly; all it sent was given before. */
    void (*on_eof)(struct conn *c);
    /* At most once, may be NULL: reading is paused with bytes still to be given, and the peer has ended or reset behind
     * them; on_eof or on_close comes when those are read. */
    void (*on_hangup)(struct conn *c);
    void (*on_deadline)(struct conn *c);                     /* the instant given to conn_deadline_set() has passed */
    void (*on_close)(struct conn *c, enum close_reason why); /* only closes nobody here asked for */
};

struct conn {
    struct event rd, wr; /* wr doubles as the edge-triggered watch for a peer that leaves while nothing is read */
    struct loop *loop;
    const struct conn_ops *ops;
    void *owner;        /* borrowed; the ops' business */
    struct tls *tls;    /* owned; NULL = plain */
    struct buf in, out; /* owned; empty buffers hold no memory */
    struct timer deadline;
    struct loop_task redrive;  /* gives kept bytes again; tells a failed send */
    struct conn *next, **link; /* in the loop's list of open conns, then in that of closed ones */
    int fd, error;             /* error: the errno that broke it, 0 none */
    bool connecting, handshaking, reading /* wanted by the owner */, read_armed, writing, watching;
    bool eof_seen /* read from the socket */, eof_told, hangup_told, closing, broken, over_high, drain_owed;
    uint64_t opened_ns, connected_ns, ready_ns; /* connect began, TCP up, ready (TLS done) */
    uint64_t linger_mark;                       /* bytes_flushed when lingering last saw progress; or its own end */
    uint64_t bytes_flushed;                     /* taken by the socket, as sent (with TLS: encrypted) */
    uint64_t bytes_in, bytes_out;               /* plaintext given by and to the peer */
    uint64_t rtt_ns, rtt_read_ns;               /* the last round-trip time read, and when */
};

/* Takes over an accepted, non-blocking fd. With a TLS context the handshake runs first and on_ready tells its end. Sets
 * TCP_NODELAY. Reading is armed. Never NULL. */
struct conn *conn_accept(struct loop *l, int fd, struct tls_context *tls, const struct conn_ops *ops, void *owner);
/* Starts connecting. `host` (for SNI and verification) is used with TLS only. Returns NULL with errno set when no
 * socket could be made (EMFILE …); a refused connection is reported by on_close from the loop. */
struct conn *conn_connect(struct loop *l, const struct sockaddr *address, socklen_t length, struct tls_context *tls,
                          const char *host, const struct conn_ops *ops, void *owner);
void conn_owner_set(struct conn *c, const struct conn_ops *ops, void *owner);

/* One send for all pieces. Pieces are copied when they must be queued; the caller keeps its memory. */
enum send_result conn_send(struct conn *c, const struct iovec *pieces, int count);
enum send_result conn_send_slice(struct conn *c, struct slice s);
static inline size_t conn_queued_bytes(const struct conn *c) {
    return buf_length(&c->out);
}
void conn_read_pause(struct conn *c);
void conn_read_resume(struct conn *c); /* gives kept bytes again by a deferred task, never inside this call */
/* Bytes the owner wants given (again) by on_bytes later, as if they had just come: a pipelined request, say. */
void conn_unread(struct conn *c, const char *p, size_t n);
void conn_deadline_set(struct conn *c, uint64_t at_ns); /* TIMER_NEVER: none */
void conn_close(struct conn *c); /* at once; queued output is lost; TLS says close_notify when it can */
void conn_abort(struct conn *c); /* as close, but the peer sees a reset: an answer that must not look complete */
/* Sends what is queued (as long as the peer takes some every 10 s), then shuts down the sending side, discards what
 * still comes for at most 64 KiB or 2 s, closes. The conn is no longer the caller's: no ops function is called any
 * more. (RFC 9112 9.6) */
void conn_close_lingering(struct conn *c);
/* For what must not look complete where only the connection's end tells: waits (10 s at most) until the peer has
 * acknowledged all that was sent, then resets. Nothing may be queued. As above, the conn is no longer the caller's. */
void conn_abort_lingering(struct conn *c);
/* Why it failed, for logs, also within on_close; "" when nothing failed. */
void conn_error_text(const struct conn *c, char *out, size_t out_bytes);
/* What is received may be acknowledged late, together with what follows, until the kernel had to wait for that in vain
 * (tcp(7), TCP_QUICKACK). For a peer that sends a stream of small segments. */
void conn_acks_put_off(struct conn *c);
bool conn_tls_reused(const struct conn *c); /* a resumed TLS session */
/* The shortest round trip that the kernel has seen of late (TCP_INFO), at most 250 ms old; 0 when unknown. */
uint64_t conn_rtt_ns(struct conn *c);
/* The peer's address without port, an IPv4 one never in IPv6 clothes; returns its length, 0 when unknown. */
size_t conn_peer_text(const struct conn *c, char out[INET6_ADDRSTRLEN]);
size_t loop_conn_count(const struct loop *l); /* open connections on this loop */
