/* otlp/environment.h: what OpenTelemetry's environment variables say (specification 1.60). Read once, before threads
 * start. The configuration file goes first; what it leaves open is taken from here. */
#pragma once
#include "base/buf.h"
#include "http/trace_context.h"
#include "sender.h"

struct environment {
    bool disabled;           /* OTEL_SDK_DISABLED: nothing is exported, whatever the file says */
    struct slice service;    /* OTEL_SERVICE_NAME */
    struct slice attributes; /* OTEL_RESOURCE_ATTRIBUTES, as written */
    struct slice headers[SIGNAL_COUNT], endpoint[SIGNAL_COUNT], certificate[SIGNAL_COUNT];
    bool whole_url[SIGNAL_COUNT]; /* the endpoint is the signal's own: used as it is */
    bool wanted[SIGNAL_COUNT];    /* an endpoint is there, and OTEL_x_EXPORTER does not say none */
    bool gzip[SIGNAL_COUNT];
    uint64_t timeout_ns[SIGNAL_COUNT], delay_ns, metric_interval_ns; /* 0: not said */
    unsigned queue_items, batch_items;                               /* 0: not said */
};

/* `get` is getenv(3), or a test's own. What cannot be read is left out, with a warning in the log. */
void environment_read(struct environment *e, const char *(*get)(const char *name));

/* OTEL_TRACES_SAMPLER and its argument; every trace where they say nothing that is understood. */
struct trace_sampler environment_sampler(const char *(*get)(const char *name));

/* `k1=v1,k2=v2` with percent-encoded values (OTEL_RESOURCE_ATTRIBUTES, OTEL_EXPORTER_OTLP_HEADERS): the next pair, its
 * value decoded into `value`, which must have room for rest->n. Skips what is malformed, noting it in *bad. */
bool environment_pair(struct slice *rest, struct slice *key, struct slice *value, char *room, bool *bad);
