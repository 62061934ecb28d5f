/* The ledger. The hard part is that stamps come from two sources, the loop's wake-up and the callbacks' own, and may
 * run back against each other by a callback's length: every stamp is clamped to the last one. */
#include "telemetry/ledger.h"

#include <assert.h>

void ledger_begin(struct ledger *l, enum phase first, uint64_t now_ns) {
    *l = (struct ledger){.begin_ns = now_ns, .since_ns = now_ns, .now = first};
}

void ledger_enter(struct ledger *l, enum phase next, uint64_t now_ns) {
    assert(next < PHASE_COUNT);
    if (now_ns > l->since_ns) {
        l->spent_ns[l->now] += now_ns - l->since_ns;
        l->since_ns = now_ns;
    }
    l->now = next;
}

void ledger_woke(struct ledger *l, uint64_t wake_ns, uint64_t now_ns) {
    enum phase running = l->now;
    ledger_enter(l, PHASE_LOOP, wake_ns);
    ledger_enter(l, running, now_ns);
}

uint64_t ledger_end(struct ledger *l, uint64_t now_ns) {
    ledger_enter(l, l->now, now_ns);
    uint64_t sum = 0, total = l->since_ns - l->begin_ns;
    for (int i = 0; i < PHASE_COUNT; i++) sum += l->spent_ns[i];
    assert(sum == total);
    return total;
}

void ledger_adopt(struct ledger *exchange, struct ledger *winner, uint64_t now_ns) {
    ledger_enter(exchange, exchange->now, now_ns);
    uint64_t covered = ledger_end(winner, exchange->since_ns);
    assert(winner->begin_ns >= exchange->begin_ns && exchange->spent_ns[PHASE_RETRY] >= covered);
    exchange->spent_ns[PHASE_RETRY] -= covered;
    for (int i = 0; i < PHASE_COUNT; i++) exchange->spent_ns[i] += winner->spent_ns[i];
}
