/* telemetry/changes.h: what the workers have counted since the last look. One thread (the recorder) looks once a
 * second; nothing is ever counted twice or missed: the looks' differences add up to the workers' tables, exactly,
 * once the workers have ended. Between two looks numbers of one exchange may fall on both sides.
 *
 * How to build on it: the recorder hands each look's rows to who keeps sums of them (telemetry/usage.h by the minute,
 * hour and day; windows of the last seconds). They must copy what they keep: row_add() into a row of their own. */
#pragma once
#include "telemetry/row.h"

#define CHANGES_TRAFFICS_MAX 256

struct changes {
    uint64_t from_ns, to_ns;          /* monotonic: between which two looks; `from_ns` is 0 for the first */
    int64_t from_unix_ns, to_unix_ns; /* the same by the wall clock, which may jump; the first is from and to now */
    /* Every group of exchanges that ended in between, or that has some in flight: summed over all workers, the latter
     * with numbers of 0. What weir answers itself is not among them. Tenant, provider, model or workload may be
     * NAME_NONE: not known. */
    struct row_table rows;
    struct changes_seen *seen[CHANGES_TRAFFICS_MAX]; /* what the last look saw, a worker each */
    _Atomic unsigned watched;
};

void changes_init(struct changes *c);
/* From any one thread; `t` must live until changes_clear(). */
void changes_watch(struct changes *c, const struct traffic *t);
void changes_read(struct changes *c, uint64_t now_ns, int64_t unix_ns); /* the looking thread only */
void changes_clear(struct changes *c);
