/* Sending the request. Its head is written anew from the parsed parts, never copied; the body goes out as it came, with
 * at most a few edits spliced in, in windows of what the connection will queue, so that a large body is never copied
 * whole. A body that is still coming (pass-through) is framed again in chunks of weir's own. */
#include "base/buf.h"
#include "facts/span_ids.h"
#include "http/trace_context.h"
#include "http/write.h"
#include "pipeline/exchange.h"
#include "receive.h"
#include "send.h"
#include "steps.h"

enum { PIECES_MAX = 64 };

static bool provider_sets(const struct provider *p, struct slice name) {
    for (size_t i = 0; i < p->conf->headers.count; i++)
        if (slice_equal_nocase(p->conf->headers.items[i].name.text, name)) return true;
    return false;
}

static bool field_passes(const struct attempt *a, const struct field *f) {
    const struct http_head *head = &a->exchange->head;
    const struct provider *p = a->target->provider;
    if (f->id != FIELD_OTHER && field_way_request(f->id) != WAY_PASS) return false;
    if (head->first[FIELD_CONNECTION] != 0 && head_nominated(head, f->name)) return false;
    return p->conf->headers.count == 0 || !provider_sets(p, f->name);
}

static void field_copy(struct buf *out, const struct field *f) {
    char *at = buf_reserve(out, f->name.n + f->value.n + 4), *start = at;
    memcpy(at, f->name.p, f->name.n);
    at += f->name.n;
    *at++ = ':';
    *at++ = ' ';
    memcpy(at, f->value.p, f->value.n);
    at += f->value.n;
    *at++ = '\r';
    *at++ = '\n';
    buf_commit(out, (size_t)(at - start));
}

/* The provider's spans hang under this attempt's (Trace Context 4.3: a new parent-id, the rest kept). */
static void trace_write(const struct attempt *a, struct buf *out) {
    const struct exchange *x = a->exchange;
    struct trace_parent t = {.flags = x->trace_flags};
    char value[TRACEPARENT_BYTES];
    memcpy(t.trace_id, x->trace_id, sizeof t.trace_id);
    span_id_below(x->span_id, SPAN_ATTEMPT(a->n), t.parent_id);
    trace_parent_write(value, &t);
    write_field(out, SLICE("traceparent"), (struct slice){value, sizeof value});
    if (x->trace_state.n > 0) write_field(out, SLICE("tracestate"), x->trace_state);
    if (x->head.first[FIELD_BAGGAGE] == 0) return;
    struct buf baggage = {0};
    baggage_read(&x->head, &baggage);
    if (buf_length(&baggage) > 0) write_field(out, SLICE("baggage"), buf_slice(&baggage));
    buf_clear(&baggage);
}

static void head_compose(const struct attempt *a, struct buf *out) {
    const struct exchange *x = a->exchange;
    buf_append_slice(out, http_method_name(x->head.method));
    buf_append(out, " ", 1);
    buf_append_slice(out, a->path_out);
    buf_append_text(out, " HTTP/1.1\r\n");
    buf_append_slice(out, a->target->provider->fields);
    for (unsigned i = 0; i < x->head.field_count; i++)
        if (field_passes(a, &x->head.fields[i])) field_copy(out, &x->head.fields[i]);
    if (a->target->provider->conf->trusted) trace_write(a, out);
    if (x->body_mode == BODY_STREAMED && x->head.framing == FRAMING_CHUNKED) {
        buf_append_text(out, "transfer-encoding: chunked\r\n");
    } else if (x->head.framing != FRAMING_NONE || x->head.method == HTTP_POST) {
        uint64_t length = x->body_mode == BODY_HELD ? splice_length(&a->edits, x->body.length) : x->head.content_length;
        buf_append_text(out, "content-length: ");
        buf_append_u64(out, length);
        buf_append(out, "\r\n", 2);
    }
    buf_append(out, "\r\n", 2);
}

/* Pieces of the edited body from `from` on, at most CONN_HIGH_BYTES of them; *bytes says how many. */
static int body_gather(const struct attempt *a, uint64_t from, struct iovec *out, int max, size_t *bytes) {
    const struct body *body = &a->exchange->body;
    unsigned cursor = 0;
    uint64_t at = 0;
    int count = 0;
    struct splice_run run;
    *bytes = 0;
    while (count < max && *bytes < CONN_HIGH_BYTES && splice_next(&a->edits, body->length, &cursor, &run)) {
        uint64_t length = run.literal.p != NULL ? run.literal.n : run.n;
        uint64_t skip = from > at ? from - at : 0;
        at += length;
        if (skip >= length) continue;
        size_t covered = length - skip;
        if (run.literal.p != NULL) {
            out[count++] = (struct iovec){(void *)(uintptr_t)(run.literal.p + skip), covered};
        } else {
            size_t wanted = covered < CONN_HIGH_BYTES - *bytes ? covered : CONN_HIGH_BYTES - *bytes;
            count += body_iovec(body, run.offset + skip, wanted, out + count, max - count, &covered);
            *bytes += covered;
            if (covered < length - skip) break;
            continue;
        }
        *bytes += covered;
    }
    return count;
}

