/* The provider's answer: its head is judged by the same two gates as a request's, turned into the head the client gets,
 * and its body handed to the relay. The hard part is telling the ways an answer can end badly apart: before its first
 * byte on a pooled connection (worth a fresh one), before its head, in its middle, or after it was complete. */
#include "answer.h"

#include "base/clock.h"
#include "base/json_text.h"
#include "complaint.h"
#include "failover.h"
#include "http/write.h"
#include "receive.h"
#include "redact.h"
#include "relay.h"
#include "race.h"
#include "respond.h"
#include "retry_hint.h"
#include "send.h"
#include "steps.h"
#include "targets.h"

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

static void framing_write(struct attempt *a, const struct http_head *h, struct buf *out) {
    struct exchange *x = a->exchange;
    switch (a->framing) {
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

/* An error may repeat in its fields what it was sent, as well as in its body. */
static void head_redact(struct attempt *a, struct buf *out, size_t from) {
    struct slice secret = a->target->provider->secret;
    if (a->refused == FAILURE_NONE || secret.n == 0) return;
    struct redactor *r = redactor_new(&a->exchange->arena, secret);
    char *at = out->data + out->start + from;
    struct slice ready = redact_take(r, (struct slice){at, buf_length(out) - from}), rest = redact_end(r);
    memcpy(at, ready.p, ready.n);
    memcpy(at + ready.n, rest.p, rest.n);
}

/* What of the head stays true however long it waits. */
static void head_fixed(struct attempt *a, const struct http_head *h, struct buf *out) {
    struct exchange *x = a->exchange;
    if (x->received_ns == 0 || exchange_is_last(x)) x->keep_client = false;
    write_status_line(out, h->status);
    size_t fields_at = buf_length(out);
    for (unsigned i = 0; i < h->field_count; i++) field_relay(out, h, &h->fields[i]);
    head_redact(a, out, fields_at);
    if (h->first[FIELD_DATE] == 0) write_date(out, clock_wall_ns(x->worker->loop->now_ns) / (int64_t)NS_PER_S);
    bool busy = h->status == 429 || h->status == 503;
    if (busy && h->first[FIELD_RETRY_AFTER] == 0) write_field(out, SLICE("retry-after"), SLICE("1"));
    framing_write(a, h, out);
}

void answer_head_own(struct attempt *a, struct buf *out) {
    struct exchange *x = a->exchange;
    respond_fields(x, a, out);
    if (x->debug) {
        uint64_t ns = x->ledger.spent_ns[PHASE_ADMIT] + x->ledger.spent_ns[PHASE_QUEUE] +
                      a->ledger.spent_ns[PHASE_QUEUE] + x->ledger.spent_ns[PHASE_LOOP] + a->ledger.spent_ns[PHASE_LOOP];
        buf_append_text(out, "x-weir-overhead-ms: ");
        json_text_ms(out, ns);
        buf_append(out, "\r\n", 2);
    }
    buf_append(out, "\r\n", 2);
}

/* Milliseconds with decimals, as some providers tell their own processing time; 0 when it is none. */
static uint64_t ms_field_ns(struct slice value) {
    const char *dot = memchr(value.p, '.', value.n);
    struct slice whole = {value.p, dot != NULL ? (size_t)(dot - value.p) : value.n};
    uint64_t ms = 0, fraction_ns = 0, unit = NS_PER_MS;
    if (!slice_to_u64(whole, &ms) || ms >= UINT64_C(1) << 40) return 0;
    for (size_t i = whole.n + 1; i < value.n; i++) {
        char digit = value.p[i];
        if (digit < '0' || digit > '9') return 0;
        unit /= 10;
        fraction_ns += unit * (uint64_t)(digit - '0');
    }
    return ms * NS_PER_MS + fraction_ns;
}

static void facts_keep(struct attempt *a, const struct http_head *h) {
    static const enum field_id ids[] = {FIELD_X_REQUEST_ID, FIELD_REQUEST_ID};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0] && a->provider_request_id.n == 0; i++)
        if (h->first[ids[i]] != 0) a->provider_request_id = exchange_copy(a->exchange, head_value(h, ids[i]));
    static const enum field_id times[] = {FIELD_OPENAI_PROCESSING_MS, FIELD_X_ENVOY_UPSTREAM_SERVICE_TIME};
    for (size_t i = 0; i < sizeof times / sizeof times[0] && a->provider_ns == 0; i++)
        if (h->first[times[i]] != 0) a->provider_ns = ms_field_ns(head_value(h, times[i]));
}

