/* admin/metrics.h: everything weir counts, in Prometheus' text format (version 0.0.4). One row in admin/metrics.c is
 * all a new family takes. */
#pragma once
#include "base/buf.h"
#include "limit/limit.h"
#include "telemetry/traffic.h"

struct metrics_connections { /* of one provider, over all workers */
    struct slice provider;
    uint64_t idle, open;
};

struct metrics_sources { /* what the numbers are read from; all of it may be written by other threads meanwhile */
    const struct traffic *const *traffics; /* one per worker */
    const struct histogram *const *loop_lags;
    unsigned worker_count;
    struct limiter *limiter; /* NULL: nothing is limited */
    uint64_t (*in_flight)(void *context);
    uint64_t (*open_clients)(void *context);
    uint64_t (*log_dropped)(void *context);
    bool (*connections)(void *context, unsigned provider, struct metrics_connections *c); /* false: no such provider */
    void *context;
};

void metrics_write(struct buf *out, const struct metrics_sources *s);
