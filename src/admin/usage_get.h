/* admin/usage_get.h (private): GET /api/usage (docs/usage.md), of this replica or, by way of Redis, of all. */
#pragma once
#include "session.h"

/* Answers, or leaves a reading with the session: then it is asked nothing more, is answered later and ends with it. */
void usage_get(struct session *s, const struct http_head *h, bool keep);
void usage_reading_free(struct usage_reading *r); /* NULL is allowed; a session's own, when that ends */
