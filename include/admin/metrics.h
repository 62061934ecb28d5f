/* admin/metrics.h: everything weir counts, as Prometheus reads it: its text format (version 0.0.4), or OpenMetrics 1.0
 * with exemplars. docs/metrics.md has every family. One row in src/admin/metrics.c is all a new family takes. */
#pragma once
#include "base/buf.h"
#include "limit/limit.h"
#include "telemetry/exemplars.h"

struct metrics_connections { /* of one provider, over all workers */
    struct slice provider;
    uint64_t idle, open;
};

struct metrics_reloads { /* of the configuration */
    uint64_t good, bad;
    bool last_was_good;
    int64_t loaded_unix_s; /* when the running one was loaded */
};

struct metrics_dropped { /* what one sink could not take in time */
    struct slice sink;
    uint64_t records;
};

struct metrics_exporter { /* a signal to a collector, in items: spans, log records, data points */
    struct slice endpoint, signal;
    uint64_t sent, dropped, rejected;
};

struct redis;

struct metrics_sources { /* what the numbers are read from; all of it may be written by other threads meanwhile */
    const struct traffic *const *traffics; /* one per worker */
    const struct histogram *const *loop_lags;
    unsigned worker_count;
    struct limiter *limiter;     /* NULL: nothing is limited */
    struct exemplars *exemplars; /* NULL: none are kept */
    const struct redis *redis;   /* NULL: nothing is shared */
    uint64_t (*in_flight)(void *context);
    uint64_t (*open_clients)(void *context);
    bool (*dropped)(void *context, unsigned sink, struct metrics_dropped *d);             /* false: no such sink */
    bool (*exporters)(void *context, unsigned i, struct metrics_exporter *e);             /* false: no such exporter */
    bool (*connections)(void *context, unsigned provider, struct metrics_connections *c); /* false: no such provider */
    void (*reloads)(void *context, struct metrics_reloads *r);
    void *context;
};

enum metrics_format { METRICS_TEXT, METRICS_OPENMETRICS };
struct slice metrics_content_type(enum metrics_format f);

struct metrics; /* remembers which label sets have series of their own: each keeps it; one thread */
struct metrics *metrics_new(const struct metrics_sources *s); /* copies *s */
void metrics_free(struct metrics *m);
/* Appends the page. Its size is bounded: of each kind of label set the first that come have series of their own, the
 * rest is summed under `_other`. */
void metrics_write(struct metrics *m, struct buf *out, enum metrics_format format);