/* How its body is looked at and passed on. */
static void body_begin(struct attempt *a, const struct http_head *h) {
    const struct exchange *x = a->exchange;
    if (a->refused != FAILURE_NONE) {
        if (a->target->provider->secret.n > 0) relay_redact_begin(a);
    } else if (h->framing != FRAMING_NONE) {
        struct slice type = head_value(h, FIELD_CONTENT_TYPE);
        a->observer =
            observer_init(a->observer_memory, x->route.dialect, x->route.operation, x->stream, type, h->status);
        if (a->usage_injected && observer_shape(a->observer) == ANSWER_SSE) a->relay = RELAY_EVENTS;
    }
    bool sse = a->observer != NULL && observer_shape(a->observer) == ANSWER_SSE;
    a->framing = framing_choose(x, h, a->relay == RELAY_EVENTS || (x->debug && sse));
    body_reader_init(&a->reader, h->framing, h->content_length);
}

void answer_commit(struct attempt *a) {
    struct exchange *x = a->exchange;
    race_won(a);
    a->holding = false;
    a->hedge_due_ns = 0;
    if (a->refused != FAILURE_NONE) {
        x->failure = a->refused;
        x->source = SOURCE_PROVIDER;
        target_failed(a, a->refused);
    }
    x->status = a->status;
    x->answered = true;
    if (a->sent) body_clear(&x->body, &x->worker->blocks); /* nobody will ask for it again */
}

/* The answer begins: the client's head is written in front of it, and whether it may go out at once is decided. The
 * part of weir's own in one that is held is written when it goes out (hold.c). */
static void answer_begin(struct attempt *a, const struct http_head *h, struct outgoing *out) {
    a->refused = status_failure(a->exchange, h->status);
    body_begin(a, h);
    head_fixed(a, h, &out->flat);
    a->head_done = true;
    a->keep = h->keep_alive && h->framing != FRAMING_CLOSE;
    if (a->refused != FAILURE_NONE && a->target->health != NULL)
        retry_hint_head(&a->hint, h, clock_wall_ns(a->exchange->worker->loop->now_ns) / (int64_t)NS_PER_S);
    a->holding = a->exchange->failover != NULL && failover_holds(a);
    if (a->holding) {
        out->head_bytes = buf_length(&out->flat);
        outgoing_run_close(out);
    } else {
        answer_head_own(a, &out->flat);
        answer_commit(a);
    }
}

/* ---- its bytes ---- */

