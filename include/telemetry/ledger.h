/* telemetry/ledger.h: where an exchange's time went. Exactly one phase runs at any instant: enter() closes one and
 * opens the next with ONE stamp, clamped so that it never runs back, so the phases sum to the total by construction. An
 * exchange and each of its attempts embed one; when the exchange settles it adopts the winning attempt's upstream
 * phases and books the rest of that span as RETRY. Stamps are clock_now_ns() values. */
#pragma once
#include <stdint.h>

#include "facts/phases.h"

struct ledger {
    uint64_t begin_ns, since_ns, spent_ns[PHASE_COUNT];
    enum phase now;
};

void ledger_begin(struct ledger *l, enum phase first, uint64_t now_ns);
void ledger_enter(struct ledger *l, enum phase next, uint64_t now_ns); /* the same phase twice is free and harmless */
/* What arrived at wake_ns is handled from now_ns on: the running phase ends at wake_ns, the time between is LOOP, and
 * the same phase runs on from now_ns. */
void ledger_woke(struct ledger *l, uint64_t wake_ns, uint64_t now_ns);
uint64_t ledger_end(struct ledger *l, uint64_t now_ns); /* the total; asserts that it is the sum of the phases */
/* Adds the closed span of a winning attempt to the exchange's own ledger, which must be in RETRY since the attempt
 * began: the attempt's phases are booked, and only what it does not account for stays RETRY. */
void ledger_adopt(struct ledger *exchange, struct ledger *winner, uint64_t now_ns);
