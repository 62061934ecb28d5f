/* Reading a request. The head is judged the moment it is complete: framing, path, key and announced size, so that a
 * refused request is answered before its body is sent, and nothing of it reaches a provider. The body is then taken out
 * of its framing, scanned as it comes, and held (or, for a pass-through, sent on). */
#include "receive.h"

#include "base/clock.h"
#include "head_facts.h"
#include "passthrough.h"
#include "respond.h"
#include "steps.h"

#define CLIENT_STALL_NS (60 * NS_PER_S) /* a client that takes nothing of its answer for this long is given up */

/* ---- the client's clock ---- */

/* One deadline for two duties: to bring the request, and to take the answer. Both can be due at once. */
static void client_deadline(struct exchange *x) {
    bool bringing = x->received_ns == 0 && !x->answer_ended && x->body_paused_ns == 0;
    uint64_t due = bringing ? x->body_due_ns : TIMER_NEVER;
    if (x->stall_due_ns != 0 && x->stall_due_ns < due) due = x->stall_due_ns;
    conn_deadline_set(x->client->conn, due);
}

/* ---- the head ---- */

static enum failure endpoint_find(struct exchange *x) {
    bool usage = slice_equal(x->head.path, SLICE("/weir/usage"));
    if (usage || slice_equal(x->head.path, SLICE("/weir/live"))) {
        x->route = (struct route){.operation = usage ? OPERATION_USAGE : OPERATION_LIVE};
        return x->head.method == HTTP_GET ? FAILURE_NONE : FAILURE_METHOD_NOT_ALLOWED;
    }
    enum dialect guess = x->route.dialect;
    enum failure f = route_match(x->head.method, x->head.path, &x->route);
    if (f == FAILURE_NONE && x->route.model_in_path && !passthrough_path_is_plain(x->head.path)) f = FAILURE_NOT_FOUND;
    if (f == FAILURE_NOT_FOUND) f = passthrough_match(x);
    if (f == FAILURE_NOT_FOUND) x->route = (struct route){.dialect = guess}; /* still whose error this is */
    if (x->route.operation == OPERATION_MODELS && x->head.first[FIELD_ANTHROPIC_VERSION] != 0)
        x->route.dialect = DIALECT_ANTHROPIC;
    return f;
}

static bool is_health(const struct exchange *x, struct slice path) {
    return slice_equal(x->head.path, path) && (x->head.method == HTTP_GET || x->head.method == HTTP_HEAD);
}

/* /healthz and /readyz need no key: whoever can reach the port may ask whether it works. */
static bool health_answer(struct exchange *x) {
    bool ready = is_health(x, SLICE("/readyz"));
    if (!ready && !is_health(x, SLICE("/healthz"))) return false;
    if (x->head.framing == FRAMING_NONE)
        x->received_ns = x->worker->loop->now_ns; /* a body's bytes are no next request */
    x->unrecorded = true;
    if (ready && x->worker->draining)
        respond_json(x, 503, SLICE("{\"status\":\"draining\"}"));
    else
        respond_json(x, 200, ready ? SLICE("{\"status\":\"ready\"}") : SLICE("{\"status\":\"ok\"}"));
    return true;
}

static enum failure body_expect(struct exchange *x) {
    const struct config *c = x->conf->config;
    if (x->head.first[FIELD_CONTENT_ENCODING] != 0 &&
        !slice_equal_nocase(head_value(&x->head, FIELD_CONTENT_ENCODING), SLICE("identity")) &&
        x->body_mode == BODY_HELD)
        return FAILURE_UNSUPPORTED_ENCODING;
    if (x->head.framing == FRAMING_LENGTH && x->head.content_length > c->http.body_bytes && x->body_mode == BODY_HELD)
        return FAILURE_BODY_TOO_LARGE;
    return FAILURE_NONE;
}

/* Everything that can be said without the body. The order is part of the contract: who calls comes before what exists.
 */
static enum failure head_judge(struct exchange *x) {
    enum failure f = endpoint_find(x);
    enum failure who = head_credentials(x);
    if (who != FAILURE_NONE) {
        x->target = NULL; /* a stranger does not learn which providers there are */
        return who;
    }
    if (f != FAILURE_NONE) return f;
    if (x->route.operation == OPERATION_PASSTHROUGH && !passthrough_allowed(x)) return FAILURE_PATH_NOT_ALLOWED;
    if ((f = head_labels(x)) != FAILURE_NONE) return f;
    if (x->worker->draining) return FAILURE_DRAINING;
    return body_expect(x);
}

