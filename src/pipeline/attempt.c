/* An attempt's way to a connection: from the pool, or by resolving and connecting. The hard part is that it can be
 * ended in every one of these states; attempt_release() knows them all and nobody else does. */
#include "pipeline/attempt.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "answer.h"
#include "base/mem.h"
#include "pipeline/exchange.h"
#include "steps.h"

/* A question to the resolver and its answer. It outlives an attempt that is ended while the question is out: then `x`
 * is NULL and the answer frees it. */
struct resolution {
    struct resolve ask;
    struct exchange *x;
    bool answered;
};

static uint64_t due_after(uint64_t from_ns, uint64_t timeout_ns) {
    return timeout_ns == CONF_NEVER ? TIMER_NEVER : from_ns + timeout_ns;
}

static bool answer_under_way(const struct exchange *x) {
    return x->attempt.first_byte_ns != 0;
}

static bool first_token_due(const struct exchange *x) {
    return x->observer == NULL || !observer_started(x->observer);
}

/* Which deadline the attempt's state calls for, and the failure that missing it is. */
static uint64_t deadline_of(const struct exchange *x, enum failure *missed) {
    const struct attempt *a = &x->attempt;
    const struct config_provider *c = a->pool->provider->conf;
    uint64_t due = TIMER_NEVER;
    *missed = FAILURE_NONE;
    if (a->in_line) {
        *missed = FAILURE_QUEUE_TIMEOUT;
        return due_after(a->begun_ns, c->queue.wait_ns);
    }
    if (!a->connected) {
        *missed = FAILURE_CONNECT_TIMEOUT;
        return due_after(a->connect_from_ns, c->timeouts.connect_ns);
    }
    if (x->upstream_paused) return TIMER_NEVER; /* the client is the slow one: its own deadline runs */
    if (!a->sent && !a->head_done) {
        if (x->body_mode == BODY_STREAMED && conn_queued_bytes(a->up->conn) == 0) return TIMER_NEVER;
        *missed = FAILURE_SEND_TIMEOUT;
        return due_after(a->progress_ns, c->timeouts.idle_ns);
    }
    if (first_token_due(x)) {
        due = due_after(a->send_ended_ns, c->timeouts.first_token_ns);
        *missed = FAILURE_FIRST_TOKEN_TIMEOUT;
    }
    uint64_t idle = answer_under_way(x) ? due_after(a->progress_ns, c->timeouts.idle_ns) : TIMER_NEVER;
    if (idle >= due) return due;
    *missed = FAILURE_IDLE_TIMEOUT;
    return idle;
}

void attempt_deadline(struct exchange *x) {
    enum failure missed;
    uint64_t due = deadline_of(x, &missed);
    timer_set(&x->worker->loop->wheel, &x->attempt.deadline, due);
}

static void deadline_fire(struct timer *t) {
    struct exchange *x = (struct exchange *)((char *)t - offsetof(struct exchange, attempt.deadline));
    enum failure missed;
    exchange_callback_begin(x);
    uint64_t due = deadline_of(x, &missed);
    if (missed != FAILURE_NONE && due <= x->worker->loop->now_ns)
        exchange_fail(x, missed);
    else
        timer_set(&x->worker->loop->wheel, &x->attempt.deadline, due);
    exchange_callback_end(x);
}

static void connection_taken(struct exchange *x, struct upstream *u) {
    struct attempt *a = &x->attempt;
    a->up = u;
    u->user = x;
    a->connected = a->reused = true;
    conn_owner_set(u->conn, &answer_ops, u);
    conn_deadline_set(u->conn, TIMER_NEVER);
}

static void line_ready(struct pool_wait *w, struct upstream *u) {
    struct exchange *x = (struct exchange *)((char *)w - offsetof(struct exchange, attempt.waiting));
    exchange_callback_begin(x);
    x->attempt.in_line = false;
    x->attempt.called = true;
    x->attempt.connect_from_ns = x->worker->loop->now_ns;
    if (u != NULL)
        connection_taken(x, u);
    else
        attempt_deadline(x);
    stage_run(x);
    exchange_callback_end(x);
}

void attempt_begin(struct exchange *x, bool fresh_only) {
    struct attempt *a = &x->attempt;
    uint64_t now = loop_stamp(x->worker->loop); /* what came before was `admit` */
    x->attempts++;
    ledger_enter(&x->ledger, PHASE_RETRY, now);
    *a = (struct attempt){.pool = &x->worker->pools[x->target->provider->slot],
                          .fresh_only = fresh_only,
                          .begun_ns = now,
                          .connect_from_ns = now};
    a->waiting.ready = line_ready;
    a->deadline.fire = deadline_fire;
    ledger_begin(&a->ledger, PHASE_QUEUE, x->ledger.since_ns);
    x->attempting = true;
}

static void resolution_drop(struct attempt *a) {
    struct resolution *r = a->resolution;
    a->resolution = NULL;
    if (r == NULL) return;
    if (r->answered)
        mem_free(r);
    else
        r->x = NULL;
}

