/* pipeline/complaint.h: tells who runs weir that a provider cannot be used, and why. */
#pragma once
#include "pipeline/exchange.h"

/* A line in the operational log, at most one a minute and provider, when `f` is a failure that somebody has to do
 * something about; nothing for others. `why`: more about it, or "". */
void complain(const struct attempt *a, enum failure f, const char *why);