static void scan_begin(struct exchange *x) {
    size_t bytes = sizeof *x->facts > observer_bytes() ? sizeof *x->facts : observer_bytes();
    x->scan_memory = arena_alloc(&x->arena, bytes);
    if (x->body_mode != BODY_HELD || x->head.method != HTTP_POST) return;
    x->facts = x->scan_memory;
    request_scan_begin(x->facts, x->route.dialect, x->route.operation);
}

/* The request's error dialect before its path is known to be anything. */
static enum dialect dialect_guess(const struct http_head *head) {
    if (head->first[FIELD_ANTHROPIC_VERSION] != 0 || slice_starts(head->path, SLICE("/v1/messages")))
        return DIALECT_ANTHROPIC;
    return slice_starts(head->path, SLICE("/v1beta/")) ? DIALECT_GEMINI : DIALECT_OPENAI;
}

static void continue_send(struct exchange *x) {
    if (!x->head.expect_continue || x->head.framing == FRAMING_NONE || x->body_received > 0 || x->continued) return;
    x->continued = true;
    conn_send_slice(x->client->conn, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
}

/* A whole head is there. Afterwards either the body is awaited or the exchange has been answered. */
static void head_complete(struct exchange *x, struct slice raw) {
    struct worker *w = x->worker;
    exchange_conf_renew(x);
    struct slice kept = arena_copy(&x->arena, raw);
    enum failure f = head_parse_request(&x->head, kept, w->fields, &x->conf->head_limits);
    if (f != FAILURE_NONE) {
        exchange_fail(x, f);
        return;
    }
    struct field *fields = arena_alloc(&x->arena, (x->head.field_count + 1) * sizeof *fields);
    memcpy(fields, w->fields, x->head.field_count * sizeof *fields);
    x->head.fields = fields;
    x->has_head = true;
    x->keep_client = x->head.keep_alive;
    x->route.dialect = dialect_guess(&x->head);
    head_trace(x);
    body_reader_init(&x->reader, x->head.framing, x->head.content_length);
    x->body_begun_ns = w->loop->now_ns;
    if (health_answer(x)) {
        exchange_answered(x);
        return;
    }
    if ((f = head_judge(x)) != FAILURE_NONE) {
        if (x->head.framing == FRAMING_NONE) x->received_ns = w->loop->now_ns;
        exchange_fail(x, f);
        return;
    }
    x->admitted = true;
    scan_begin(x);
    x->body_due_ns = w->loop->now_ns + x->conf->config->http.header_time_ns;
    client_deadline(x);
}

static size_t head_bytes(struct exchange *x, const char *p, size_t n) {
    struct client *c = x->client;
    struct slice seen = {p, n};
    size_t before = buf_length(&c->head_part);
    if (before > 0) {
        buf_append(&c->head_part, p, n);
        seen = buf_slice(&c->head_part);
    }
    size_t length = head_end(seen.p, seen.n, &c->head_scanned);
    enum failure f = length == 0 ? head_check_partial(seen.p, seen.n, &x->conf->head_limits) : FAILURE_NONE;
    if (f != FAILURE_NONE) {
        buf_clear(&c->head_part);
        c->head_scanned = 0;
        exchange_fail(x, f);
        return n;
    }
    if (length == 0) {
        if (before == 0) buf_append(&c->head_part, p, n);
        return n;
    }
    c->head_scanned = 0;
    head_complete(x, (struct slice){seen.p, length});
    buf_clear(&c->head_part);
    return length - before;
}

/* ---- the body ---- */

#define SILENCE_MAX_NS (3600 * NS_PER_S) /* however much has come before */

/* A slow request must still come at body_rate on the whole; every byte received buys time. */
static void body_deadline(struct exchange *x) {
    const struct config *c = x->conf->config;
    uint64_t now = x->worker->loop->now_ns, rate = c->http.body_rate_bytes_per_s;
    uint64_t due = now + c->http.header_time_ns, latest = now + SILENCE_MAX_NS;
    if (rate != 0 && x->body_received / rate > (latest - x->body_begun_ns) / NS_PER_S)
        due = latest; /* no overflow below */
    else if (rate != 0)
        due = x->body_begun_ns + c->http.header_time_ns + x->body_received / rate * NS_PER_S +
              x->body_received % rate * NS_PER_S / rate;
    x->body_due_ns = due < latest ? due : latest;
    client_deadline(x);
}

static enum failure body_hold(struct exchange *x, struct slice data) {
    if (x->body_mode == BODY_HELD && x->body_received > x->conf->config->http.body_bytes) return FAILURE_BODY_TOO_LARGE;
    enum failure f = x->facts != NULL ? request_scan_feed(x->facts, data.p, data.n) : FAILURE_NONE;
    if (f != FAILURE_NONE) return f;
    if (!body_append(&x->body, &x->worker->blocks, data.p, data.n)) return FAILURE_TOO_BUSY;
    if (x->body_mode == BODY_STREAMED && x->body.length > CONN_HIGH_BYTES) receive_body_pause(x);
    return FAILURE_NONE;
}

static size_t body_bytes(struct exchange *x, const char *p, size_t n, bool *done) {
    size_t used = 0;
    *done = false;
    while (!*done && (used < n || n == 0)) {
        struct slice data;
        enum body_state state;
        size_t took = body_reader_take(&x->reader, p + used, n - used, &data, &state);
        used += took;
        x->body_received += data.n;
        enum failure f = state == BODY_BAD ? FAILURE_BAD_REQUEST : FAILURE_NONE;
        if (f == FAILURE_NONE && data.n > 0) f = body_hold(x, data);
        if (f != FAILURE_NONE) {
            exchange_fail(x, f);
            return used;
        }
        *done = state == BODY_DONE;
        if (took == 0) break;
    }
    return used;
}

static void request_received(struct exchange *x) {
    x->received_ns = x->worker->loop->now_ns;
    client_deadline(x);
}

size_t receive_bytes(struct exchange *x, const char *p, size_t n) {
    size_t used = 0;
    if (!x->has_head) {
        used = head_bytes(x, p, n);
        if (x->answer_ended || x->settled || !x->has_head) return used;
    }
    bool done;
    used += body_bytes(x, p + used, n - used, &done);
    if (x->answer_ended || x->settled) return used;
    if (done)
        request_received(x);
    else {
        body_deadline(x);
        if (used == n) continue_send(x);
    }
    stage_run(x);
    return used;
}

enum step receive_enter(struct exchange *x, struct attempt *a) {
    (void)a;
    if (!x->admitted) return STEP_WAIT;
    return x->received_ns != 0 || x->body_mode == BODY_STREAMED ? STEP_NEXT : STEP_WAIT;
}

void receive_cancel(struct exchange *x, struct attempt *a) {
    (void)a;
    x->facts = NULL;
}

/* While the provider cannot keep up the client is not to blame: its clock stands still. */
void receive_body_pause(struct exchange *x) {
    if (x->client == NULL || x->received_ns != 0 || x->body_paused_ns != 0) return;
    conn_read_pause(x->client->conn);
    x->body_paused_ns = x->worker->loop->now_ns;
    client_deadline(x);
}

void receive_body_resume(struct exchange *x) {
    if (x->client == NULL || x->received_ns != 0 || x->body_paused_ns == 0) return;
    conn_read_resume(x->client->conn);
    x->body_begun_ns += x->worker->loop->now_ns - x->body_paused_ns;
    x->body_paused_ns = 0;
    body_deadline(x);
}

/* ---- the client while it is being answered ---- */

void receive_client_drained(struct exchange *x) {
    if (x->upstream_paused && x->attempt->up != NULL) {
        x->upstream_paused = false;
        x->attempt->progress_ns = x->worker->loop->now_ns; /* its silence meanwhile was ours */
        conn_read_resume(x->attempt->up->conn);
        exchange_phase(x, stages[x->stage].phase, x->worker->loop->now_ns);
        attempt_deadline(x->attempt);
    }
    if (conn_queued_bytes(x->client->conn) == 0) {
        x->stall_due_ns = 0;
        client_deadline(x);
    }
    stage_run(x);
}

static void stall_watch(struct exchange *x) {
    x->stall_mark = x->client->conn->bytes_flushed;
    x->stall_due_ns = x->worker->loop->now_ns + CLIENT_STALL_NS;
    client_deadline(x);
}

/* Called when bytes had to be queued: the client must take some of them in time. */
void receive_client_queued(struct exchange *x) {
    if (x->client == NULL || x->client->conn == NULL) return;
    if (x->stall_due_ns == 0) stall_watch(x);
}

void receive_client_deadline(struct exchange *x) {
    uint64_t now = x->worker->loop->now_ns;
    if (x->stall_due_ns != 0 && now >= x->stall_due_ns) {
        if (x->client->conn->bytes_flushed == x->stall_mark) {
            exchange_fail(x, FAILURE_CLIENT_STALLED);
            return;
        }
        stall_watch(x);
    }
    if (x->received_ns == 0 && !x->answer_ended && x->body_paused_ns == 0 && now >= x->body_due_ns)
        exchange_fail(x, FAILURE_RECEIVE_TIMEOUT);
    else
        client_deadline(x);
}
