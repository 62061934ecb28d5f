/* Taking ahead (`mode: lease`): some requests, tokens, slots and money of each scope are taken before they are asked
 * for, so that most decisions need no round trip. What is ahead is a part of what this worker holds in Redis, so nobody
 * else gets it; what is not used for a second goes back; and it is not used any more when Redis was not heard of for so
 * long that it may have lapsed there. A decision that does not fit is asked as without. */
#include "shared.h"

#include "base/clock.h"

enum {
    WANTED_MIN = 8,
    WANTED_MAX = 1000000,
    TICKS_AHEAD = 4, /* of use at the pace of the last tick */
    TICKS_IDLE = 5,  /* without use: all of it goes back */
    AVERAGE_OF = 8,
};
#define ASK_NS (20 * NS_PER_MS) /* for more at the earliest after the message before */

static int64_t max_i64(int64_t a, int64_t b) {
    return a > b ? a : b;
}

static int64_t hold_pico(const struct ticket_hold *h) {
    return max_i64(h->day_pico, h->month_pico);
}

static bool is_of_money(const struct config_limit *limit) {
    return limit->pico_usd_per_day != CONF_UNLIMITED || limit->pico_usd_per_month != CONF_UNLIMITED;
}

/* A request of unknown size is let in while anything is left. */
static bool purse_fits(const struct ticket_hold *h, uint64_t now_ns) {
    const struct shared_scope *s = h->scope;
    const struct limit_purse *p = &s->purse;
    if (s->heard_ns == 0 || now_ns > s->heard_ns + AHEAD_NS) return false;
    if (s->limit.requests_per_minute != CONF_UNLIMITED && p->requests < 1) return false;
    if (s->limit.tokens_per_minute != CONF_UNLIMITED && p->tokens < max_i64(h->tokens, 1)) return false;
    if (s->limit.concurrent_requests != CONF_UNLIMITED && p->slots < 1) return false;
    return !is_of_money(&s->limit) || p->pico >= max_i64(hold_pico(h), 1);
}

static void purse_take(struct ticket_hold *h) {
    struct shared_scope *s = h->scope;
    struct limit_purse *p = &s->purse;
    if (s->limit.requests_per_minute != CONF_UNLIMITED) {
        p->requests--;
        s->truth.requests_ahead--;
        s->flow.window++;
    }
    p->tokens -= h->tokens;
    s->truth.tokens_ahead -= h->tokens;
    s->truth.tokens += h->tokens;
    h->of_slot = s->limit.concurrent_requests != CONF_UNLIMITED;
    if (h->of_slot)
        p->slots--;
    else
        s->truth.running++;
    int64_t pico = hold_pico(h);
    p->pico -= pico;
    if (s->limit.pico_usd_per_day != CONF_UNLIMITED) s->truth.day_pico += h->day_pico - pico;
    if (s->limit.pico_usd_per_month != CONF_UNLIMITED) s->truth.month_pico += h->month_pico - pico;
}

static void purse_learn(struct ticket_hold *h) {
    struct limit_purse *p = &h->scope->purse;
    p->used++;
    p->request_tokens += (h->tokens - p->request_tokens) / AVERAGE_OF;
    p->request_pico += (hold_pico(h) - p->request_pico) / AVERAGE_OF;
    if (p->request_tokens < h->tokens / 2) p->request_tokens = h->tokens;
    if (p->request_pico < hold_pico(h) / 2) p->request_pico = hold_pico(h);
}

/* ---- what should be ahead ---- */

static int64_t times(int64_t a, int64_t b) {
    int64_t product;
    return __builtin_mul_overflow(a, b, &product) ? INT64_MAX / 2 : product;
}

static int64_t tokens_wanted(const struct limit_purse *p) {
    return times(p->wanted, max_i64(p->request_tokens, 1));
}

static int64_t pico_wanted(const struct limit_purse *p) {
    return times(p->wanted, max_i64(p->request_pico, 1));
}

static bool purse_is_low(const struct shared_scope *s) {
    const struct config_limit *limit = &s->limit;
    const struct limit_purse *p = &s->purse;
    return (limit->requests_per_minute != CONF_UNLIMITED && p->requests < p->wanted / 2) ||
           (limit->tokens_per_minute != CONF_UNLIMITED && p->tokens < tokens_wanted(p) / 2) ||
           (limit->concurrent_requests != CONF_UNLIMITED && p->slots < p->wanted / 2) ||
           (is_of_money(limit) && p->pico < pico_wanted(p) / 2);
}

