/* The provider's answer: its head is judged by the same two gates as a request's, turned into the head the client gets,
 * and its body handed to the relay. The hard part is telling the ways an answer can end badly apart: before its first
 * byte on a pooled connection (worth a fresh one), before its head, in its middle, or after it was complete. */
#include "answer.h"

#include "base/clock.h"
#include "base/json_text.h"
#include "http/write.h"
#include "receive.h"
#include "relay.h"
#include "respond.h"
#include "send.h"
#include "steps.h"

enum { INTERIM_MAX = 8, ANSWER_HEAD_MAX = 65536 };

/* ---- what a status means ---- */

static enum failure status_failure(const struct exchange *x, unsigned status) {
    if (status < 300) return FAILURE_NONE;
    if (status == 304 && x->route.operation == OPERATION_PASSTHROUGH)
        return FAILURE_NONE; /* the client asked under a condition */
    if (status < 400 || status == 401 || status == 403 || status == 407)
        return status < 400 ? FAILURE_BAD_RESPONSE : FAILURE_PROVIDER_AUTH;
    if (status == 429) return FAILURE_RATE_LIMITED;
    if (status == 503 || status == 529) return FAILURE_OVERLOADED;
    return status >= 500 ? FAILURE_PROVIDER_ERROR : FAILURE_PROVIDER_REJECTED;
}

static bool is_relayed(enum failure f) {
    return f != FAILURE_BAD_RESPONSE && f != FAILURE_PROVIDER_AUTH;
}

/* ---- the head the client gets ---- */

static enum framing framing_choose(const struct exchange *x, const struct http_head *h, bool rewrites) {
    if (h->framing == FRAMING_NONE) return FRAMING_NONE;
    if (h->framing == FRAMING_LENGTH && !rewrites) return FRAMING_LENGTH;
    return x->head.http_1_0 ? FRAMING_CLOSE : FRAMING_CHUNKED;
}

static void field_relay(struct buf *out, const struct http_head *h, const struct field *f) {
    enum field_way way = f->id == FIELD_OTHER ? WAY_PASS : field_way_answer(f->id);
    if (way != WAY_PASS && way != WAY_RENAME) return;
    if (h->first[FIELD_CONNECTION] != 0 && head_nominated(h, f->name)) return;
    if (way == WAY_RENAME) buf_append_text(out, "x-weir-upstream-");
    buf_append_slice(out, f->name);
    buf_append(out, ": ", 2);
    buf_append_slice(out, f->value);
    buf_append(out, "\r\n", 2);
}

static void framing_write(struct exchange *x, const struct http_head *h, struct buf *out) {
    switch (x->answer_framing) {
    case FRAMING_LENGTH:
        buf_append_text(out, "content-length: ");
        buf_append_u64(out, h->content_length);
        buf_append(out, "\r\n", 2);
        break;
    case FRAMING_CHUNKED:
        buf_append_text(out, "transfer-encoding: chunked\r\n");
        if (x->head.te_trailers) buf_append_text(out, "trailer: server-timing\r\n");
        break;
    case FRAMING_CLOSE:
        x->keep_client = false;
        break;
    case FRAMING_NONE:
        if (x->head.method == HTTP_HEAD && h->first[FIELD_CONTENT_LENGTH] != 0)
            write_field(out, SLICE("content-length"), head_value(h, FIELD_CONTENT_LENGTH));
        break;
    }
    if (!x->keep_client)
        buf_append_text(out, "connection: close\r\n");
    else if (x->head.http_1_0)
        buf_append_text(out, "connection: keep-alive\r\n");
}

