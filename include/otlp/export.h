/* otlp/export.h: sends what weir measures to OpenTelemetry collectors (OTLP over HTTP, protobuf): spans of every
 * exchange, its record as a log line, and the metrics. On a thread of its own with bounded queues: a collector that is
 * dead, slow or lies costs traffic nothing, what cannot be delivered is dropped and counted. docs/otlp.md. */
#pragma once
#include "base/buf.h"
#include "conf/config.h"
#include "facts/record.h"
#include "http/trace_context.h"
#include "telemetry/traffic.h"

struct exports;

struct exports_options {
    const struct config *config; /* read while starting only */
    /* Appends the record as the text of a log line; on the export thread. */
    void (*line_write)(struct buf *out, const struct record *r, struct slice replica);
};

/* Starts the thread; NULL without `error` when there is nothing to export to, or with it (a CA file that cannot be
 * read). */
struct exports *exports_start(const struct exports_options *o, char *error, size_t error_bytes);
/* A record; from one thread, the recorder's. Copies it; never waits. NULL is allowed. */
void exports_record(void *exports, const struct record *r);

/* The configuration was loaded again: its providers are known from here on. Where is exported to stays. Any thread. */
void exports_follow(struct exports *e, const struct config *c);

struct exports_sources { /* what metrics are read from; other threads write it meanwhile; until exports_stop() */
    const struct traffic *const *traffics; /* one per worker */
    const struct histogram *const *loop_lags;
    unsigned worker_count;
    uint64_t (*in_flight)(void *context);
    void *context;
};
/* Metrics are sent from here on, each minute. Once, and before exports_stop(). */
void exports_measure(struct exports *e, const struct exports_sources *s);

/* Which traces OTEL_TRACES_SAMPLER wants: for the workers, who tell providers and mark records. */
struct trace_sampler exports_sampler(void);

struct exports_count {     /* of one exporter: a signal to an endpoint */
    struct slice endpoint; /* host:port, without path or credentials */
    const char *signal;
    uint64_t sent, dropped, rejected, failures; /* items; failures: requests that did not succeed */
};
/* The i-th exporter; false: there are not so many. Any thread. */
bool exports_count(const struct exports *e, unsigned i, struct exports_count *c);
uint64_t exports_spans_dropped(const struct exports *e); /* that some exporter did not get; any thread */
/* Sends what is left, for at most 5 s, joins the thread, frees. Whoever gives records has ended. */
void exports_stop(struct exports *e);
