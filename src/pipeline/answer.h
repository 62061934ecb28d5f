/* pipeline/answer.h: the provider's side of an exchange while it answers. */
#pragma once
#include "pipeline/exchange.h"

/* The part of the client's head that is weir's own, with the empty line at its end. */
void answer_head_own(struct attempt *a, struct buf *out);
void answer_commit(struct attempt *a);        /* it goes to the client from here on: the exchange is answered */
bool answer_is_over(const struct attempt *a); /* nothing more is missed, though its framing has no end yet */
void answer_finish(struct attempt *a);        /* the end of one that is over, without waiting for the provider's */
extern const struct conn_ops answer_ops;      /* conn->owner is the struct upstream, its user the attempt */
