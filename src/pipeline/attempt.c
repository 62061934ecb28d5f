/* An attempt's way to a connection: from the pool, or by resolving and connecting. The hard part is that it can be
 * ended in every one of these states; attempt_release() knows them all and nobody else does. */
#include "pipeline/attempt.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include "answer.h"
#include "base/mem.h"
#include "given_up.h"
#include "failover.h"
#include "hold.h"
#include "pipeline/exchange.h"
#include "race.h"
#include "route.h"
#include "steps.h"
#include "targets.h"

/* A question to the resolver and its answer. It outlives an attempt that is ended while the question is out: then `a`
 * is NULL and the answer frees it. */
struct resolution {
    struct resolve ask;
    struct attempt *a;
    bool answered;
    char names[]; /* host and port: the question may outlive their origin as well */
};

/* A provider that has said all and does not end its body is waited for this long: the client waits with it. */
#define TERMINATOR_GRACE_NS (2 * NS_PER_S)

static uint64_t due_after(uint64_t from_ns, uint64_t timeout_ns) {
    return timeout_ns == CONF_NEVER ? TIMER_NEVER : from_ns + timeout_ns;
}

static bool answer_under_way(const struct attempt *a) {
    return a->first_byte_ns != 0;
}

static bool first_token_due(const struct attempt *a) {
    return a->observer == NULL || !observer_started(a->observer);
}

/* When missing a deadline is a failure, and which. */
static uint64_t failure_due(const struct attempt *a, enum failure *missed) {
    const struct exchange *x = a->exchange;
    const struct config_provider *c = a->target->provider->conf;
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
    if (answer_is_over(a)) return TIMER_NEVER;
    if (!a->sent && !a->head_done) {
        if (x->body_mode == BODY_STREAMED && conn_queued_bytes(a->up->conn) == 0) return TIMER_NEVER;
        *missed = FAILURE_SEND_TIMEOUT;
        return due_after(a->progress_ns, c->timeouts.idle_ns);
    }
    if (first_token_due(a)) {
        due = due_after(a->send_ended_ns, c->timeouts.first_token_ns);
        *missed = FAILURE_FIRST_TOKEN_TIMEOUT;
    }
    uint64_t idle = answer_under_way(a) ? due_after(a->progress_ns, c->timeouts.idle_ns) : TIMER_NEVER;
    if (idle < due) {
        due = idle;
        *missed = FAILURE_IDLE_TIMEOUT;
    }
    return due;
}

/* When an answer that is over is ended without waiting for the provider any longer. */
static uint64_t over_due(const struct attempt *a) {
    if (a->exchange->upstream_paused || !answer_is_over(a)) return TIMER_NEVER;
    return observer_seen(a->observer)->terminator_ns + TERMINATOR_GRACE_NS;
}

