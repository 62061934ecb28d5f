/* pipeline/given_up.h: attempts that another took the place of, kept for the record. */
#pragma once
#include "facts/record.h"
#include "pipeline/attempt.h"

/* The attempt is about to be replaced; noted in the exchange's arena, the first RECORD_GIVEN_UP_MAX of them. */
void given_up_note(struct exchange *x, const struct attempt *a, uint64_t now_ns);
/* The same of one that ends beside another that goes on; `why` NONE: it was only slower. */
void given_up_beside(struct exchange *x, const struct attempt *a, enum failure why, uint64_t now_ns);
/* Writes those of the exchange, oldest first; `out` has room for x->given_up_count. */
void given_up_copy(const struct exchange *x, struct record_attempt *out);