static int64_t missing_of(int64_t wanted, int64_t has) {
    return has < wanted / 2 ? wanted - has : 0;
}

/* ---- deciding ---- */

bool ahead_take(struct limit_ticket *t) {
    uint64_t now_ns = t->shared->options.loop->now_ns;
    bool fits = true, low = false;
    for (unsigned i = 0; i < t->hold_count; i++) {
        purse_learn(&t->holds[i]);
        fits = fits && purse_fits(&t->holds[i], now_ns);
    }
    for (unsigned i = 0; i < t->hold_count && fits; i++) purse_take(&t->holds[i]);
    for (unsigned i = 0; i < t->hold_count; i++) {
        struct limit_purse *p = &t->holds[i].scope->purse;
        if (p->wanted < WANTED_MIN) p->wanted = WANTED_MIN;
        if (p->used > p->wanted && p->wanted < WANTED_MAX) p->wanted *= 2;
        low |= purse_is_low(t->holds[i].scope);
    }
    if (low && now_ns - t->tenant->own->sent_ns > ASK_NS) {
        t->tenant->asks = true;
        shared_changed(t->tenant, true);
    }
    if (!fits) return false;
    shared_activate(t->tenant);
    t->state = TICKET_HELD;
    t->ahead = true;
    t->day = t->tenant->day;
    t->month = t->tenant->month;
    return true;
}

void ahead_want(const struct shared_scope *scope, struct limit_amounts *want) {
    const struct limit_purse *p = &scope->purse;
    if (p->wanted == 0) return;
    want->requests_ahead = missing_of(p->wanted, p->requests);
    want->tokens_ahead = missing_of(tokens_wanted(p), p->tokens);
    want->running = missing_of(p->wanted, p->slots);
    want->day_pico = want->month_pico = missing_of(pico_wanted(p), p->pico);
}

void ahead_got(struct shared_scope *scope, const struct limit_amounts *got) {
    struct limit_purse *p = &scope->purse;
    const struct config_limit *limit = &scope->limit;
    int64_t pico = limit->pico_usd_per_day == CONF_UNLIMITED     ? got->month_pico
                   : limit->pico_usd_per_month == CONF_UNLIMITED ? got->day_pico
                   : got->day_pico < got->month_pico             ? got->day_pico
                                                                 : got->month_pico;
    p->requests += got->requests_ahead;
    p->tokens += got->tokens_ahead;
    p->slots += got->running;
    p->pico += pico;
    scope->truth.requests_ahead += got->requests_ahead;
    scope->truth.tokens_ahead += got->tokens_ahead;
    scope->truth.running += got->running;
    if (limit->pico_usd_per_day != CONF_UNLIMITED) scope->truth.day_pico += pico;
    if (limit->pico_usd_per_month != CONF_UNLIMITED) scope->truth.month_pico += pico;
}

void ahead_drop(struct shared_scope *scope, bool known) {
    struct limit_purse *p = &scope->purse;
    scope->truth.requests_ahead -= p->requests;
    scope->truth.tokens_ahead -= p->tokens;
    if (known) scope->flow.tokens_back += p->tokens;
    scope->truth.running -= p->slots;
    if (scope->limit.pico_usd_per_day != CONF_UNLIMITED) scope->truth.day_pico -= p->pico;
    if (scope->limit.pico_usd_per_month != CONF_UNLIMITED) scope->truth.month_pico -= p->pico;
    p->requests = p->tokens = p->slots = p->pico = 0;
}

bool ahead_slot_back(struct limit_ticket *t, struct ticket_hold *h) {
    if (!h->of_slot || t->shared->leaving) return false;
    h->scope->purse.slots++;
    return true;
}

bool ahead_tick(struct shared_scope *scope) {
    struct limit_purse *p = &scope->purse;
    bool anything = (p->requests | p->tokens | p->slots | p->pico) != 0;
    if (p->used == 0) {
        p->wanted /= 2;
        if (++p->idle_ticks < TICKS_IDLE || !anything) return false;
        ahead_drop(scope, true);
        p->wanted = 0;
        return true;
    }
    p->idle_ticks = 0;
    int64_t wanted = times(p->used, TICKS_AHEAD);
    p->used = 0;
    p->wanted = wanted < WANTED_MIN ? WANTED_MIN : wanted > WANTED_MAX ? WANTED_MAX : (p->wanted + wanted) / 2;
    if (p->slots > 2 * p->wanted) {
        scope->truth.running -= p->slots - p->wanted;
        p->slots = p->wanted;
    }
    return purse_is_low(scope);
}