static uint64_t sooner(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

/* When something is to be done that is no failure: a held answer goes out without its content, another attempt begins
 * beside this one, or the answer is over. */
static uint64_t turn_due(const struct attempt *a) {
    uint64_t hold = a->holding ? a->head_ns + a->exchange->failover->first->conf->commit_after_ns : TIMER_NEVER;
    uint64_t hedge = a->hedge_due_ns != 0 ? a->hedge_due_ns : TIMER_NEVER;
    return sooner(sooner(hold, hedge), over_due(a));
}

/* Which deadline the attempt's state calls for, and the failure that missing it is, or none. */
static uint64_t deadline_of(const struct attempt *a, enum failure *missed) {
    *missed = FAILURE_NONE;
    if (a->not_before_ns != 0) return a->not_before_ns;
    uint64_t failure = failure_due(a, missed), turn = turn_due(a);
    if (turn >= failure) return failure;
    *missed = FAILURE_NONE;
    return turn;
}

void attempt_deadline(struct attempt *a) {
    enum failure missed;
    uint64_t due = deadline_of(a, &missed);
    timer_set(&a->exchange->worker->loop->wheel, &a->deadline, due);
}

static void attempt_wake(struct attempt *a);

/* A refusal whose rest does not come is known by its status; anything else may yet become an answer. */
static void hold_expire(struct attempt *a) {
    struct exchange *x = a->exchange;
    if (a->refused != FAILURE_NONE && attempt_survives(a, a->refused)) {
        stage_run(x);
        return;
    }
    hold_release(a);
    attempt_deadline(a);
    attempt_run(a);
}

static void turn_take(struct attempt *a) {
    uint64_t now = a->exchange->worker->loop->now_ns;
    if (a->not_before_ns != 0) {
        attempt_wake(a);
    } else if (over_due(a) <= now) {
        answer_finish(a);
    } else if (a->hedge_due_ns != 0 && a->hedge_due_ns <= now) {
        race_begin(a);
        attempt_deadline(a);
    } else {
        hold_expire(a);
    }
}

static void deadline_fire(struct timer *t) {
    struct attempt *a = (struct attempt *)((char *)t - offsetof(struct attempt, deadline));
    struct exchange *x = a->exchange;
    enum failure missed;
    attempt_callback_begin(a);
    uint64_t due = deadline_of(a, &missed);
    if (due > x->worker->loop->now_ns)
        timer_set(&x->worker->loop->wheel, &a->deadline, due);
    else if (missed != FAILURE_NONE)
        attempt_failed(a, missed);
    else
        turn_take(a);
    exchange_callback_end(x);
}

static void connection_taken(struct attempt *a, struct upstream *u) {
    a->up = u;
    u->user = a;
    a->connected = a->reused = true;
    conn_owner_set(u->conn, &answer_ops, u);
    conn_deadline_set(u->conn, TIMER_NEVER);
}

static void in_line_set(struct attempt *a, bool waits) {
    const struct exchange *x = a->exchange;
    if (a->in_line == waits) return;
    a->in_line = waits;
    if (x->flight != NULL) traffic_queue(x->flight, waits);
}

static void line_ready(struct pool_wait *w, struct upstream *u) {
    struct attempt *a = (struct attempt *)((char *)w - offsetof(struct attempt, waiting));
    struct exchange *x = a->exchange;
    attempt_callback_begin(a);
    in_line_set(a, false);
    a->called = true;
    a->connect_from_ns = x->worker->loop->now_ns;
    if (u != NULL && a->fresh_only) { /* its permit will do for another */
        pool_discard(u);
        u = NULL;
    }
    if (u != NULL)
        connection_taken(a, u);
    else
        attempt_deadline(a);
    attempt_run(a);
    exchange_callback_end(x);
}

/* What every try begins with: `a` is all zero but for its exchange, its target, and the request as that one gets it. */
static void attempt_start(struct attempt *a, enum phase first) {
    struct exchange *x = a->exchange;
    a->pool = &x->worker->pools[a->target->provider->origin->slot];
    a->waiting.ready = line_ready;
    a->deadline.fire = deadline_fire;
    if (a->observer_memory == NULL) a->observer_memory = x->scan_memory;
    ledger_begin(&a->ledger, first, x->ledger.since_ns);
}

static void attempt_count(struct attempt *a, uint64_t now_ns) {
    a->begun_ns = a->connect_from_ns = now_ns;
    a->n = ++a->exchange->attempts;
    target_entered(a);
}

void attempt_begin(struct exchange *x) {
    struct attempt *a = x->attempt;
    a->target = x->target;
    route_prepare(a);
    uint64_t now = loop_stamp(x->worker->loop); /* what came before was `admit` */
    ledger_enter(&x->ledger, PHASE_RETRY, now);
    attempt_start(a, PHASE_QUEUE);
    attempt_count(a, now);
    if (x->failover != NULL) race_arm(a);
    a->probe = x->probe;
    x->probe = false;
    x->attempting = true;
}

void attempt_begin_beside(struct attempt *a, struct exchange *x, const struct target *target) {
    uint64_t now = loop_stamp(x->worker->loop);
    ledger_enter(&x->ledger, PHASE_RETRY, now);
    a->exchange = x;
    a->target = target;
    a->stage = STAGE_QUEUE;
    route_prepare(a);
    attempt_start(a, PHASE_QUEUE);
    attempt_count(a, now);
}

void attempt_again(struct attempt *a) {
    struct exchange *x = a->exchange;
    bool probe = a->probe;
    a->probe = false; /* what is stale says nothing of the target */
    attempt_release(a, false);
    uint64_t now = loop_stamp(x->worker->loop);
    given_up_note(x, a, now);
    ledger_enter(&x->ledger, PHASE_RETRY, now);
    *a = (struct attempt){.exchange = x,
                          .probe = probe,
                          .target = a->target,
                          .observer_memory = a->observer_memory,
                          .hedge_due_ns = a->hedge_due_ns,
                          .path_out = a->path_out,
                          .edits = a->edits,
                          .usage_injected = a->usage_injected,
                          .fresh_only = true};
    attempt_start(a, PHASE_QUEUE);
    attempt_count(a, now);
}

void attempt_next(struct attempt *a, const struct target *target, uint64_t not_before_ns) {
    struct exchange *x = a->exchange;
    attempt_release(a, a->refused_whole && a->keep && a->sent);
    buf_clear(&a->held);
    buf_clear(&a->stash);
    uint64_t now = loop_stamp(x->worker->loop);
    given_up_note(x, a, now);
    ledger_enter(&x->ledger, PHASE_RETRY, now);
    *a = (struct attempt){
        .exchange = x, .target = target, .observer_memory = a->observer_memory, .not_before_ns = not_before_ns};
    x->target = target;
    route_count(x);
    route_prepare(a);
    attempt_start(a, not_before_ns != 0 ? PHASE_RETRY : PHASE_QUEUE);
    x->stage = STAGE_QUEUE;
    if (not_before_ns == 0)
        attempt_count(a, now);
    else
        attempt_deadline(a);
}

/* The back-off is over. */
static void attempt_wake(struct attempt *a) {
    struct exchange *x = a->exchange;
    a->not_before_ns = 0;
    attempt_count(a, x->worker->loop->now_ns);
    ledger_enter(&a->ledger, PHASE_QUEUE, x->worker->loop->now_ns);
    stage_run(x);
}

static void resolution_drop(struct attempt *a) {
    struct resolution *r = a->resolution;
    a->resolution = NULL;
    if (r == NULL) return;
    if (r->answered)
        mem_free(r);
    else
        r->a = NULL;
}

void attempt_release(struct attempt *a, bool keep) {
    if (a->pool == NULL) return; /* never begun */
    target_left(a);
    timer_cancel(&a->exchange->worker->loop->wheel, &a->deadline);
    pool_wait_leave(a->pool, &a->waiting);
    in_line_set(a, false);
    resolution_drop(a);
    buf_clear(&a->head_part);
    if (a->up == NULL) return;
    struct upstream *u = a->up;
    a->up = NULL;
    if (u->conn != NULL) a->rtt_ns = conn_rtt_ns(u->conn);
    if (keep)
        pool_checkin(u);
    else
        pool_discard(u);
}

/* ---- stage: queue ---- */

static enum failure line_join(struct attempt *a) {
    const struct config_queue *queue = &a->target->provider->conf->queue;
    if (queue->wait_ns == 0 || atomic_load(&a->pool->origin->permits.queued_count) >= queue->size)
        return FAILURE_QUEUE_FULL;
    in_line_set(a, true);
    ledger_enter(&a->ledger, PHASE_QUEUE, a->exchange->worker->loop->now_ns);
    a->waiting.group = a->exchange->tenant->name_id;
    pool_wait_join(a->pool, &a->waiting);
    attempt_deadline(a);
    return FAILURE_NONE;
}

enum step queue_enter(struct exchange *x, struct attempt *a) {
    (void)x;
    if (a->in_line || a->not_before_ns != 0) return STEP_WAIT;
    if (a->up != NULL) return STEP_NEXT;
    bool others_first = a->pool->first_waiting != NULL; /* a connection that came back is theirs */
    struct upstream *u = a->fresh_only || others_first ? NULL : pool_checkout(a->pool);
    if (u != NULL) connection_taken(a, u);
    return STEP_NEXT;
}

void queue_cancel(struct exchange *x, struct attempt *a) {
    (void)x;
    attempt_release(a, false);
}

/* ---- stage: connect ---- */

static void resolved(struct message *m, void *context) {
    (void)context;
    struct resolve *ask = (struct resolve *)((char *)m - offsetof(struct resolve, message));
    struct resolution *r = (struct resolution *)((char *)ask - offsetof(struct resolution, ask));
    struct attempt *a = r->a;
    r->answered = true;
    if (a == NULL) {
        mem_free(r);
        return;
    }
    attempt_callback_begin(a);
    attempt_run(a);
    exchange_callback_end(a->exchange);
}

static struct resolution *resolve_begin(struct attempt *a) {
    const struct origin *o = a->pool->origin;
    size_t host_bytes = strlen(o->host) + 1, port_bytes = strlen(o->port) + 1;
    struct resolution *r = mem_zalloc(sizeof *r + host_bytes + port_bytes);
    r->a = a;
    memcpy(r->names, o->host, host_bytes);
    memcpy(r->names + host_bytes, o->port, port_bytes);
    r->ask.message.run = resolved;
    r->ask.inbox = &a->exchange->worker->inbox;
    r->ask.host = r->names;
    r->ask.port = r->names + host_bytes;
    a->resolution = r;
    r->answered = resolver_ask(a->exchange->worker->resolver, &r->ask);
    attempt_deadline(a);
    return r;
}

/* Without a permit, one that wants a fresh connection gives up an idle one: it was right not to take it. */
static struct upstream *connection_open(struct attempt *a, unsigned address) {
    const struct addresses *list = &a->resolution->ask.answer;
    struct upstream *u;
    do {
        u = pool_open(a->pool, (const struct sockaddr *)&list->list[address], list->lengths[address], &answer_ops, a);
    } while (u == NULL && errno == EDQUOT && a->fresh_only && pool_close_oldest(a->pool));
    return u;
}

/* Opens a connection to the next address. FAILURE_NONE: under way, or in line for a permit. */
static enum failure connect_next(struct attempt *a) {
    const struct addresses *list = &a->resolution->ask.answer;
    if (list->count == 0) return FAILURE_DNS_FAILED;
    if (!a->called && a->pool->first_waiting != NULL) return line_join(a);
    while (a->address_next < list->count) {
        ledger_enter(&a->ledger, PHASE_CONNECT, loop_stamp(a->exchange->worker->loop));
        a->up = connection_open(a, a->address_next);
        if (a->up == NULL && errno == EDQUOT) return line_join(a);
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
    const struct resolution *r = a->resolution != NULL ? a->resolution : resolve_begin(a);
    if (!r->answered) return STEP_WAIT;
    enum failure f = connect_next(a);
    if (f == FAILURE_NONE) return STEP_WAIT;
    x->failure = f;
    return STEP_FAIL;
}

void connect_cancel(struct exchange *x, struct attempt *a) {
    (void)x;
    attempt_release(a, false);
}
