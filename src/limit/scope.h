/* limit/scope.h: the counts of one scope (a tenant as a whole, or one model of it) against its configured limits. The
 * tenant's lock is held around all of it. */
#pragma once
#include "bucket.h"
#include "budget.h"
#include "limit/limit.h"
#include "window.h"

struct limit_state { /* zero-initialise */
    struct window requests;
    struct bucket tokens;
    uint64_t concurrent;
    struct budget day, month;
    struct slice model;       /* owned; empty: the tenant's own */
    struct limit_state *next; /* the tenant's models */
};

struct scope { /* one decision's look at a scope */
    const struct config_limit *limit;
    struct limit_state *state;
    const struct period *day, *month;
    struct slice model; /* as configured; empty: the tenant's own */
    uint64_t now_ns;
};

uint64_t limit_max(const struct config_limit *limit, enum limit_kind k); /* CONF_UNLIMITED: none */
void scope_advance(const struct scope *s);
/* FAILURE_NONE, or why not: then *why is for the limit that is to be waited for longest. */
enum failure scope_judge(const struct scope *s, const struct limit_request *want, struct limit_refusal *why);
void scope_take(const struct scope *s, const struct limit_request *want, struct limit_hold *hold);
/* What was held becomes what was used; money only where its period still runs. */
void scope_settle(const struct limit_hold *hold, uint64_t reserved_pico_usd, uint64_t tokens, uint64_t pico_usd,
                  bool same_day, bool same_month);
unsigned scope_view(const struct scope *s, struct limit_row rows[LIMIT_COUNT]);
