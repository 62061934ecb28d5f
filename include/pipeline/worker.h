/* pipeline/worker.h: what one worker thread owns. Nothing here is shared on the hot path; what other threads read is
 * atomic with one writer. */
#pragma once
#include "base/blocks.h"
#include "base/ring.h"
#include "net/inbox.h"
#include "limit/limit.h"
#include "llm/estimate.h"
#include "net/resolver.h"
#include "pipeline/snapshot.h"
#include "telemetry/traffic.h"
#include "upstream/pool.h"

#define WORKER_SCRATCH_BYTES ((size_t)(160 * 1024))

struct worker {
    unsigned index;
    struct loop *loop;
    struct inbox inbox;
    const struct snapshot *conf;
    struct resolver *resolver; /* shared; thread-safe */
    struct limiter *limiter;   /* shared; thread-safe; NULL: nothing is limited */
    struct estimates estimates;
    struct block_pool blocks;
    struct pool pools[PROVIDERS_MAX]; /* by provider slot */
    struct client *clients;           /* all open client connections */
    struct exchange *dead;            /* to be freed at the end of the turn */
    struct loop_task reaper;
    struct ring *records; /* to the recorder */
    struct traffic traffic;
    struct histogram loop_lag;                /* from the wake-up to the callback of an exchange that was ready */
    _Atomic uint32_t client_count, in_flight; /* this thread writes, all read */
    void (*record_ready)(void *context);      /* the ring has something: called at most once a turn; may be NULL */
    void *record_context;
    struct loop_task record_wake;
    struct field fields[HEAD_FIELDS_MAX]; /* scratch for one head at a time */
    char scratch[WORKER_SCRATCH_BYTES];   /* scratch for composing one head */
    bool draining;
};

void worker_init(struct worker *w, unsigned index, const struct snapshot *conf, struct resolver *resolver,
                 struct ring *records);
void worker_clear(struct worker *w); /* after its loop has ended; everything open is closed */
/* No new work from here on: idle client connections close, those in use close after their answer. */
void worker_drain(struct worker *w);
void worker_cut(struct worker *w); /* ends what is still running: `draining`; clients may still take what is queued */
void worker_end(struct worker *w); /* … and those that do not are dropped: every exchange has settled */
