/* Answers of weir's own: errors in the caller's dialect, the list of models, and the end of a stream that broke. A body
 * is always complete and has a length; a refusal whose request is still coming ends the connection after it. */
#include "respond.h"

#include "base/clock.h"
#include "base/json_text.h"
#include "http/write.h"
#include "limiting.h"
#include "llm/error_body.h"

static struct slice trace_text(const struct exchange *x, char out[32]) {
    hex_encode(x->trace_id, 16, out);
    return (struct slice){out, 32};
}

#define TIMING_NAME(id, name, layer) SLICE_INIT(#name ";dur="),
static const struct slice timing_names[PHASE_COUNT] = {PHASES(TIMING_NAME)};
#undef TIMING_NAME

/* Milliseconds with three decimals: enough for a header that people read. */
static void timing_put(struct buf *out, struct slice name, uint64_t ns) {
    uint64_t us = ns / NS_PER_US, part = us % 1000;
    char *start = buf_reserve(out, name.n + JSON_TEXT_NUMBER_BYTES + sizeof ".000, ");
    char *at = json_text_put_u64((char *)memcpy(start, name.p, name.n) + name.n, us / 1000);
    if (part != 0) {
        char decimals[4] = {'.', (char)('0' + part / 100), (char)('0' + part / 10 % 10), (char)('0' + part % 10)};
        at = (char *)memcpy(at, decimals, sizeof decimals) + sizeof decimals;
    }
    memcpy(at, ", ", 2);
    buf_commit(out, (size_t)(at + 2 - start));
}

static uint64_t spent_ns(const struct exchange *x, const struct attempt *a, int phase) {
    return x->ledger.spent_ns[phase] + (a != NULL ? a->ledger.spent_ns[phase] : 0);
}

/* Phases that come after the head and are still running or to come when it is sent. */
static bool comes_later(int phase) {
    return phase == PHASE_GENERATE || phase == PHASE_DRAIN;
}

void respond_timing_end(struct exchange *x, struct buf *out) {
    timing_put(out, timing_names[PHASE_GENERATE], spent_ns(x, x->attempt, PHASE_GENERATE));
    timing_put(out, timing_names[PHASE_DRAIN], spent_ns(x, x->attempt, PHASE_DRAIN));
    timing_put(out, SLICE("total;dur="), x->worker->loop->now_ns - x->ledger.begin_ns);
    out->end -= 2; /* the last comma */
}

void respond_timing(struct exchange *x, const struct attempt *a, struct buf *out) {
    for (int i = 0; i < PHASE_COUNT; i++)
        if (!comes_later(i)) timing_put(out, timing_names[i], spent_ns(x, a, i));
    char ids[16 * 2 + 8 * 2];
    hex_encode(x->trace_id, 16, ids);
    hex_encode(x->span_id, 8, ids + 32);
    buf_append_text(out, "trace;desc=\"00-");
    buf_append(out, ids, 32);
    buf_append(out, "-", 1);
    buf_append(out, ids + 32, 16);
    char flags[2];
    hex_encode(&x->trace_flags, 1, flags);
    buf_append(out, "-", 1);
    buf_append(out, flags, 2);
    buf_append(out, "\"", 1);
}

void respond_fields(struct exchange *x, const struct attempt *a, struct buf *out) {
    char trace[32];
    const struct target *t = a != NULL ? a->target : x->target;
    write_field(out, SLICE("x-weir-trace-id"), trace_text(x, trace));
    if (t != NULL) {
        write_field(out, SLICE("x-weir-provider"), t->provider->name);
        if (t->model.n > 0) write_field(out, SLICE("x-weir-model"), t->model);
        buf_append_text(out, "x-weir-attempts: ");
        buf_append_u64(out, x->attempts);
        buf_append(out, "\r\n", 2);
    }
    buf_append_text(out, "server-timing: ");
    respond_timing(x, a, out);
    buf_append(out, "\r\n", 2);
    limits_fields(x, out);
}

static void respond(struct exchange *x, unsigned status, struct slice body, struct slice extra_fields) {
    struct buf out = {0};
    bool head_only = x->has_head && x->head.method == HTTP_HEAD;
    if (x->client == NULL) return;
    x->status = (uint16_t)status;
    if (x->received_ns == 0 || exchange_is_last(x)) x->keep_client = false;
    write_status_line(&out, status);
    write_date(&out, clock_wall_ns(x->worker->loop->now_ns) / (int64_t)NS_PER_S);
    buf_append_text(&out, "content-type: application/json\r\ncache-control: no-store\r\n");
    respond_fields(x, x->attempting ? x->attempt : NULL, &out);
    buf_append_slice(&out, extra_fields);
    if (!x->keep_client)
        buf_append_text(&out, "connection: close\r\n");
    else if (x->head.http_1_0)
        buf_append_text(&out, "connection: keep-alive\r\n");
    buf_append_text(&out, "content-length: ");
    buf_append_u64(&out, body.n);
    buf_append_text(&out, "\r\n\r\n");
    if (!head_only) buf_append_slice(&out, body);
    x->answered = x->answer_ended = true;
    x->response_bytes = head_only ? 0 : body.n;
    conn_send_slice(x->client->conn, buf_slice(&out));
    buf_clear(&out);
}

void respond_json(struct exchange *x, unsigned status, struct slice body) {
    respond(x, status, body, SLICE(""));
}

