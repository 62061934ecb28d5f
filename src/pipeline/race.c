/* Hedging. Until one of them brings content both attempts hold what they get, each with its own connection, deadline,
 * observer and ledger, so the winner is simply the exchange's attempt from then on. The hard part is that either may
 * end in any way at any instant: everything that happens to an attempt goes through attempt_run() and attempt_failed(),
 * which know which of the two it is. */
#include "race.h"

#include <assert.h>

#include "base/clock.h"
#include "failover.h"
#include "given_up.h"
#include "loss.h"
#include "route.h"
#include "targets.h"

static struct attempt *rival_of(const struct exchange *x) {
    return x->failover != NULL ? x->failover->rival : NULL;
}

bool race_runs(const struct exchange *x) {
    return rival_of(x) != NULL;
}

/* Only streams: of a whole answer nobody knows how long it should take. */
void race_arm(struct attempt *a) {
    const struct exchange *x = a->exchange;
    const struct alias *alias = x->failover->alias;
    uint64_t after_ns = alias->hedge.after_ns;
    if (after_ns == 0 || !x->stream || x->failover->raced) return;
    if (x->attempts == 1) hedge_earn(alias->hedge.budget, alias->hedge.percent);
    if (after_ns == CONF_P95) after_ns = a->target->health != NULL ? health_late_ns(a->target->health) : 0;
    if (after_ns != 0) a->hedge_due_ns = hedge_due_ns(a->begun_ns, after_ns);
}

/* Another target that is up, or else the same one once more. */
static const struct target *rival_target(struct attempt *a, bool *probe) {
    const struct exchange *x = a->exchange;
    const struct alias *alias = x->failover->alias;
    struct choice c = {.alias = alias,
                       .dialect = x->route.dialect,
                       .without = UINT64_C(1) << (a->target - alias->targets),
                       .now_ns = x->worker->loop->now_ns};
    const struct target *t = target_choose(&c, probe);
    if (t != NULL) return t;
    bool up = a->target->health == NULL || health_state_of(a->target->health) == HEALTH_UP;
    return up ? a->target : NULL;
}

void race_begin(struct attempt *a) {
    struct exchange *x = a->exchange;
    struct failover *o = x->failover;
    bool probe = false;
    a->hedge_due_ns = 0;
    if (o->raced || x->attempts >= FAILOVER_ATTEMPTS_MAX || !hedge_spend(o->alias->hedge.budget)) return;
    const struct target *t = rival_target(a, &probe);
    if (t == NULL) return;
    struct attempt *r = arena_zalloc(&x->arena, sizeof *r);
    r->observer_memory = arena_alloc(&x->arena, observer_bytes());
    o->rival = r;
    o->raced = true;
    attempt_begin_beside(r, x, t);
    r->probe = probe;
    attempt_run(r);
}

/* The rival's walk through the attempt's stages, up to its content. */
static void rival_run(struct attempt *r) {
    struct exchange *x = r->exchange;
    while (r == rival_of(x)) {
        enum step step = stages[r->stage].enter(x, r);
        if (step == STEP_WAIT) return;
        if (step == STEP_FAIL) {
            enum failure f = x->failure;
            x->failure = FAILURE_NONE;
            attempt_failed(r, f);
            return;
        }
        if (step == STEP_RETRY) attempt_again(r);
        r->stage = step == STEP_RETRY ? STAGE_QUEUE : r->stage + 1;
        assert(r->stage <= STAGE_STREAM);
        ledger_enter(&r->ledger, stages[r->stage].phase, x->worker->loop->now_ns);
        if (r->stage == STAGE_STREAM) race_won(r); /* an answer without content that has ended */
    }
}

void attempt_run(struct attempt *a) {
    struct exchange *x = a->exchange;
    if (a == rival_of(x)) rival_run(a);
    if (a == x->attempt) stage_run(x);
}

static void cancel(struct attempt *a, enum failure f) {
    given_up_beside(a->exchange, a, f, loop_stamp(a->exchange->worker->loop));
    loss_note(a, f);
    attempt_release(a, false);
    buf_clear(&a->held);
    buf_clear(&a->stash);
}

/* The rival is the exchange's attempt from here on. The exchange counts at the rival's target, also as one that waits.
 */
static void take_over(struct exchange *x) {
    struct attempt *r = x->failover->rival;
    x->failover->rival = NULL;
    x->attempt = r;
    x->stage = r->stage;
    x->target = r->target;
    if (r->in_line && x->flight != NULL) traffic_queue(x->flight, false);
    route_count(x);
    if (r->in_line && x->flight != NULL) traffic_queue(x->flight, true);
}

void race_won(struct attempt *a) {
    struct exchange *x = a->exchange;
    struct attempt *r = rival_of(x);
    if (r == NULL) return;
    target_late(a == r ? x->attempt : r);
    cancel(a == r ? x->attempt : r, FAILURE_NONE);
    if (a == r)
        take_over(x);
    else
        x->failover->rival = NULL;
}

bool race_lost(struct attempt *a, enum failure f) {
    struct exchange *x = a->exchange;
    if (rival_of(x) == NULL) return false;
    cancel(a, f);
    if (a == rival_of(x))
        x->failover->rival = NULL;
    else
        take_over(x);
    return true;
}

void race_end(struct exchange *x) {
    struct attempt *r = rival_of(x);
    if (r == NULL) return;
    cancel(r, FAILURE_NONE);
    x->failover->rival = NULL;
}
