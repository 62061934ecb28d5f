/* pipeline/passthrough.h: /{provider}/… goes to that provider as it is, for tenants that may. */
#pragma once
#include "pipeline/exchange.h"

enum failure passthrough_match(struct exchange *x); /* sets route, target and path_out; FAILURE_NONE or NOT_FOUND */
bool passthrough_allowed(const struct exchange *x); /* once the tenant is known */
