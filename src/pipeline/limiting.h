/* pipeline/limiting.h: an exchange and its tenant's limits, beside the stage that takes them. */
#pragma once
#include "base/buf.h"
#include "facts/record.h"
#include "pipeline/exchange.h"

void limits_settle(struct exchange *x, const struct record *r); /* with what its record says was used */
void limits_fields(const struct exchange *x, struct buf *out);  /* x-ratelimit-* of the tenant that asks */
/* The failure's text says which limit, and `retry-after` when it would be admitted. */
void limits_explain(struct exchange *x, enum failure f);
void limits_refusal_fields(const struct exchange *x, struct buf *out, enum failure f);
uint64_t limits_waited_ns(const struct exchange *x);      /* for an answer about them; or TIME_UNKNOWN_NS */
struct slice limits_refused_by(const struct exchange *x); /* the limit's name, or empty */
/* Before limit_view() shows where x's tenant stands: false, and stage_run() is called again, while the fleet is asked.
 */
bool limits_shown(struct exchange *x);
bool limits_are_fleets(struct exchange *x); /* after it: does limit_view() show all replicas'? Once */
