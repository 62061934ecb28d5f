/* otlp/logs.h: a record as a LogRecord. */
#pragma once
#include "view.h"

/* Appends it to a ScopeLogs message that is open; `line` is its body, the record as the access log writes it. */
void log_record_put(struct buf *out, const struct view *v, struct slice line);
