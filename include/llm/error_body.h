/* llm/error_body.h: an error of weir's own in the words of the caller's dialect. */
#pragma once
#include "base/buf.h"
#include "facts/failures.h"
#include "llm/observe.h"

/* Appends the JSON body. `detail` (may be empty) follows the failure's own text, after a colon; for a limit it names
 * the limit as the configuration does (`usd_per_day …` is a quota in OpenAI's words). trace_id is 32 hex digits. */
void error_body_write(struct buf *out, enum dialect dialect, enum failure failure, unsigned status, struct slice detail,
                      struct slice trace_id);
/* Appends what ends a stream that breaks after its head, in the shape that stream has; no terminator follows, and
 * nothing at all where nothing would be read (one JSON object, opaque bytes). `anything_sent`: bytes of the body went
 * out before; a stream may then be cut within an event, so a line or event that was begun is ended first. */
void error_event_write(struct buf *out, enum dialect dialect, enum operation operation, enum answer_shape shape,
                       enum failure failure, bool anything_sent);
