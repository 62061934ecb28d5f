/* What the gateway's own measuring costs is the difference to a binary without it: bench/telemetry.py. This file is
 * linked in front of the libraries (make build/release/weir-bare), so that its functions take the place of theirs: the
 * ledger keeps no phases, nothing is added to histograms and tables, no record reaches the recorder. Records are still
 * made, because limits go by them, and clocks are still read, because deadlines do. Nothing of this is in the gateway.
 */
#include <stddef.h>

#include "base/ring.h"
#include "telemetry/exemplars.h"
#include "telemetry/ledger.h"

void ledger_begin(struct ledger *l, enum phase first, uint64_t now_ns) {
    *l = (struct ledger){.begin_ns = now_ns, .since_ns = now_ns, .now = first};
}

void ledger_enter(struct ledger *l, enum phase next, uint64_t now_ns) {
    (void)now_ns;
    l->now = next;
}

void ledger_woke(struct ledger *l, uint64_t wake_ns, uint64_t now_ns) {
    (void)l, (void)wake_ns, (void)now_ns;
}

uint64_t ledger_end(struct ledger *l, uint64_t now_ns) {
    return now_ns - l->begin_ns;
}

void ledger_adopt(struct ledger *exchange, struct ledger *winner, uint64_t now_ns) {
    (void)exchange, (void)winner, (void)now_ns;
}

void histogram_add_many(struct histogram *h, uint64_t value, unsigned count) {
    (void)h, (void)value, (void)count;
}

void traffic_add(struct traffic *t, const struct record *r) {
    (void)t, (void)r;
}

struct traffic_group *traffic_enter(struct traffic *t, const struct traffic_key *key, uint32_t operation) {
    static struct traffic_group none;
    (void)t, (void)key, (void)operation;
    return &none;
}

void traffic_gap(struct traffic_group *g, uint64_t ns, unsigned count) {
    (void)g, (void)ns, (void)count;
}

void traffic_leave(struct traffic_group *g) {
    (void)g;
}

void traffic_queue(struct traffic_group *g, bool waits) {
    (void)g, (void)waits;
}

void exemplars_add(struct exemplars *e, const struct record *r) {
    (void)e, (void)r;
}

void *ring_reserve(struct ring *r, size_t n) {
    (void)r, (void)n;
    return NULL;
}
