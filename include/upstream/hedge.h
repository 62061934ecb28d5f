/* upstream/hedge.h: how many second attempts an alias may make beside its requests: each request earns a share of one.
 * Shared by all workers; while nothing is spent it fills up, and then a request only looks at it. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { HEDGE_COST = 100, HEDGE_SAVED_MAX = 10 * HEDGE_COST }; /* a request earns the budget in percent */

struct hedge_budget { /* zero: nothing saved */
    _Atomic uint32_t saved;
};

void hedge_earn(struct hedge_budget *b, uint32_t percent);
bool hedge_spend(struct hedge_budget *b); /* false: there is not enough for one */
/* When a second attempt is due: not before after_ns, at most a sixteenth of that later, so that requests close to each
 * other wait for the same instant and the loop is woken once for all of them. */
uint64_t hedge_due_ns(uint64_t begun_ns, uint64_t after_ns);
