/* pipeline/usage_sums.h: what the tenant of a GET /weir/usage has used over all replicas, as they told Redis. */
#pragma once
#include "pipeline/exchange.h"

struct usage_sums {
    struct exchange *exchange;
    int64_t unix_ns; /* when it was asked */
    struct redis_handle call;
    bool asked, known;
    struct usage_period today, month;
};

/* False: it is being asked, and stage_run() is called again. True: x->sums->known says whether they are known. */
bool usage_sums_shown(struct exchange *x);
void usage_sums_cancel(struct exchange *x); /* harmless when nothing is asked */
