/* The TLS side of a connection: handshakes (at most a few a turn, they cost hundreds of microseconds each), decrypting
 * all that one recv brought before anything is given, gathering pieces into full records. `out` holds ciphertext here.
 */
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "conn_private.h"
#include "tls.h"

static char *plain_scratch(struct loop *l) {
    if (l->tls_scratch == NULL) l->tls_scratch = mem_alloc(LOOP_SCRATCH_BYTES + TLS_RECORD_BYTES);
    return l->tls_scratch;
}

static char *record_scratch(struct loop *l) {
    return plain_scratch(l) + LOOP_SCRATCH_BYTES;
}

/* Sends what was just encrypted. Output that was queued before has the writable event to bring it on, and the owner
 * waits for on_drained from there: it must not be emptied here. */
static void push_out(struct conn *c, bool was_empty) {
    if (c->broken || c->closing || buf_length(&c->out) == 0) return;
    if (was_empty) conn_write_out(c);
    if (!c->broken && buf_length(&c->out) > 0) conn_write_arm(c);
}

static void tls_broke(struct conn *c) {
    if (!c->broken && buf_length(&c->out) > 0) conn_write_out(c); /* the alert that tells the peer why */
    conn_fail(c, CLOSE_TLS_FAILED);
}

static void early_encrypt(struct conn *c) {
    struct buf early = c->tls->early;
    c->tls->early = (struct buf){0};
    if (buf_length(&early) > 0 && tls_write(c->tls, early.data + early.start, buf_length(&early), &c->out))
        c->bytes_out += buf_length(&early);
    buf_clear(&early);
}

/* False when there is nothing to read after it: not done yet, failed, or closed by the owner. */
static bool handshake_step(struct conn *c) {
    bool was_empty = buf_length(&c->out) == 0;
    c->loop->handshakes++;
    enum tls_result result = tls_handshake(c->tls, &c->out);
    if (result == TLS_FAILED) {
        tls_broke(c);
        return false;
    }
    if (result == TLS_MORE) {
        push_out(c, was_empty);
        conn_read_arm(c);
        return false;
    }
    c->handshaking = false;
    early_encrypt(c);
    push_out(c, was_empty);
    conn_ready(c, loop_stamp(c->loop));
    if (!c->closing && !c->broken && c->drain_owed) conn_flush(c);
    return !c->closing;
}

void conn_tls_step(struct conn *c) {
    if (c->tls->begun || c->loop->handshakes >= HANDSHAKES_PER_TURN) return; /* writable stays armed: it comes again */
    handshake_step(c);
}

/* Decrypts until the input is used up. One on_bytes for as many records as fit the scratch. */
static enum tls_result decrypt_and_give(struct conn *c) {
    char *plain = plain_scratch(c->loop);
    size_t filled = 0, n = 0;
    enum tls_result result;
    do {
        result = tls_read(c->tls, plain + filled, LOOP_SCRATCH_BYTES - filled, &n, &c->out);
        filled += n;
    } while (result == TLS_DONE && filled < LOOP_SCRATCH_BYTES && tls_has_more(c->tls));
    if (result == TLS_DONE && !tls_has_more(c->tls)) result = TLS_MORE;
    if (filled > 0) conn_give(c, plain, filled);
    return result;
}

void conn_tls_received(struct conn *c, size_t n) {
    if (n == 0) {
        conn_fail(c, c->handshaking ? CLOSE_TLS_FAILED : CLOSE_TRUNCATED);
        return;
    }
    c->tls->source = c->loop->scratch;
    c->tls->source_bytes = n;
    if (c->handshaking && !handshake_step(c)) return;
    bool was_empty = buf_length(&c->out) == 0;
    enum tls_result result;
    do result = decrypt_and_give(c);
    while (result == TLS_DONE && !c->closing);
    if (c->closing) return;
    if (result == TLS_FAILED) {
        tls_broke(c);
        return;
    }
    push_out(c, was_empty);
    if (result == TLS_ENDED) conn_eof(c);
}

/* Pieces smaller than a record are gathered: one record, one set of overhead. */
static bool encrypt(struct conn *c, const struct iovec *pieces, int count) {
    char *record = record_scratch(c->loop);
    size_t filled = 0;
    bool good = true;
    for (int i = 0; i < count && good; i++) {
        const char *p = pieces[i].iov_base;
        for (size_t left = pieces[i].iov_len; left > 0 && good;) {
            size_t room = TLS_RECORD_BYTES - filled, n = left < room ? left : room;
            if (filled == 0 && (n == TLS_RECORD_BYTES || i == count - 1)) {
                good = tls_write(c->tls, p, n, &c->out);
            } else {
                memcpy(record + filled, p, n);
                filled += n;
            }
            p += n;
            left -= n;
            c->bytes_out += n;
            if (filled == TLS_RECORD_BYTES) {
                good = tls_write(c->tls, record, filled, &c->out);
                filled = 0;
            }
        }
    }
    return good && (filled == 0 || tls_write(c->tls, record, filled, &c->out));
}

enum send_result conn_tls_send(struct conn *c, const struct iovec *pieces, int count) {
    if (c->connecting || c->handshaking) {
        for (int i = 0; i < count; i++) buf_append(&c->tls->early, pieces[i].iov_base, pieces[i].iov_len);
        return SEND_QUEUED;
    }
    bool was_empty = buf_length(&c->out) == 0;
    if (!encrypt(c, pieces, count)) {
        conn_break(c, EIO);
        return SEND_FAILED;
    }
    push_out(c, was_empty);
    if (c->broken) return SEND_FAILED;
    return buf_length(&c->out) > 0 ? SEND_QUEUED : SEND_DONE;
}

void conn_tls_farewell(struct conn *c) {
    if (c->tls == NULL || c->broken || c->connecting || c->handshaking || buf_length(&c->out) > 0) return;
    tls_farewell(c->tls, &c->out);
    if (buf_length(&c->out) > 0) conn_write_out(c);
}