static void head_relay(struct exchange *x, const struct http_head *h, struct buf *out) {
    if (x->received_ns == 0) x->keep_client = false;
    write_status_line(out, h->status);
    for (unsigned i = 0; i < h->field_count; i++) field_relay(out, h, &h->fields[i]);
    respond_fields(x, out);
    bool busy = h->status == 429 || h->status == 503;
    if (busy && h->first[FIELD_RETRY_AFTER] == 0) write_field(out, SLICE("retry-after"), SLICE("1"));
    if (x->debug) {
        uint64_t ns = x->ledger.spent_ns[PHASE_ADMIT] + x->attempt.ledger.spent_ns[PHASE_QUEUE] +
                      x->ledger.spent_ns[PHASE_LOOP] + x->attempt.ledger.spent_ns[PHASE_LOOP];
        buf_append_text(out, "x-weir-overhead-ms: ");
        json_text_ms(out, ns);
        buf_append(out, "\r\n", 2);
    }
    framing_write(x, h, out);
    buf_append(out, "\r\n", 2);
}

/* Milliseconds with decimals, as some providers tell their own processing time. */
static uint64_t ms_field_ns(struct slice value) {
    const char *dot = memchr(value.p, '.', value.n);
    uint64_t whole = 0;
    struct slice digits = {value.p, dot ? (size_t)(dot - value.p) : value.n};
    return slice_to_u64(digits, &whole) && whole < UINT64_C(1) << 40 ? whole * NS_PER_MS : 0;
}

static void facts_keep(struct exchange *x, const struct http_head *h) {
    static const enum field_id ids[] = {FIELD_X_REQUEST_ID, FIELD_REQUEST_ID};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0] && x->provider_request_id.n == 0; i++)
        if (h->first[ids[i]] != 0) x->provider_request_id = exchange_copy(x, head_value(h, ids[i]));
    static const enum field_id times[] = {FIELD_OPENAI_PROCESSING_MS, FIELD_X_ENVOY_UPSTREAM_SERVICE_TIME};
    for (size_t i = 0; i < sizeof times / sizeof times[0] && x->provider_ns == 0; i++)
        if (h->first[times[i]] != 0) x->provider_ns = ms_field_ns(head_value(h, times[i]));
}

/* The answer begins: decides how its body is looked at and relayed, and writes the client's head in front of it. */
static void answer_begin(struct exchange *x, const struct http_head *h, struct outgoing *out) {
    struct attempt *a = &x->attempt;
    struct slice type = head_value(h, FIELD_CONTENT_TYPE);
    enum failure f = status_failure(x, h->status);
    if (f != FAILURE_NONE) {
        x->failure = f;
        x->source = SOURCE_PROVIDER;
        if (x->target->provider->secret.n > 0) relay_redact_begin(x);
    } else if (h->framing != FRAMING_NONE) {
        x->observer = observer_init(x->scan_memory, x->route.dialect, x->route.operation, x->stream, type, h->status);
        if (x->usage_injected && observer_shape(x->observer) == ANSWER_SSE) x->relay = RELAY_EVENTS;
    }
    bool sse = x->observer != NULL && observer_shape(x->observer) == ANSWER_SSE;
    x->status = (uint16_t)h->status;
    x->answer_framing = framing_choose(x, h, x->relay == RELAY_EVENTS || (x->debug && sse));
    body_reader_init(&a->reader, h->framing, h->content_length);
    head_relay(x, h, &out->flat);
    x->answered = true;
    a->head_done = true;
    if (a->sent) body_clear(&x->body, &x->worker->blocks); /* nobody will ask for it again */
    a->keep = h->keep_alive && h->framing != FRAMING_CLOSE;
}

/* ---- its bytes ---- */

/* Takes one head off the bytes. Returns how many were used; 0 with nothing failed: more are needed. */
static size_t head_take(struct exchange *x, struct slice seen, struct http_head *h) {
    struct attempt *a = &x->attempt;
    static const struct head_limits limits = {8192, ANSWER_HEAD_MAX, 200};
    size_t length = head_end(seen.p, seen.n, &a->head_scanned);
    if (length == 0) {
        a->failure = head_check_partial_answer(seen.p, seen.n, &limits);
        return 0;
    }
    a->head_scanned = 0;
    a->failure =
        head_parse_answer(h, (struct slice){seen.p, length}, x->worker->fields, &limits, x->head.method == HTTP_HEAD);
    if (a->failure == FAILURE_NONE && (h->status == 101 || (h->status < 200 && ++a->interim_count > INTERIM_MAX)))
        a->failure = FAILURE_BAD_RESPONSE;
    return length;
}

