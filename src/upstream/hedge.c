/* The budget of second attempts. */
#include "upstream/hedge.h"

#include <stdatomic.h>

void hedge_earn(struct hedge_budget *b, uint32_t percent) {
    uint32_t saved = atomic_load_explicit(&b->saved, memory_order_relaxed);
    if (saved < HEDGE_SAVED_MAX) atomic_fetch_add_explicit(&b->saved, percent, memory_order_relaxed);
}

bool hedge_spend(struct hedge_budget *b) {
    uint32_t saved = atomic_load_explicit(&b->saved, memory_order_relaxed);
    while (saved >= HEDGE_COST)
        if (atomic_compare_exchange_weak_explicit(&b->saved, &saved, saved - HEDGE_COST, memory_order_relaxed,
                                                  memory_order_relaxed))
            return true;
    return false;
}

uint64_t hedge_due_ns(uint64_t begun_ns, uint64_t after_ns) {
    uint64_t due = begun_ns + after_ns, sixteenth = after_ns / 16;
    if (sixteenth < 2) return due;
    uint64_t mask = (UINT64_C(1) << (63 - __builtin_clzll(sixteenth))) - 1; /* a power of two at most that long */
    return (due + mask) & ~mask;
}
