/* pipeline/limiting.h: an exchange and its tenant's limits, beside the stage that takes them. */
#pragma once
#include "base/buf.h"
#include "facts/record.h"
#include "pipeline/exchange.h"

void limits_settle(struct exchange *x, const struct record *r); /* with what its record says was used */
void limits_fields(const struct exchange *x, struct buf *out);  /* x-ratelimit-* of the tenant that asks */
void limits_refusal_fields(const struct exchange *x, struct buf *out, enum failure f);
struct slice limits_refused_by(const struct exchange *x); /* the limit's name, or empty */
