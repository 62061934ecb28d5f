/* Holding an answer back. The usual answer brings its head and its first token in one read: then nothing is copied. Or
 * the token comes later: then the head's fixed part is copied once, with what came behind it. The part of the head that
 * weir adds (its timings, the number of tries) is written when it goes out in either case, so that it is true then. */
#include "hold.h"

#include <assert.h>

#include "answer.h"
#include "relay.h"

enum { STASH_BYTES = 2048 }; /* a usual head and a first event */

static bool content_has_begun(const struct attempt *a) {
    if (a->refused != FAILURE_NONE) return false; /* an error: its end tells whether it is worth another try */
    if (a->observer == NULL) return a->first_byte_ns != 0;
    return observer_started(a->observer) || observer_seen(a->observer)->failed;
}

/* Framing is made when it goes out: the room for a chunk's size is left behind, and weir's own part of the head. */
static void stash_add(struct attempt *a, const struct outgoing *out) {
    if (out->head_bytes > 0) {
        assert(buf_length(&a->stash) == 0);
        buf_reserve(&a->stash, STASH_BYTES);
        buf_append(&a->stash, out->flat.data, out->head_bytes);
        a->stash_head_bytes = out->head_bytes;
    }
    for (int i = out->body_piece; i >= 0 && i < out->count; i++) {
        size_t skipped = i == out->body_piece ? out->body_skip : 0;
        buf_append(&a->stash, (const char *)out->pieces[i].iov_base + skipped, out->pieces[i].iov_len - skipped);
    }
}

static void pieces_insert(struct outgoing *out, int at, const struct iovec *pieces, int count) {
    assert(out->count + count <= OUTGOING_PIECES_MAX);
    memmove(out->pieces + at + count, out->pieces + at, (size_t)(out->count - at) * sizeof *pieces);
    memcpy(out->pieces + at, pieces, (size_t)count * sizeof *pieces);
    out->count += count;
}

/* Between the head's fixed part and the body comes what is written now. It stands at the end of `flat`, but goes out in
 * its place. `kept_bytes`: of the body, from before; the chunk that they are part of is opened anew. */
static struct iovec own_put(struct attempt *a, struct outgoing *out, size_t kept_bytes) {
    size_t at = out->flat.end;
    answer_head_own(a, &out->flat);
    if (kept_bytes > 0 && a->framing == FRAMING_CHUNKED) {
        if (out->chunk_piece >= 0) {
            struct iovec *first = &out->pieces[out->chunk_piece];
            *first = (struct iovec){(char *)first->iov_base + CHUNK_HEAD_MAX, first->iov_len - CHUNK_HEAD_MAX};
            out->chunk_piece = -1;
        }
        out->flat.end += write_chunk_head(buf_reserve(&out->flat, CHUNK_HEAD_MAX), out->body_bytes + kept_bytes);
    }
    assert(out->flat.data == a->exchange->worker->scratch);
    out->run_from = out->flat.end;
    return (struct iovec){out->flat.data + at, out->flat.end - at};
}

/* The head is the first piece. */
static void head_complete(struct attempt *a, struct outgoing *out) {
    struct iovec own = own_put(a, out, 0);
    pieces_insert(out, 1, &own, 1);
    if (out->chunk_piece >= 0) out->chunk_piece++;
}

static void stash_put(struct attempt *a, struct outgoing *out) {
    struct slice kept = buf_slice(&a->stash);
    size_t head = a->stash_head_bytes, body = kept.n - head;
    struct iovec own = own_put(a, out, body);
    const struct iovec pieces[] = {{(void *)(uintptr_t)kept.p, head}, own, {(void *)(uintptr_t)(kept.p + head), body}};
    pieces_insert(out, 0, pieces, 3);
    if (out->chunk_piece >= 0) out->chunk_piece += 3;
    out->body_bytes += body;
}

bool hold_keeps(struct attempt *a, struct outgoing *out) {
    size_t bytes = buf_length(&a->stash) + out->head_bytes + out->body_bytes;
    outgoing_run_close(out);
    if (!a->released && !content_has_begun(a) && bytes <= HOLD_BYTES_MAX) {
        stash_add(a, out);
        return true;
    }
    if (buf_length(&a->stash) > 0)
        stash_put(a, out);
    else if (out->head_bytes > 0)
        head_complete(a, out);
    answer_commit(a);
    return false;
}

void hold_release(struct attempt *a) {
    struct outgoing out;
    if (!a->holding) return;
    outgoing_begin(&out, a->exchange->worker);
    a->released = true;
    outgoing_flush(a, &out, SLICE(""));
    relay_written(a);
}
