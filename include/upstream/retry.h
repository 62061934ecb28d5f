/* upstream/retry.h: whether a failed try is worth another one, and after how long. What a provider says of it counts
 * for more than what is configured. Pure arithmetic: the caller brings the time and the random numbers. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "conf/config.h"
#include "facts/failures.h"

enum { RETRY_STATUS_FIRST = 400, RETRY_STATUS_COUNT = 200 };
#define RETRY_DELAY_MAX_NS UINT64_C(60000000000) /* of the back-off; what a provider asks for may be longer */

struct retry_policy {
    unsigned attempts; /* per target, from 1 */
    uint64_t backoff_ns;
    uint64_t statuses[(RETRY_STATUS_COUNT + 63) / 64]; /* bit status - 400 */
    bool connect, first_token, reset;
};
void retry_policy_compile(struct retry_policy *p, const struct config_model *m);

enum should_retry { SHOULD_RETRY_UNSAID, SHOULD_RETRY_YES, SHOULD_RETRY_NO };
struct retry_hint { /* what the provider said; zero: nothing */
    enum should_retry should;
    bool after_said;   /* after_ns is its own word, also when it is 0 */
    bool no_quota;     /* what the account may use is used up: asking again does not help */
    uint64_t after_ns; /* no sooner than that */
};

/* `status` is the answer's, 0 when there was none. Says nothing about how many tries are left. */
bool retry_wanted(const struct retry_policy *p, enum failure f, unsigned status, const struct retry_hint *hint);
/* How long to wait before the same target is tried again, after `tries` of it (from 1): exponential, half of it random,
 * never less than what the provider asked for. */
uint64_t retry_delay_ns(const struct retry_policy *p, unsigned tries, const struct retry_hint *hint, uint64_t random);

/* The value of retry-after: seconds, with decimals or without, or an HTTP date (RFC 9110 10.2.3, 5.6.7: the preferred
 * form). A date in the past is 0. False when it is neither. Clamped to a day. */
bool retry_after_read(struct slice value, int64_t unix_now_s, uint64_t *ns);
bool retry_after_ms_read(struct slice value, uint64_t *ns); /* retry-after-ms: milliseconds, with decimals or without */
bool retry_duration_read(struct slice value, uint64_t *ns); /* `13s`, `0.25s`: a protocol buffer's Duration in JSON */
