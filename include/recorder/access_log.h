/* recorder/access_log.h: a record as one line of JSON (docs/records.md), the same names as in the store and the API. */
#pragma once
#include "base/buf.h"
#include "facts/record.h"

void access_log_line(struct buf *out, const struct record *r, struct slice replica); /* with its newline */
