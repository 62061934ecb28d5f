/* limit/handover.h: passing the counts of limits to the process that takes over, so that a tenant gains nothing from an
 * upgrade. First all there is, at one instant of each tenant; from then on, whatever the old process still takes and
 * settles, as it happens; at last its end, with which what it still held is let go. Times are CLOCK_MONOTONIC's, which
 * both processes share. */
#pragma once
#include "base/buf.h"
#include "limit/limit.h"

/* ---- the old process; any thread ---- */
void limiter_export(struct limiter *l, struct buf *out); /* appends; what happens from here on is noted */
void limiter_noted(struct limiter *l, struct buf *out);  /* appends what was noted since it was last asked for */
void limiter_export_end(struct limiter *l); /* nobody took over: nothing is noted any more; harmless otherwise */

/* ---- the new process ---- */
/* False, and nothing changed, when the bytes are not what limiter_export() writes. Before anything is taken. */
bool limiter_import(struct limiter *l, struct slice state);
/* What limiter_noted() wrote. False when it goes on with something else: what came before it was applied. */
bool limiter_note_apply(struct limiter *l, struct slice notes, uint64_t now_ns, int64_t unix_ns);
void limiter_holder_gone(struct limiter *l); /* the old process has ended, however */
