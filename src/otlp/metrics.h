/* otlp/metrics.h: what the workers have counted, as OTLP metrics: counters, and histograms as exponential ones of scale
 * 5, which is what they are. Cumulative since the process began. */
#pragma once
#include "base/buf.h"
#include "otlp/export.h"
#include "places.h"

/* Gives each metric, encoded as a Metric of an open ScopeMetrics message, with its number of data points. */
typedef void metric_give(void *context, struct slice metric, unsigned points);

struct metrics_times {
    uint64_t start_unix_ns, now_unix_ns;
};
void metrics_give(const struct exports_sources *s, const struct places *places, const struct metrics_times *times,
                  metric_give *give, void *context);
