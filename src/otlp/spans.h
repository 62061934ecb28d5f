/* otlp/spans.h: a record as spans: the exchange (SERVER), below it the model's call as a whole (CLIENT), below that one
 * span for each attempt (CLIENT), and the phases of each. */
#pragma once
#include "semconv.h"

/* Appends them to a ScopeSpans message that is open; returns how many. */
unsigned spans_put(struct buf *out, struct view *v, enum semconv dialect);
