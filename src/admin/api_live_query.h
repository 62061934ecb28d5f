/* admin/api_live_query.h (private): the query of GET /api/live. */
#pragma once
#include "http/query.h"
#include "telemetry/live.h"

struct live_query {
    struct live_question question; /* its filters are slices of the text below */
    bool stream;
    struct query query;
};

/* False: `body` is an answer that says what is wrong. */
bool live_query_read(struct live_query *live, struct slice text, struct buf *body);
