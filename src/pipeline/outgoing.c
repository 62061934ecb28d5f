/* Gathering one turn's bytes for the client. The chunk's size is known only when its last piece is, and is written into
 * room that was left in front of the first. */
#include "outgoing.h"

#include <assert.h>

#include "hold.h"
#include "receive.h"

void outgoing_begin(struct outgoing *out, struct worker *w) {
    out->flat = (struct buf){.data = w->scratch, .capacity = sizeof w->scratch};
    out->run_from = 0;
    out->count = 0;
    out->chunk_piece = out->body_piece = -1;
    out->body_bytes = out->body_skip = out->head_bytes = 0;
}

static void piece_add(struct outgoing *out, const char *p, size_t n) {
    assert(out->count < OUTGOING_PIECES_MAX);
    out->pieces[out->count++] = (struct iovec){(void *)(uintptr_t)p, n};
}

void outgoing_run_close(struct outgoing *out) {
    if (out->flat.end == out->run_from) return;
    piece_add(out, out->flat.data + out->run_from, out->flat.end - out->run_from);
    out->run_from = out->flat.end;
}

static void chunk_open(struct outgoing *out) {
    outgoing_run_close(out);
    out->chunk_piece = out->count;
    out->flat.end += CHUNK_HEAD_MAX;
}

static void chunk_close(struct outgoing *out) {
    char size[CHUNK_HEAD_MAX];
    size_t n = write_chunk_head(size, out->body_bytes), unused = CHUNK_HEAD_MAX - n;
    struct iovec *piece = &out->pieces[out->chunk_piece];
    piece->iov_base = (char *)piece->iov_base + unused;
    piece->iov_len -= unused;
    memcpy(piece->iov_base, size, n);
    out->chunk_piece = -1;
}

static void body_begin(const struct attempt *a, struct outgoing *out) {
    if (a->framing == FRAMING_CHUNKED) chunk_open(out);
    out->body_piece = out->count;
    out->body_skip = a->framing == FRAMING_CHUNKED ? CHUNK_HEAD_MAX : out->flat.end - out->run_from;
}

static bool has_room(const struct outgoing *out, size_t n) {
    return out->flat.capacity - out->flat.end >= n + 2 * CHUNK_HEAD_MAX && out->count < OUTGOING_PIECES_MAX - 8;
}

void outgoing_body(struct attempt *a, struct outgoing *out, struct slice data) {
    if (data.n == 0) return;
    bool copy = data.n <= OUTGOING_COPY_MAX;
    if (!has_room(out, copy ? data.n : 0)) outgoing_flush(a, out, SLICE(""));
    if (out->body_bytes == 0) body_begin(a, out);
    out->body_bytes += data.n;
    if (copy) {
        buf_append_slice(&out->flat, data);
    } else {
        outgoing_run_close(out);
        piece_add(out, data.p, data.n);
    }
}

static void pieces_send(struct attempt *a, struct outgoing *out) {
    struct exchange *x = a->exchange;
    enum send_result result = conn_send(x->client->conn, out->pieces, out->count);
    if (result == SEND_QUEUED || result == SEND_OVER) receive_client_queued(x);
    if (result != SEND_OVER || a->up == NULL || x->upstream_paused) return;
    x->upstream_paused = true;
    conn_read_pause(a->up->conn);
}

void outgoing_flush(struct attempt *a, struct outgoing *out, struct slice end) {
    struct exchange *x = a->exchange;
    if (a->holding && hold_keeps(a, out)) {
        outgoing_begin(out, x->worker);
        return;
    }
    bool chunk = out->body_bytes > 0 && a->framing == FRAMING_CHUNKED;
    if (chunk) buf_append(&out->flat, "\r\n", 2);
    bool end_fits = end.n <= out->flat.capacity - out->flat.end;
    if (end_fits) buf_append_slice(&out->flat, end);
    outgoing_run_close(out);
    if (out->chunk_piece >= 0) chunk_close(out);
    if (!end_fits) piece_add(out, end.p, end.n);
    x->response_bytes += out->body_bytes;
    if (out->count > 0 && x->client != NULL && x->client->conn != NULL) pieces_send(a, out);
    if (buf_length(&a->stash) > 0) buf_clear(&a->stash);
    outgoing_begin(out, x->worker);
}
