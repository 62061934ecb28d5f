/* pipeline/send.h: what is left of a request when its answer has begun. */
#pragma once
#include "pipeline/exchange.h"

/* Goes on sending, as far as the connection takes it: a provider may answer early, or wait for the rest to go on. */
void send_rest(struct attempt *a);
