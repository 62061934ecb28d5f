/* limit/scope.h: the counts of one scope (a tenant as a whole, or one model of it) against its configured limits. The
 * tenant's lock is held around all of it. */
#pragma once
#include "bucket.h"
#include "budget.h"
#include "limit/limit.h"
#include "window.h"

struct limit_foreign { /* of what is held, the part that another process holds and will settle */
    uint64_t concurrent, tokens, pico_usd;
};

struct limit_state { /* zero-initialise */
    struct window requests;
    struct bucket tokens;
    uint64_t concurrent;
    struct budget day, month;
    struct slice model; /* owned; empty: the tenant's own */
    struct limit_foreign foreign;
    struct limit_told told[LIMIT_COUNT];
    uint64_t asked_ns[LIMIT_COUNT]; /* when what was told had been asked */
    uint64_t told_ns;               /* 0: never */
    struct limit_state *next;       /* the tenant's models */
};

struct scope { /* one decision's look at a scope */
    const struct config_limit *limit;
    struct limit_state *state;
    const struct period *day, *month;
    struct slice model; /* as configured; empty: the tenant's own */
    uint64_t now_ns;
    unsigned share; /* limits are divided by it */
};

uint64_t limit_max(const struct config_limit *limit, enum limit_kind k); /* CONF_UNLIMITED: none */
/* What a request takes of a limit of tokens or money: a guess gives way to the limit. */
uint64_t limit_tokens_wanted(const struct limit_request *want, uint64_t max);
uint64_t limit_money_wanted(const struct limit_request *want, uint64_t max);
void scope_advance(const struct scope *s);
/* FAILURE_NONE, or why not: then *why is for the limit that is to be waited for longest. */
enum failure scope_judge(const struct scope *s, const struct limit_request *want, struct limit_refusal *why);
void scope_take(const struct scope *s, const struct limit_request *want, struct limit_hold *hold);
/* What was held becomes what was used; money only where its period still runs. */
void scope_settle(const struct limit_hold *hold, uint64_t reserved_pico_usd, uint64_t tokens, uint64_t pico_usd,
                  bool same_day, bool same_month);
unsigned scope_view(const struct scope *s, struct limit_row rows[LIMIT_COUNT]);
unsigned scope_view_told(const struct scope *s, struct limit_row rows[LIMIT_COUNT]); /* by what others have told */
void state_tell(struct limit_state *state, uint64_t asked_ns, uint64_t now_ns, const struct limit_told *rows,
                unsigned count);
void state_tell_ahead(struct limit_state *state); /* one of what was taken ahead is used */
