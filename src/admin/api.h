/* admin/api.h (private): what all /api/… have in common: reading their query, and answers that say what was wrong. */
#pragma once
#include "base/buf.h"
#include "http/query.h"

/* A whole JSON answer that refuses: status 400, code bad_query. Texts are weir's own. Returns the status. */
unsigned api_bad_query(struct buf *body, const char *field, const char *message);

/* An instant as RFC 3339 or relative to now: `-15m`, `-1h`, `-30d`. Nanoseconds since 1970. */
bool api_time(struct slice s, int64_t now_unix_ns, int64_t *unix_ns);
bool api_rfc3339(struct slice s, int64_t *unix_ns);      /* 1970 … 2199; a fraction of up to nine digits */
bool api_duration_s(struct slice s, uint64_t *seconds);  /* `90s`, `15m`, `1h`, `7d`: digits and one unit */
void api_instant_write(struct buf *out, int64_t unix_s); /* quoted */