/* Takes one head off the bytes. Returns how many were used; 0 with nothing failed: more are needed. */
static size_t head_take(struct attempt *a, struct slice seen, struct http_head *h) {
    const struct exchange *x = a->exchange;
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

static void head_bytes(struct attempt *a, struct slice *bytes, struct outgoing *out) {
    const struct exchange *x = a->exchange;
    bool partial = buf_length(&a->head_part) > 0;
    size_t before = buf_length(&a->head_part);
    if (partial) buf_append_slice(&a->head_part, *bytes);
    struct slice seen = partial ? buf_slice(&a->head_part) : *bytes;
    size_t used = 0;
    struct http_head h;
    while (!a->head_done && a->failure == FAILURE_NONE) {
        size_t length = head_take(a, (struct slice){seen.p + used, seen.n - used}, &h);
        if (length == 0 || a->failure != FAILURE_NONE) break;
        used += length;
        if (h.status < 200) continue;
        a->head_ns = x->worker->loop->wake_ns;
        a->status = (uint16_t)h.status;
        facts_keep(a, &h);
        enum failure f = status_failure(x, h.status);
        if (f != FAILURE_NONE && !is_relayed(f))
            a->failure = f;
        else
            answer_begin(a, &h, out);
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

static void answer_bytes(struct attempt *a, const char *p, size_t n) {
    struct exchange *x = a->exchange;
    struct outgoing out;
    struct slice bytes = {p, n};
    outgoing_begin(&out, x->worker);
    a->any_byte = true;
    if (!a->head_done) head_bytes(a, &bytes, &out);
    if (a->head_done && a->failure == FAILURE_NONE) relay_bytes(a, &out, bytes);
    if (!x->upstream_paused) attempt_deadline(a);
    attempt_run(a);
}

static size_t answer_on_bytes(struct conn *c, const char *p, size_t n) {
    struct upstream *u = c->owner;
    struct attempt *a = u->user;
    struct exchange *x = a->exchange;
    attempt_callback_begin(a);
    upstream_heard(u);
    answer_bytes(a, p, n);
    exchange_callback_end(x);
    return n;
}

/* ---- its connection ---- */

static void answer_on_connected(struct conn *c) {
    struct upstream *u = c->owner;
    struct attempt *a = u->user;
    ledger_enter(&a->ledger, PHASE_TLS, c->connected_ns);
}

static void answer_on_ready(struct conn *c) {
    struct upstream *u = c->owner;
    struct attempt *a = u->user;
    struct exchange *x = a->exchange;
    attempt_callback_begin(a);
    a->connected = true;
    attempt_run(a);
    exchange_callback_end(x);
}

static void answer_on_drained(struct conn *c) {
    struct upstream *u = c->owner;
    struct attempt *a = u->user;
    struct exchange *x = a->exchange;
    attempt_callback_begin(a);
    a->progress_ns = x->worker->loop->now_ns;
    attempt_run(a);
    exchange_callback_end(x);
}

/* May the request be given once more, on a fresh connection, without anybody noticing? */
static bool is_stale(const struct attempt *a) {
    const struct exchange *x = a->exchange;
    bool replayable = x->body_mode == BODY_HELD || a->body_sent == 0;
    return a->reused && !a->any_byte && replayable && x->client != NULL;
}

static enum failure end_failure(const struct attempt *a, bool clean) {
    if (!a->head_done) return a->any_byte && clean ? FAILURE_BAD_RESPONSE : FAILURE_RESET;
    return FAILURE_TRUNCATED;
}

/* The stream's own terminator has passed: nobody misses what is missing of the framing behind it. */
bool answer_is_over(const struct attempt *a) {
    return a->exchange->stream && a->observer != NULL && a->framing != FRAMING_LENGTH &&
           observer_seen(a->observer)->terminated;
}

/* The provider's side has ended; `clean`: by an orderly end. */
static void answer_ended(struct attempt *a, bool clean) {
    if (a->head_done && ((clean && body_reader_end(&a->reader) == BODY_DONE) || answer_is_over(a))) {
        struct outgoing out;
        outgoing_begin(&out, a->exchange->worker);
        a->keep = false;
        relay_end(a, &out);
    } else if (is_stale(a)) {
        a->stale = true;
    } else if (a->failure == FAILURE_NONE) {
        a->failure = end_failure(a, clean);
    }
}

void answer_finish(struct attempt *a) {
    answer_ended(a, false);
    attempt_run(a);
}

static void answer_on_eof(struct conn *c) {
    struct upstream *u = c->owner;
    struct attempt *a = u->user;
    struct exchange *x = a->exchange;
    attempt_callback_begin(a);
    answer_ended(a, true);
    if (a->failure != FAILURE_NONE && !x->settled)
        attempt_failed(a, a->failure);
    else
        attempt_run(a);
    exchange_callback_end(x);
}

static void answer_on_close(struct conn *c, enum close_reason why) {
    struct upstream *u = c->owner;
    struct attempt *a = u->user;
    struct exchange *x = a->exchange;
    char text[160];
    attempt_callback_begin(a);
    u->conn = NULL;
    a->up = NULL;
    pool_discard(u);
    if (!a->connected) {
        a->failure = why == CLOSE_TLS_FAILED || why == CLOSE_TRUNCATED ? FAILURE_TLS_FAILED : FAILURE_CONNECT_FAILED;
        conn_error_text(c, text, sizeof text);
        complain(a, a->failure, text);
        attempt_run(a);
    } else {
        answer_ended(a, false);
        if (a->failure != FAILURE_NONE && !a->stale)
            attempt_failed(a, a->failure);
        else
            attempt_run(a);
    }
    exchange_callback_end(x);
}

static void answer_on_deadline(struct conn *c) {
    conn_deadline_set(c, TIMER_NEVER);
}

const struct conn_ops answer_ops = {.on_connected = answer_on_connected,
                                    .on_ready = answer_on_ready,
                                    .on_bytes = answer_on_bytes,
                                    .on_drained = answer_on_drained,
                                    .on_eof = answer_on_eof,
                                    .on_deadline = answer_on_deadline,
                                    .on_close = answer_on_close};

/* ---- stages: wait, stream ---- */

static bool content_begun(const struct attempt *a) {
    if (a->answer_done) return true;
    if (a->holding && a->refused != FAILURE_NONE) return false; /* not the content that is waited for */
    if (!a->exchange->stream || a->observer == NULL) return a->first_byte_ns != 0;
    return observer_started(a->observer);
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
    if (!a->sent && !a->answer_done) send_rest(a);
    if (!content_begun(a)) return STEP_WAIT;
    if (a->refused == FAILURE_NONE) target_succeeded(a);
    return STEP_NEXT;
}

void wait_cancel(struct exchange *x, struct attempt *a) {
    (void)x;
    attempt_release(a, false);
}

enum step stream_enter(struct exchange *x, struct attempt *a) {
    enum step checked = attempt_check(x, a);
    if (checked != STEP_NEXT) return checked;
    if (!a->answer_done) {
        if (!a->sent) send_rest(a);
        if (x->upstream_paused) exchange_phase(x, PHASE_DRAIN, x->worker->loop->now_ns);
        return STEP_WAIT;
    }
    attempt_release(a, a->keep && a->sent);
    return STEP_NEXT;
}

void stream_cancel(struct exchange *x, struct attempt *a) {
    (void)x;
    attempt_release(a, false);
}
