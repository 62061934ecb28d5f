/* Settling: when nothing more will be sent and the client's socket has taken it all, the exchange's one record is made,
 * counted, handed to the recorder, and the connection goes on or ends. Whatever happened before, this runs once. */
#include <assert.h>
#include <stdatomic.h>

#include "base/clock.h"
#include "facts/names.h"
#include "given_up.h"
#include "limiting.h"
#include "loss.h"
#include "pipeline/exchange.h"
#include "race.h"
#include "receive.h"
#include "steps.h"

static uint64_t since(uint64_t from_ns, uint64_t to_ns) {
    return from_ns == 0 || to_ns == 0 ? TIME_UNKNOWN_NS : to_ns > from_ns ? to_ns - from_ns : 0;
}

/* (last token - first token) / (output tokens - those before the first visible sign - 1), null below 2. */
static uint64_t tpot_of(const struct observation *seen, const struct usage *u) {
    uint64_t before = (uint64_t)seen->hidden_tokens + 1; /* any number can come from a provider */
    if (seen->first_token_ns == 0 || u->output <= before || seen->chunks < 2) return TIME_UNKNOWN_NS;
    return (seen->last_token_ns - seen->first_token_ns) / (u->output - before);
}

static void observation_book(const struct exchange *x, struct record *r) {
    const struct observation *seen = observer_seen(x->attempt->observer);
    if (x->stream) {
        r->ttft_ns = since(x->received_ns, x->ttft_written_ns);
        r->first_visible_ns = since(x->received_ns, x->visible_written_ns);
        r->attempt_ttft_ns = since(x->attempt->send_ended_ns, seen->first_token_ns);
        r->first_event_ns = since(x->received_ns, seen->first_event_ns);
        r->tpot_ns = tpot_of(seen, &r->usage);
        r->gap_max_ns = seen->chunks > 1 ? seen->gap_max_ns : TIME_UNKNOWN_NS;
    }
    r->chunks = seen->chunks;
    if (seen->provider_ns != 0) r->provider_ns = seen->provider_ns;
}

static void numbers_book(const struct exchange *x, struct record *r) {
    const struct client *c = x->client;
    r->ttft_ns = r->first_visible_ns = r->attempt_ttft_ns = r->first_event_ns = r->tpot_ns = r->gap_max_ns =
        TIME_UNKNOWN_NS;
    r->tls_in_ns = TIME_UNKNOWN_NS;
    r->limiter_ns = limits_waited_ns(x);
    r->head_ns = since(x->received_ns, x->head_written_ns);
    r->provider_ns = x->attempt->provider_ns != 0 ? x->attempt->provider_ns : TIME_UNKNOWN_NS;
    exchange_usage(x, &r->usage);
    if (x->attempt->observer != NULL) observation_book(x, r);
    if (c != NULL && c->tls && !c->tls_told) r->tls_in_ns = c->tls_in_ns;
    r->rtt_client_ns = c != NULL && c->conn != NULL ? conn_rtt_ns(c->conn) : 0;
    r->rtt_provider_ns = x->attempt->rtt_ns;
    costs_book(x, r);
    r->callback_ns = x->callback_ns;
    r->request_bytes = x->body_received;
    r->response_bytes = x->response_bytes;
    r->in_flight = x->in_flight_at_start;
}

static void texts_collect(const struct exchange *x, struct slice texts[RECORD_TEXT_COUNT]) {
    const struct observation *seen = x->attempt->observer != NULL ? observer_seen(x->attempt->observer) : NULL;
    struct slice model = x->target != NULL ? x->target->model : SLICE("");
    if (seen != NULL && seen->model_length > 0) model = (struct slice){seen->model, seen->model_length};
    texts[RECORD_TEXT_METHOD] = x->has_head ? http_method_name(x->head.method) : SLICE("");
    texts[RECORD_TEXT_PATH] = x->has_head ? x->head.path : SLICE("");
    texts[RECORD_TEXT_OPERATION] = slice_of(operation_name(x->route.operation));
    texts[RECORD_TEXT_MODEL_REQUESTED] = x->model_requested;
    texts[RECORD_TEXT_MODEL] = model;
    texts[RECORD_TEXT_SESSION] = x->session;
    texts[RECORD_TEXT_RELEASE] = x->release;
    texts[RECORD_TEXT_FINISH_REASON] = seen != NULL ? (struct slice){seen->finish, seen->finish_length} : SLICE("");
    texts[RECORD_TEXT_CLIENT] = (struct slice){x->address, x->address_length};
    texts[RECORD_TEXT_USER_AGENT] = x->has_head ? head_value(&x->head, FIELD_USER_AGENT) : SLICE("");
    texts[RECORD_TEXT_PROVIDER_REQUEST_ID] = x->attempt->provider_request_id;
    texts[RECORD_TEXT_TAGS] = x->tags;
    texts[RECORD_TEXT_LIMIT] = limits_refused_by(x);
    texts[RECORD_TEXT_TRACE_STATE] = x->trace_state;
}

enum { TEXT_MAX = 1024 }; /* of one text in a record; a longer path or user agent is cut */

static void given_up_book(const struct exchange *x, struct record *r, size_t text_bytes) {
    size_t at = RECORD_GIVEN_UP_AT(text_bytes);
    r->given_up_count = x->given_up_count;
    given_up_copy(x, (struct record_attempt *)(void *)((char *)r + at));
    r->size_bytes = (uint32_t)(at + x->given_up_count * sizeof(struct record_attempt));
}

