/* admin/api_usage.h (private): GET /api/usage (docs/usage.md). */
#pragma once
#include "base/buf.h"
#include "http/query.h"
#include "telemetry/usage.h"

struct usage_page { /* what the query asks for beside the question itself */
    unsigned limit;
    bool has_cursor;
    int64_t after_time_s; /* the cursor: the row after this one comes first */
    struct slice after_names[TRAFFIC_PART_COUNT];
    struct buf text; /* owned: of after_names */
};

/* What the query asks for; slices point into `q`. NULL, or the field that is wrong and why in *message. */
const char *usage_query_read(const struct query *q, int64_t now_unix_ns, struct usage_question *question,
                             struct usage_page *page, const char **message);
void usage_cursor_write(struct buf *out, int64_t time_s, const struct slice names[TRAFFIC_PART_COUNT]);
bool usage_cursor_read(struct slice cursor, struct usage_page *page);

/* A page of the sorted answer, as a whole JSON object. */
void usage_answer_write(struct buf *body, const struct usage_question *q, const struct usage_page *page,
                        const struct usage_answer *a, struct slice scope, int64_t now_unix_ns);