static void head_bytes(struct exchange *x, struct slice *bytes, struct outgoing *out) {
    struct attempt *a = &x->attempt;
    bool partial = buf_length(&a->head_part) > 0;
    size_t before = buf_length(&a->head_part);
    if (partial) buf_append_slice(&a->head_part, *bytes);
    struct slice seen = partial ? buf_slice(&a->head_part) : *bytes;
    size_t used = 0;
    struct http_head h;
    while (!a->head_done && a->failure == FAILURE_NONE) {
        size_t length = head_take(x, (struct slice){seen.p + used, seen.n - used}, &h);
        if (length == 0 || a->failure != FAILURE_NONE) break;
        used += length;
        if (h.status < 200) continue;
        a->head_ns = x->worker->loop->wake_ns;
        a->status = (uint16_t)h.status;
        facts_keep(x, &h);
        enum failure f = status_failure(x, h.status);
        if (f != FAILURE_NONE && !is_relayed(f))
            a->failure = f;
        else
            answer_begin(x, &h, out);
    }
    if (a->head_done) {
        *bytes = (struct slice){bytes->p + (used - before), bytes->n - (used - before)};
        buf_clear(&a->head_part);
    } else if (partial) {
        buf_consume(&a->head_part, used);
        bytes->n = 0;
    } else {
        buf_append(&a->head_part, seen.p + used, seen.n - used);
        bytes->n = 0;
    }
}

static void answer_bytes(struct exchange *x, const char *p, size_t n) {
    struct attempt *a = &x->attempt;
    struct outgoing out;
    struct slice bytes = {p, n};
    outgoing_begin(&out, x->worker);
    a->any_byte = true;
    if (!a->head_done) head_bytes(x, &bytes, &out);
    if (a->head_done && a->failure == FAILURE_NONE) relay_bytes(x, &out, bytes);
    if (!x->upstream_paused) attempt_deadline(x);
    stage_run(x);
}

static size_t answer_on_bytes(struct conn *c, const char *p, size_t n) {
    struct upstream *u = c->owner;
    struct exchange *x = u->user;
    exchange_callback_begin(x);
    upstream_heard(u);
    answer_bytes(x, p, n);
    exchange_callback_end(x);
    return n;
}

/* ---- its connection ---- */

static void answer_on_ready(struct conn *c) {
    struct upstream *u = c->owner;
    struct exchange *x = u->user;
    if (c->tls != NULL) ledger_enter(&x->attempt.ledger, PHASE_TLS, c->connected_ns);
    exchange_callback_begin(x);
    x->attempt.connected = true;
    stage_run(x);
    exchange_callback_end(x);
}

static void answer_on_drained(struct conn *c) {
    struct upstream *u = c->owner;
    struct exchange *x = u->user;
    exchange_callback_begin(x);
    x->attempt.progress_ns = x->worker->loop->now_ns;
    stage_run(x);
    exchange_callback_end(x);
}

/* May the request be given once more, on a fresh connection, without anybody noticing? */
static bool is_stale(const struct exchange *x) {
    const struct attempt *a = &x->attempt;
    bool replayable = x->body_mode == BODY_HELD || a->body_sent == 0;
    return a->reused && !a->any_byte && replayable && x->client != NULL;
}

static enum failure end_failure(const struct exchange *x, bool clean) {
    const struct attempt *a = &x->attempt;
    if (!a->head_done) return a->any_byte && clean ? FAILURE_BAD_RESPONSE : FAILURE_RESET;
    return FAILURE_TRUNCATED;
}

/* The stream's own terminator has passed: nobody misses what is missing of the framing behind it. */
static bool is_over(const struct exchange *x) {
    return x->stream && x->observer != NULL && x->answer_framing != FRAMING_LENGTH &&
           observer_seen(x->observer)->terminated;
}

