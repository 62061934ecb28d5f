/* http/query.h: the query of a URI as names and values, decoded (percent escapes, `+` for a space). */
#pragma once
#include "base/slice.h"

enum { QUERY_PAIRS_MAX = 64, QUERY_BYTES_MAX = 8192 };

struct query {
    struct query_pair {
        struct slice name, value; /* in `text` */
    } pairs[QUERY_PAIRS_MAX];
    unsigned count;
    char text[QUERY_BYTES_MAX];
};

/* False: an escape that is none, control bytes, text that is not UTF-8, too long or too many pairs. Empty pairs are
 * passed over; a pair without `=` has an empty value. */
bool query_parse(struct query *q, struct slice query);