static void error_fields(const struct exchange *x, struct buf *out, enum failure f, unsigned status) {
    const struct failure_row *row = failure_row(f);
    if (status == 401) write_field(out, SLICE("www-authenticate"), SLICE("Bearer")); /* RFC 9110 15.5.2 */
    if (f == FAILURE_METHOD_NOT_ALLOWED)                                             /* RFC 9110 15.5.6 */
        write_field(out, SLICE("allow"), operation_is_own(x->route.operation) ? SLICE("GET") : SLICE("POST"));
    write_field(out, SLICE("x-weir-error"), slice_of(row->name));
    write_field(out, SLICE("x-weir-error-source"), slice_of(error_source_name(row->source)));
    if (f == FAILURE_LIMIT_EXCEEDED || f == FAILURE_NEVER_FITS)
        limits_refusal_fields(x, out, f);
    else if (status == 429 || status == 503)
        buf_printf(out, "retry-after: %u\r\n", x->retry_after_s > 0 ? x->retry_after_s : 1);
    if (status >= 400 && status < 500 && status != 408 && status != 429)
        write_field(out, SLICE("x-should-retry"), SLICE("false"));
}

void respond_error(struct exchange *x, enum failure f) {
    struct buf body = {0}, fields = {0};
    char trace[32];
    unsigned status = failure_row(f)->status;
    error_body_write(&body, x->route.dialect, f, status, x->detail, trace_text(x, trace));
    error_fields(x, &fields, f, status);
    respond(x, status, buf_slice(&body), buf_slice(&fields));
    buf_clear(&body);
    buf_clear(&fields);
}

static bool shape_has_errors(enum answer_shape shape) {
    return shape == ANSWER_SSE || shape == ANSWER_JSON_ARRAY || shape == ANSWER_NDJSON;
}

void respond_broken(struct exchange *x, enum failure f) {
    x->broken = x->answer_ended = true;
    x->keep_client = false;
    const struct attempt *a = x->attempt;
    if (a->observer == NULL || a->framing == FRAMING_LENGTH || !shape_has_errors(observer_shape(a->observer))) return;
    struct buf event = {0};
    error_event_write(&event, x->route.dialect, x->route.operation, observer_shape(a->observer), f,
                      x->response_bytes > 0);
    char head[CHUNK_HEAD_MAX];
    size_t head_bytes = a->framing == FRAMING_CHUNKED ? write_chunk_head(head, buf_length(&event)) : 0;
    struct slice text = buf_slice(&event);
    struct iovec pieces[] = {{head, head_bytes},
                             {(void *)(uintptr_t)text.p, text.n},
                             {(void *)(uintptr_t) "\r\n", a->framing == FRAMING_CHUNKED ? 2u : 0u}};
    conn_send(x->client->conn, pieces, 3);
    x->broken_told = true;
    x->response_bytes += text.n;
    buf_clear(&event);
}

/* ---- GET /v1/models: aliases, then what the providers of the caller's dialect serve ---- */

struct model_list {
    struct exchange *x;
    struct buf out;
    bool anthropic, any;
};

static void model_put(struct model_list *l, struct slice id, struct slice owner) {
    if (!tenant_may_use(l->x->tenant, id)) return;
    if (l->any) buf_append(&l->out, ",", 1);
    l->any = true;
    buf_append_text(&l->out, l->anthropic ? "{\"type\":\"model\",\"id\":" : "{\"id\":");
    json_text_string(&l->out, id);
    if (l->anthropic) {
        buf_append_text(&l->out, ",\"display_name\":");
        json_text_string(&l->out, id);
        buf_append_text(&l->out, ",\"created_at\":\"1970-01-01T00:00:00Z\"}");
    } else {
        buf_append_text(&l->out, ",\"object\":\"model\",\"created\":0,\"owned_by\":");
        json_text_string(&l->out, owner);
        buf_append_text(&l->out, "}");
    }
}

/* What a pattern stands for: the models of that provider that have a known price. */
static void pattern_put(struct model_list *l, const struct config_provider *p, struct slice pattern) {
    size_t cursor = 0;
    struct slice provider, model;
    while (price_next(l->x->conf->prices, &cursor, &provider, &model))
        if ((slice_equal(provider, p->name.text) || slice_equal(provider, slice_of(dialect_name(p->dialect)))) &&
            slice_matches(model, pattern))
            model_put(l, model, p->name.text);
}

static void provider_put(struct model_list *l, const struct config_provider *p) {
    for (size_t i = 0; i < p->models.count; i++) {
        struct slice model = p->models.items[i].text;
        if (memchr(model.p, '*', model.n) == NULL)
            model_put(l, model, p->name.text);
        else
            pattern_put(l, p, model);
    }
}

void respond_models(struct exchange *x) {
    const struct snapshot *s = x->conf;
    struct model_list l = {.x = x, .anthropic = x->route.dialect == DIALECT_ANTHROPIC};
    buf_append_text(&l.out, l.anthropic ? "{\"data\":[" : "{\"object\":\"list\",\"data\":[");
    for (size_t i = 0; i < s->alias_count; i++)
        if (alias_speaks(&s->aliases[i], x->route.dialect)) model_put(&l, s->aliases[i].name, SLICE("weir"));
    for (size_t i = 0; i < s->provider_count; i++)
        if (s->providers[i]->dialect == x->route.dialect) provider_put(&l, s->providers[i]->conf);
    buf_append_text(&l.out, l.anthropic ? "],\"has_more\":false,\"first_id\":null,\"last_id\":null}" : "]}");
    respond_json(x, 200, buf_slice(&l.out));
    buf_clear(&l.out);
}