/* The provider's side has ended; `clean`: by an orderly end. */
static void answer_ended(struct exchange *x, bool clean) {
    struct attempt *a = &x->attempt;
    if (a->head_done && ((clean && body_reader_end(&a->reader) == BODY_DONE) || is_over(x))) {
        struct outgoing out;
        outgoing_begin(&out, x->worker);
        a->keep = false;
        relay_end(x, &out);
    } else if (is_stale(x)) {
        a->stale = true;
    } else if (a->failure == FAILURE_NONE) {
        a->failure = end_failure(x, clean);
    }
}

static void answer_on_eof(struct conn *c) {
    struct upstream *u = c->owner;
    struct exchange *x = u->user;
    exchange_callback_begin(x);
    answer_ended(x, true);
    if (x->attempt.failure != FAILURE_NONE && !x->settled)
        exchange_fail(x, x->attempt.failure);
    else
        stage_run(x);
    exchange_callback_end(x);
}

static void answer_on_close(struct conn *c, enum close_reason why) {
    struct upstream *u = c->owner;
    struct exchange *x = u->user;
    struct attempt *a = &x->attempt;
    if (why == CLOSE_TLS_FAILED && !a->connected) ledger_enter(&a->ledger, PHASE_TLS, c->connected_ns);
    exchange_callback_begin(x);
    u->conn = NULL;
    a->up = NULL;
    pool_discard(u);
    if (!a->connected) {
        a->failure = why == CLOSE_TLS_FAILED || why == CLOSE_TRUNCATED ? FAILURE_TLS_FAILED : FAILURE_CONNECT_FAILED;
        stage_run(x);
    } else {
        answer_ended(x, false);
        if (a->failure != FAILURE_NONE && !a->stale)
            exchange_fail(x, a->failure);
        else
            stage_run(x);
    }
    exchange_callback_end(x);
}

static void answer_on_deadline(struct conn *c) {
    conn_deadline_set(c, TIMER_NEVER);
}

const struct conn_ops answer_ops = {.on_ready = answer_on_ready,
                                    .on_bytes = answer_on_bytes,
                                    .on_drained = answer_on_drained,
                                    .on_eof = answer_on_eof,
                                    .on_deadline = answer_on_deadline,
                                    .on_close = answer_on_close};

/* ---- stages: wait, stream ---- */

static bool content_begun(const struct exchange *x) {
    if (x->attempt.answer_done) return true;
    if (!x->stream || x->observer == NULL) return x->attempt.first_byte_ns != 0;
    return observer_started(x->observer);
}

static enum step attempt_check(struct exchange *x, struct attempt *a) {
    if (a->stale) return STEP_RETRY;
    if (a->failure == FAILURE_NONE) return STEP_NEXT;
    x->failure = a->failure;
    return STEP_FAIL;
}

enum step wait_enter(struct exchange *x, struct attempt *a) {
    enum step checked = attempt_check(x, a);
    if (checked != STEP_NEXT) return checked;
    if (!a->sent && !a->answer_done) send_rest(x);
    return content_begun(x) ? STEP_NEXT : STEP_WAIT;
}

void wait_cancel(struct exchange *x, struct attempt *a) {
    (void)a;
    attempt_release(x, false);
}

enum step stream_enter(struct exchange *x, struct attempt *a) {
    enum step checked = attempt_check(x, a);
    if (checked != STEP_NEXT) return checked;
    if (!a->answer_done) {
        if (!a->sent) send_rest(x);
        if (x->upstream_paused) exchange_phase(x, PHASE_DRAIN, x->worker->loop->now_ns);
        return STEP_WAIT;
    }
    attempt_release(x, a->keep && a->sent);
    return STEP_NEXT;
}

void stream_cancel(struct exchange *x, struct attempt *a) {
    (void)a;
    attempt_release(x, false);
}
