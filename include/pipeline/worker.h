/* pipeline/worker.h: what one worker thread owns. Nothing here is shared on the hot path; what other threads read is
 * atomic with one writer. */
#pragma once
#include "base/blocks.h"
#include "base/ring.h"
#include "http/trace_context.h"
#include "net/inbox.h"
#include "limit/limit.h"
#include "limit/shared.h"
#include "llm/estimate.h"
#include "net/resolver.h"
#include "pipeline/pins.h"
#include "pipeline/snapshot.h"
#include "redis/client.h"
#include "telemetry/live.h"
#include "telemetry/usage.h"
#include "upstream/pool.h"

#define WORKER_SCRATCH_BYTES ((size_t)(160 * 1024))

struct worker {
    unsigned index;
    struct loop *loop;
    struct inbox inbox;
    const struct snapshot *conf; /* the newest */
    struct pins pins;            /* … and those that exchanges still hold */
    struct resolver *resolver;   /* shared; thread-safe */
    struct limiter *limiter;     /* shared; thread-safe; NULL: nothing is limited */
    struct waiting *waiting;     /* shared; thread-safe; NULL: nobody waits for limits */
    struct redis_client *redis;  /* its own; NULL: nothing is shared between instances */
    struct limit_shared *shared; /* limits over all instances; NULL: each counts for itself */
    struct live *live;           /* shared; thread-safe; NULL: nobody looks */
    struct slice redis_prefix;   /* of the keys there */
    struct usage_book *usage;    /* shared; thread-safe; NULL: not counted */
    struct estimates estimates;
    struct block_pool blocks;
    struct pool pools[ORIGINS_MAX]; /* by origin slot */
    struct client *clients;         /* all open client connections */
    struct exchange *dead;          /* to be freed at the end of the turn */
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
    bool draining, leaving;
    struct trace_sampler sampler; /* all zero: every trace is sampled */
};

/* w is zero. `first` is the configuration it begins with (worker_adopt). */
void worker_init(struct worker *w, unsigned index, struct pin *first, struct resolver *resolver, struct ring *records);
void worker_clear(struct worker *w); /* after its loop has ended; everything open is closed */
/* What begins from now on uses the pin's configuration. Connections to providers that have moved drain. */
void worker_adopt(struct worker *w, struct pin *next);
void worker_origin_clear(struct worker *w, unsigned slot); /* nobody needs this origin any more */
/* No new work from here on: idle client connections close, those in use close after their answer. */
void worker_drain(struct worker *w);
/* Another process has taken over: what comes on the connections there are is served, and each is told to end. */
void worker_leave(struct worker *w);
void worker_cut(struct worker *w); /* ends what is still running: `draining`; clients may still take what is queued */
void worker_end(struct worker *w); /* … and those that do not are dropped: every exchange has settled */
