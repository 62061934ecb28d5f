/* otlp/semconv.h: what spans are described with, by the names of the conventions. They move: all of them stand in one
 * table (src/otlp/semconv.c), of this version. */
#pragma once
#include "attribute.h"
#include "view.h"

#define SEMCONV_SCHEMA_URL "https://opentelemetry.io/schemas/1.44.0"
#define SEMCONV_GENAI                                                                                                  \
    "2026-09" /* semantic-conventions-genai, main after #521 (inference metrics) and #440 (cache_write) */

enum span_role { ROLE_SERVER = 1, ROLE_INFERENCE = 2, ROLE_ATTEMPT = 4 };
enum semconv {
    SEMCONV_GENAI_ONLY = 1,
    SEMCONV_OPENINFERENCE = 2,
    SEMCONV_LANGFUSE = 4
}; /* by dialect of an exporter */

/* Appends every attribute that spans of that role have in that dialect, and the caller's tags; `a` for attempts only.
 */
void semconv_put(struct buf *out, unsigned field, struct view *v, const struct view_attempt *a, enum span_role role,
                 enum semconv dialect);