void attempt_release(struct exchange *x, bool keep) {
    struct attempt *a = &x->attempt;
    if (!x->attempting) return;
    timer_cancel(&x->worker->loop->wheel, &a->deadline);
    pool_wait_leave(a->pool, &a->waiting);
    a->in_line = false;
    resolution_drop(a);
    buf_clear(&a->head_part);
    if (a->up == NULL) return;
    struct upstream *u = a->up;
    a->up = NULL;
    if (u->conn != NULL) x->rtt_provider_ns = conn_rtt_ns(u->conn);
    if (keep)
        pool_checkin(u);
    else
        pool_discard(u);
}

/* ---- stage: queue ---- */

static enum failure line_join(struct exchange *x) {
    struct attempt *a = &x->attempt;
    const struct config_queue *queue = &a->pool->provider->conf->queue;
    if (queue->wait_ns == 0 || atomic_load(&a->pool->provider->permits.queued_count) >= queue->size)
        return FAILURE_QUEUE_FULL;
    a->in_line = true;
    exchange_phase(x, PHASE_QUEUE, x->worker->loop->now_ns);
    pool_wait_join(a->pool, &a->waiting);
    attempt_deadline(x);
    return FAILURE_NONE;
}

enum step queue_enter(struct exchange *x, struct attempt *a) {
    if (a->in_line) return STEP_WAIT;
    if (a->up != NULL) return STEP_NEXT;
    bool others_first = a->pool->first_waiting != NULL; /* a connection that came back is theirs */
    struct upstream *u = a->fresh_only || others_first ? NULL : pool_checkout(a->pool);
    if (u != NULL) connection_taken(x, u);
    return STEP_NEXT;
}

void queue_cancel(struct exchange *x, struct attempt *a) {
    (void)a;
    attempt_release(x, false);
}

/* ---- stage: connect ---- */

static void resolved(struct message *m, void *context) {
    (void)context;
    struct resolve *ask = (struct resolve *)((char *)m - offsetof(struct resolve, message));
    struct resolution *r = (struct resolution *)((char *)ask - offsetof(struct resolution, ask));
    struct exchange *x = r->x;
    r->answered = true;
    if (x == NULL) {
        mem_free(r);
        return;
    }
    exchange_callback_begin(x);
    stage_run(x);
    exchange_callback_end(x);
}

static struct resolution *resolve_begin(struct exchange *x) {
    struct attempt *a = &x->attempt;
    struct resolution *r = mem_zalloc(sizeof *r);
    r->x = x;
    r->ask.message.run = resolved;
    r->ask.inbox = &x->worker->inbox;
    r->ask.host = a->pool->provider->host;
    r->ask.port = a->pool->provider->port;
    a->resolution = r;
    r->answered = resolver_ask(x->worker->resolver, &r->ask);
    attempt_deadline(x);
    return r;
}

/* Opens a connection to the next address. FAILURE_NONE: under way, or in line for a permit. */
static enum failure connect_next(struct exchange *x) {
    struct attempt *a = &x->attempt;
    const struct addresses *list = &a->resolution->ask.answer;
    if (list->count == 0) return FAILURE_DNS_FAILED;
    if (!a->called && a->pool->first_waiting != NULL) return line_join(x);
    while (a->address_next < list->count) {
        unsigned i = a->address_next;
        exchange_phase(x, PHASE_CONNECT, loop_stamp(x->worker->loop));
        a->up = pool_open(a->pool, (const struct sockaddr *)&list->list[i], list->lengths[i], &answer_ops, x);
        if (a->up == NULL && errno == EDQUOT) return line_join(x);
        a->address_next++;
        if (a->up == NULL && (errno == EMFILE || errno == ENFILE || errno == ENOMEM)) return FAILURE_TOO_BUSY;
        if (a->up != NULL) return FAILURE_NONE;
    }
    return FAILURE_CONNECT_FAILED;
}

enum step connect_enter(struct exchange *x, struct attempt *a) {
    if (a->connected) {
        resolution_drop(a);
        return STEP_NEXT;
    }
    if (a->up != NULL || a->in_line) return STEP_WAIT;
    if (a->failure != FAILURE_NONE) { /* the connection under way failed: the next address, or that is it */
        assert(a->resolution != NULL);
        if (a->failure != FAILURE_CONNECT_FAILED || a->address_next >= a->resolution->ask.answer.count) {
            x->failure = a->failure;
            return STEP_FAIL;
        }
        a->failure = FAILURE_NONE;
    }
    const struct resolution *r = a->resolution != NULL ? a->resolution : resolve_begin(x);
    if (!r->answered) return STEP_WAIT;
    enum failure f = connect_next(x);
    if (f == FAILURE_NONE) return STEP_WAIT;
    x->failure = f;
    return STEP_FAIL;
}

void connect_cancel(struct exchange *x, struct attempt *a) {
    (void)a;
    attempt_release(x, false);
}
