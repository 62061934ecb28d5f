/* Going on after a failed try. The order: targets of the alias that had fewer tries and are not left alone; the one
 * that just failed only when no other is left; then the next alias of the chain. Another target is tried at once, one
 * that has failed before only after the back-off. The hard part is that nothing may have gone to the client, and that
 * everything the failed try was waiting for is taken back first: attempt_next() sees to that. */
#include "failover.h"

#include <assert.h>

#include "base/random.h"
#include "complaint.h"
#include "loss.h"
#include "race.h"
#include "relay.h"
#include "targets.h"

struct failover *failover_new(struct exchange *x, const struct alias *a) {
    struct failover *o = arena_zalloc(&x->arena, sizeof *o);
    o->first = o->alias = a;
    if (x->facts == NULL) return o;
    o->model_in_body = !x->route.model_in_path;
    o->model_begin = x->facts->model_begin;
    o->model_end = x->facts->model_end;
    if (x->stream) request_inject_usage(x->facts, &o->inject, &x->arena);
    return o;
}

/* ---- where ---- */

struct next { /* try */
    const struct target *target;
    uint64_t at_ns;
    bool probe;
};

static uint8_t *tries_of(struct failover *o, const struct target *t) {
    size_t i = (size_t)(t - o->alias->targets);
    assert(i < o->alias->target_count);
    return &o->tries[i];
}

/* Another target than the one that failed: at once when it is new, else after the back-off. */
static bool next_other(const struct exchange *x, const struct target *failed, uint64_t now_ns, struct next *n) {
    static const struct retry_hint nothing_said;
    struct failover *o = x->failover;
    struct choice c = {.alias = o->alias,
                       .dialect = x->route.dialect,
                       .tries = o->tries,
                       .attempts_max = o->alias->retry.attempts,
                       .now_ns = now_ns};
    if (failed != NULL) c.without = UINT64_C(1) << (failed - o->alias->targets);
    n->target = target_choose(&c, &n->probe);
    if (n->target == NULL) return false;
    unsigned tries = *tries_of(o, n->target);
    n->at_ns = now_ns;
    if (tries > 0) n->at_ns += retry_delay_ns(&o->alias->retry, tries, &nothing_said, random_u64());
    return true;
}

/* The same one again, when it may be asked by then. It is no probe: who has waited as told may come. */
static bool next_same(const struct exchange *x, const struct attempt *a, uint64_t now_ns, struct next *n) {
    struct failover *o = x->failover;
    const struct target *t = a->target;
    unsigned tries = *tries_of(o, t);
    if (tries >= o->alias->retry.attempts) return false;
    *n = (struct next){t, now_ns + retry_delay_ns(&o->alias->retry, tries, &a->hint, random_u64()), false};
    if (t->health == NULL || health_state_of(t->health) != HEALTH_COOLING) return true;
    return health_until_ns(t->health) <= n->at_ns;
}

static bool next_along_the_chain(const struct exchange *x, uint64_t now_ns, struct next *n) {
    struct failover *o = x->failover;
    while (o->chain_next < o->first->chain_count) {
        o->alias = o->first->chain[o->chain_next++];
        memset(o->tries, 0, sizeof o->tries);
        if (next_other(x, NULL, now_ns, n)) return true;
    }
    return false;
}

const struct target *failover_first(struct exchange *x) {
    uint64_t now = x->worker->loop->now_ns;
    struct next n;
    if (!next_other(x, NULL, now, &n) && !next_along_the_chain(x, now, &n)) return NULL;
    ++*tries_of(x->failover, n.target);
    x->probe = n.probe;
    return n.target;
}

uint64_t failover_until_ns(const struct exchange *x) {
    const struct alias *first = x->failover->first;
    uint64_t least = targets_until_ns(first, x->route.dialect);
    for (size_t i = 0; i < first->chain_count; i++) {
        uint64_t until = targets_until_ns(first->chain[i], x->route.dialect);
        if (until < least) least = until;
    }
    return least;
}

/* ---- whether ---- */

static bool tries_left(const struct exchange *x) {
    const struct failover *o = x->failover;
    if (x->attempts >= FAILOVER_ATTEMPTS_MAX) return false;
    for (size_t i = 0; i < o->alias->target_count; i++)
        if (o->alias->targets[i].provider->dialect == x->route.dialect && o->tries[i] < o->alias->retry.attempts)
            return true;
    for (size_t i = o->chain_next; i < o->first->chain_count; i++)
        if (alias_speaks(o->first->chain[i], x->route.dialect)) return true;
    return false;
}

bool failover_holds(const struct attempt *a) {
    const struct exchange *x = a->exchange;
    bool others = tries_left(x) || race_runs(x);
    if (a->refused == FAILURE_NONE) return others || a->hedge_due_ns != 0;
    return others && retry_wanted(&x->failover->alias->retry, a->refused, a->status, &a->hint);
}

static bool take_over(struct attempt *a, enum failure f) {
    struct exchange *x = a->exchange;
    struct failover *o = x->failover;
    struct next n;
    if (o == NULL || x->answered || x->client == NULL || !tries_left(x)) return false;
    if (!retry_wanted(&o->alias->retry, f, a->status, &a->hint)) return false;
    uint64_t now = loop_stamp(x->worker->loop), due = x->total.due_ns != 0 ? x->total.due_ns : TIMER_NEVER;
    if (!next_other(x, a->target, now, &n) && !next_same(x, a, now, &n) && !next_along_the_chain(x, now, &n))
        return false;
    if (n.at_ns >= due) {
        if (n.probe) health_undecided(n.target->health, now);
        return false;
    }
    ++*tries_of(o, n.target);
    loss_note(a, f);
    a->failure = f; /* a deadline has not noted it */
    attempt_next(a, n.target, n.at_ns > now ? n.at_ns : 0);
    a->probe = n.probe;
    return true;
}

/* What its status says of a refusal whose body is still to come is all that is known of it. */
bool attempt_survives(struct attempt *a, enum failure f) {
    struct exchange *x = a->exchange;
    if (x->settled || x->stage == STAGE_SETTLE) return false;
    complain(a, f, "");
    target_failed(a, a->refused != FAILURE_NONE ? a->refused : f);
    bool other = race_lost(a, f);
    if (other || take_over(a, a->refused != FAILURE_NONE ? a->refused : f)) {
        x->failure = FAILURE_NONE;
        return true;
    }
    if (!a->holding || !a->refused_whole) return false;
    x->failure = FAILURE_NONE;
    relay_refusal(a);
    return true;
}

void attempt_failed(struct attempt *a, enum failure f) {
    if (attempt_survives(a, f))
        stage_run(a->exchange);
    else
        exchange_fail(a->exchange, f);
}
