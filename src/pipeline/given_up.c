/* Remembering attempts that were given up. Most exchanges have none, and pay nothing for it: they are a list in the
 * exchange's arena. */
#include "given_up.h"

#include "pipeline/exchange.h"

struct given_up {
    struct given_up *next;
    struct record_attempt entry;
};

static enum failure reason(const struct exchange *x, const struct attempt *a) {
    if (a->stale) return FAILURE_RESET;
    if (a->refused != FAILURE_NONE) return a->refused;
    return a->failure != FAILURE_NONE ? a->failure : x->failure;
}

void given_up_note(struct exchange *x, const struct attempt *a, uint64_t now_ns) {
    given_up_beside(x, a, reason(x, a), now_ns);
}

void given_up_beside(struct exchange *x, const struct attempt *a, enum failure why, uint64_t now_ns) {
    if (x->given_up_count == RECORD_GIVEN_UP_MAX || a->n == 0) return;
    struct given_up *g = arena_alloc(&x->arena, sizeof *g), **end = &x->given_up;
    struct ledger ledger = a->ledger;
    ledger_enter(&ledger, ledger.now, now_ns);
    g->next = NULL;
    g->entry = (struct record_attempt){.n = (uint16_t)a->n,
                                       .status = a->status,
                                       .error = (uint8_t)why,
                                       .reused = a->reused,
                                       .stale = a->stale,
                                       .provider = a->target->provider->name_id,
                                       .model = a->target->model_id,
                                       .from_ns = ledger.begin_ns - x->ledger.begin_ns,
                                       .total_ns = ledger.since_ns - ledger.begin_ns};
    memcpy(g->entry.phase_ns, ledger.spent_ns, sizeof g->entry.phase_ns);
    while (*end != NULL) end = &(*end)->next;
    *end = g;
    x->given_up_count++;
}

void given_up_copy(const struct exchange *x, struct record_attempt *out) {
    for (const struct given_up *g = x->given_up; g != NULL; g = g->next) *out++ = g->entry;
}