static enum send_result send_held(struct attempt *a, struct slice head) {
    uint64_t total = splice_length(&a->edits, a->exchange->body.length);
    enum send_result result = SEND_DONE;
    do {
        struct iovec pieces[PIECES_MAX];
        size_t bytes = 0;
        int count = 0;
        if (head.n > 0) pieces[count++] = (struct iovec){(void *)(uintptr_t)head.p, head.n};
        count += body_gather(a, a->body_sent, pieces + count, PIECES_MAX - count, &bytes);
        if (count > 0) result = conn_send(a->up->conn, pieces, count);
        a->body_sent += bytes;
        head.n = 0;
    } while (result == SEND_DONE && a->body_sent < total);
    return result;
}

static enum send_result send_streamed(struct attempt *a, struct slice head) {
    struct exchange *x = a->exchange;
    bool chunked = x->head.framing == FRAMING_CHUNKED, ends = x->received_ns != 0;
    struct iovec pieces[PIECES_MAX];
    char chunk[CHUNK_HEAD_MAX];
    size_t covered;
    int count = 0;
    if (head.n > 0) pieces[count++] = (struct iovec){(void *)(uintptr_t)head.p, head.n};
    if (chunked && x->body.length > 0) pieces[count++] = (struct iovec){chunk, write_chunk_head(chunk, x->body.length)};
    count += body_iovec(&x->body, 0, x->body.length, pieces + count, PIECES_MAX - count - 2, &covered);
    if (chunked && x->body.length > 0) pieces[count++] = (struct iovec){(void *)(uintptr_t) "\r\n", 2};
    if (chunked && ends && !a->end_sent) {
        pieces[count++] = (struct iovec){(void *)(uintptr_t) "0\r\n\r\n", 5};
        a->end_sent = true;
    }
    a->body_sent += x->body.length;
    enum send_result result = count > 0 ? conn_send(a->up->conn, pieces, count) : SEND_DONE;
    body_clear(&x->body, &x->worker->blocks);
    if (result == SEND_OVER)
        receive_body_pause(x);
    else
        receive_body_resume(x);
    return result;
}

/* More than the head can come to: each field may gain a space, and a length or a trace is added. */
static size_t head_bound(const struct attempt *a) {
    const struct http_head *head = &a->exchange->head;
    return head->raw.n + head->field_count + a->path_out.n + a->target->provider->fields.n + 256;
}

static void send_now(struct attempt *a) {
    struct exchange *x = a->exchange;
    struct worker *w = x->worker;
    bool fits = head_bound(a) <= sizeof w->scratch;
    struct buf head = {.data = fits ? w->scratch : NULL, .capacity = fits ? sizeof w->scratch : 0};
    if (!a->head_sent) {
        head_compose(a, &head);
        a->send_begun_ns = loop_stamp(w->loop);
        ledger_enter(&a->ledger, PHASE_SEND, a->send_begun_ns);
        a->head_sent = true;
    }
    enum send_result result =
        x->body_mode == BODY_HELD ? send_held(a, buf_slice(&head)) : send_streamed(a, buf_slice(&head));
    bool all_given =
        x->body_mode == BODY_HELD ? a->body_sent == splice_length(&a->edits, x->body.length) : x->received_ns != 0;
    a->progress_ns = loop_stamp(w->loop);
    if (all_given && result == SEND_DONE && conn_queued_bytes(a->up->conn) == 0) {
        a->sent = true;
        if (!a->head_done) a->send_ended_ns = a->progress_ns;
    }
    attempt_deadline(a);
    if (!fits) buf_clear(&head);
}

void send_rest(struct attempt *a) {
    if (!a->sent && a->up != NULL && conn_queued_bytes(a->up->conn) < CONN_LOW_BYTES) send_now(a);
}

enum step send_enter(struct exchange *x, struct attempt *a) {
    if (a->stale) return STEP_RETRY;
    if (a->failure != FAILURE_NONE) {
        x->failure = a->failure;
        return STEP_FAIL;
    }
    if (!a->sent && !a->head_done && (!a->head_sent || conn_queued_bytes(a->up->conn) < CONN_LOW_BYTES)) send_now(a);
    if (!a->sent && !a->head_done) return STEP_WAIT;
    if (!a->sent) { /* the answer has begun: the rest is not `send` any more, and who answers early may well close */
        a->send_ended_ns = x->worker->loop->now_ns;
        a->keep = false;
    }
    return STEP_NEXT;
}

void send_cancel(struct exchange *x, struct attempt *a) {
    (void)x;
    attempt_release(a, false);
}
