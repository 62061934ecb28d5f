/* pipeline/answer.h: the provider's side of an exchange while it answers. */
#pragma once
#include "pipeline/exchange.h"

extern const struct conn_ops answer_ops; /* conn->owner is the struct upstream, its user the exchange */
