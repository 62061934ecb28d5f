/* pipeline/route.h: what the stage of that name has for others. */
#pragma once
#include "pipeline/exchange.h"

void route_count(struct exchange *x);  /* as in flight, at its target */
void route_prepare(struct attempt *a); /* the path and the body's edits that a->target needs */
