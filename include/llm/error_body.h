/* llm/error_body.h: an error of weir's own in the words of the caller's dialect. */
#pragma once
#include "base/buf.h"
#include "facts/dialect.h"
#include "facts/failures.h"

/* Appends the JSON body. `detail` (may be empty) follows the failure's own text; trace_id is 32 hex digits. */
void error_body_write(struct buf *out, enum dialect dialect, enum failure failure, unsigned status, struct slice detail,
                      struct slice trace_id);
/* Appends what ends a stream that breaks after its head, in the shape that stream has; no terminator follows.
 * `anything_sent`: events went out before (an array stream needs its comma). */
#include "llm/observe.h"
void error_event_write(struct buf *out, enum dialect dialect, enum operation operation, enum answer_shape shape,
                       enum failure failure, bool anything_sent);
