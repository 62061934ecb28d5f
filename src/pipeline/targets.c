/* Choosing a target and judging it. The usual alias has one or two targets that are up, and costs a look at a word of
 * each. What makes choosing more than a draw is that a target that comes out of a cool-down takes one probe: when
 * another worker was quicker the draw is made again without it. */
#include "targets.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/random.h"

static bool is_candidate(const struct choice *c, size_t i) {
    const struct target *t = &c->alias->targets[i];
    if (t->provider->dialect != c->dialect || (c->without >> i & 1)) return false;
    if (c->tries != NULL && c->tries[i] >= c->attempts_max) return false;
    return t->health == NULL || health_usable(t->health, c->now_ns);
}

/* The candidates with the fewest tries, as bits. */
static uint64_t candidates(const struct choice *c) {
    uint64_t set = 0;
    unsigned least = UINT8_MAX;
    for (size_t i = 0; i < c->alias->target_count; i++) {
        unsigned tries = c->tries != NULL ? c->tries[i] : 0;
        if (tries > least || !is_candidate(c, i)) continue;
        if (tries < least) set = 0;
        least = tries;
        set |= UINT64_C(1) << i;
    }
    return set;
}

static int draw(const struct alias *a, uint64_t set) {
    uint64_t weights = 0;
    if ((set & (set - 1)) == 0) return set != 0 ? __builtin_ctzll(set) : -1;
    for (uint64_t rest = set; rest != 0; rest &= rest - 1) weights += a->targets[__builtin_ctzll(rest)].weight;
    uint64_t at = random_u64() % weights;
    for (uint64_t rest = set;; rest &= rest - 1) {
        assert(rest != 0);
        int i = __builtin_ctzll(rest);
        if (at < a->targets[i].weight) return i;
        at -= a->targets[i].weight;
    }
}

/* Two drawn, the better one taken: nearly as good as looking at all, and a slow one is not flooded once it recovers. */
static int draw_quicker(const struct choice *c, uint64_t set) {
    int one = draw(c->alias, set), other = one >= 0 ? draw(c->alias, set & ~(UINT64_C(1) << one)) : -1;
    if (other < 0) return one;
    const struct health *a = c->alias->targets[one].health, *b = c->alias->targets[other].health;
    if (a == NULL || b == NULL) return one;
    return health_score(b, c->now_ns) < health_score(a, c->now_ns) ? other : one;
}

const struct target *target_choose(struct choice *c, bool *probe) {
    for (;;) {
        uint64_t set = candidates(c);
        int i = c->alias->balances ? draw_quicker(c, set) : draw(c->alias, set);
        *probe = false;
        if (i < 0) return NULL;
        const struct target *t = &c->alias->targets[i];
        if (t->health == NULL || health_enter(t->health, c->now_ns, probe)) return t;
        c->without |= UINT64_C(1) << i;
    }
}

uint64_t targets_until_ns(const struct alias *a, enum dialect d) {
    uint64_t first = UINT64_MAX;
    for (size_t i = 0; i < a->target_count; i++) {
        const struct target *t = &a->targets[i];
        if (t->provider->dialect != d) continue;
        uint64_t until = t->health != NULL ? health_until_ns(t->health) : 0;
        if (until < first) first = until;
    }
    return first;
}

/* ---- what a try says of its target ---- */

void target_entered(struct attempt *a) {
    if (!a->target->balanced || a->counted) return;
    a->counted = true;
    atomic_fetch_add_explicit(&a->target->health->in_flight, 1, memory_order_relaxed);
}

void target_left(struct attempt *a) {
    if (a->counted) atomic_fetch_sub_explicit(&a->target->health->in_flight, 1, memory_order_relaxed);
    a->counted = false;
    if (a->probe) health_undecided(a->target->health, a->exchange->worker->loop->now_ns);
    a->probe = false;
}

void target_succeeded(struct attempt *a) {
    struct health *h = a->target->health;
    if (h == NULL || a->judged) return;
    a->judged = true;
    a->probe = false;
    health_succeeded(h, a->exchange->worker->loop->now_ns);
    if (!a->target->timed || a->observer == NULL) return;
    uint64_t first_ns = observer_seen(a->observer)->first_token_ns;
    if (first_ns > a->send_ended_ns) health_first_token(h, first_ns - a->send_ended_ns, first_ns);
}

/* It would have taken longer than it has: that counts, or the slow ones would never be seen. */
void target_late(const struct attempt *a) {
    uint64_t now = a->exchange->worker->loop->now_ns;
    if (a->target->timed && a->sent) health_first_token(a->target->health, now - a->send_ended_ns, now);
}

/* Does it say anything of the provider's health? A refused request and the exchange's own deadline do not. */
static bool tells(enum failure f) {
    static const bool silent[FAILURE_COUNT] = {[FAILURE_PROVIDER_REJECTED] = true,
                                               [FAILURE_TOTAL_TIMEOUT] = true,
                                               [FAILURE_NO_TARGET] = true,
                                               [FAILURE_WRONG_DIALECT] = true};
    return failure_row(f)->source == SOURCE_PROVIDER && !silent[f];
}

void target_failed(struct attempt *a, enum failure f) {
    struct health *h = a->target->health;
    if (f == FAILURE_PROVIDER_REJECTED) target_succeeded(a);
    if (h == NULL || a->blamed || !tells(f)) return;
    a->judged = a->blamed = true;
    a->probe = false;
    bool busy = f == FAILURE_RATE_LIMITED || f == FAILURE_OVERLOADED;
    uint64_t asked_ns = busy && a->hint.after_said ? a->hint.after_ns : 0;
    health_failed(h, a->exchange->worker->loop->now_ns, asked_ns, failure_row(f)->name);
}
