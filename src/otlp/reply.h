/* otlp/reply.h: what a collector answers: how many items it would not take, and when to come back. Any bytes may come.
 */
#pragma once
#include "base/slice.h"

struct reply {
    bool partial;         /* it said something about what it took */
    uint64_t rejected;    /* items it did not take */
    struct slice message; /* its words, in the body given; may be empty */
};

/* Reads the body of a success (an Export…ServiceResponse). False: it is no such message. */
bool reply_read(struct slice body, struct reply *reply);
/* Retry-After: seconds or an HTTP date (RFC 9110 10.2.3). False: neither. A date in the past is 0. */
bool reply_retry_after(struct slice value, int64_t now_unix_s, uint64_t *wait_s);