/* Fills `r` (which has room for what record_bound() says) and returns its size. */
static size_t record_make(struct exchange *x, struct record *r, const struct slice texts[RECORD_TEXT_COUNT]) {
    r->status = x->status;
    r->attempts = (uint16_t)x->attempts;
    r->provider_status = x->attempt->status;
    r->attempt = (uint16_t)x->attempt->n;
    r->error = (uint8_t)(x->source == SOURCE_NONE ? FAILURE_NONE : x->failure);
    r->error_source = (uint8_t)x->source;
    r->trace_flags = x->trace_flags;
    r->stream = x->stream;
    r->client_tls = x->client_tls;
    r->max_tokens = x->max_tokens;
    r->choices = x->choices;
    r->own = operation_is_own(x->route.operation);
    r->connection_reused = x->attempt->reused;
    r->tenant = x->tenant != NULL ? x->tenant->name_id : NAME_NONE;
    r->key = x->key != NULL ? x->key->name_id : NAME_NONE;
    r->provider = x->target != NULL ? x->target->provider->name_id : NAME_NONE;
    r->model = x->target != NULL ? x->target->model_id : NAME_NONE;
    r->workload = x->workload;
    r->operation = operation_id(x->route.operation);
    memcpy(r->trace_id, x->trace_id, sizeof r->trace_id);
    memcpy(r->span_id, x->span_id, sizeof r->span_id);
    memcpy(r->parent_id, x->parent_id, sizeof r->parent_id);
    r->start_unix_ns = clock_wall_ns(x->ledger.begin_ns);
    numbers_book(x, r);
    size_t at = 0;
    for (int i = 0; i < RECORD_TEXT_COUNT; i++) {
        size_t n = texts[i].n < TEXT_MAX || i == RECORD_TEXT_TAGS ? texts[i].n : TEXT_MAX;
        if (n > 0) memcpy(r->text + at, texts[i].p, n);
        r->text_bytes[i] = (uint16_t)n;
        at += n;
    }
    r->size_bytes = (uint32_t)(sizeof *r + at);
    if (x->given_up_count > 0) given_up_book(x, r, at);
    return r->size_bytes;
}

static size_t record_bound(const struct exchange *x, const struct slice texts[RECORD_TEXT_COUNT]) {
    size_t bytes = 0;
    for (int i = 0; i < RECORD_TEXT_COUNT; i++) bytes += texts[i].n;
    return RECORD_GIVEN_UP_AT(bytes) + x->given_up_count * sizeof(struct record_attempt);
}

/* The numbers are counted even when the ring is full: then only the detail is lost, and that is counted too. */
static void record_emit(struct exchange *x, uint64_t total_ns, uint64_t settled_from_ns) {
    struct worker *w = x->worker;
    struct slice texts[RECORD_TEXT_COUNT];
    texts_collect(x, texts);
    size_t bound = record_bound(x, texts);
    struct record *r = w->records != NULL ? ring_reserve(w->records, bound) : NULL;
    bool in_ring = r != NULL;
    if (!in_ring) r = arena_alloc(&x->arena, bound);
    memset(r, 0, sizeof *r);
    r->total_ns = total_ns;
    memcpy(r->phase_ns, x->ledger.spent_ns, sizeof r->phase_ns);
    record_make(x, r, texts);
    limits_settle(x, r);
    traffic_add(&w->traffic, r);
    r->settle_ns = loop_stamp(w->loop) - settled_from_ns;
    if (!in_ring) return;
    ring_commit(w->records);
    if (w->record_ready != NULL) loop_defer(w->loop, &w->record_wake);
}

/* Is the answer with the client? Its socket must have taken the last byte; a client that left has nothing to take. */
static bool client_has_it(const struct exchange *x) {
    return x->client == NULL || x->client->conn == NULL || exchange_abandoned(x) || (x->broken && !x->broken_told) ||
           conn_queued_bytes(x->client->conn) == 0;
}

static void client_release(struct exchange *x) {
    struct client *c = x->client;
    x->client = NULL;
    if (c == NULL || c->conn == NULL) return;
    c->tls_told = true;
    bool end_tells = x->attempt->framing == FRAMING_CLOSE; /* nothing else says that the answer is whole */
    if (x->broken && (!x->broken_told || end_tells))
        client_exchange_broken(c, x->broken_told);
    else
        client_exchange_over(c, x->keep_client && x->received_ns != 0 && !x->broken);
}

enum step settle_enter(struct exchange *x, struct attempt *a) {
    (void)a;
    struct worker *w = x->worker;
    assert(x->answer_ended);
    if (!client_has_it(x)) {
        receive_client_queued(x);
        return STEP_WAIT;
    }
    race_end(x);
    attempt_release(x->attempt, false);
    if (x->probe) health_undecided(x->target->health, w->loop->now_ns); /* it has not come to a try */
    timer_cancel(&w->loop->wheel, &x->total);
    if (x->attempt->observer != NULL) observer_end(x->attempt->observer, w->loop->now_ns);
    uint64_t now = loop_stamp(w->loop);
    x->callback_ns += now - x->callback_begin_ns;
    if (x->attempting) ledger_adopt(&x->ledger, &x->attempt->ledger, now);
    uint64_t total_ns = ledger_end(&x->ledger, now);
    if (!x->unrecorded) record_emit(x, total_ns, now);
    if (x->flight != NULL) traffic_leave(x->flight);
    x->settled = true;
    atomic_store_explicit(&w->in_flight, atomic_load_explicit(&w->in_flight, memory_order_relaxed) - 1,
                          memory_order_relaxed);
    client_release(x);
    body_clear(&x->body, &w->blocks);
    x->next_dead = w->dead;
    w->dead = x;
    loop_defer(w->loop, &w->reaper);
    return STEP_NEXT;
}

void settle_cancel(struct exchange *x, struct attempt *a) {
    (void)x;
    (void)a;
}
