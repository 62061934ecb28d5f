/* pipeline/passthrough.h: /{provider}/… goes to that provider as it is, for tenants that may. */
#pragma once
#include "pipeline/exchange.h"

enum failure passthrough_match(struct exchange *x); /* sets route and target; FAILURE_NONE or NOT_FOUND */
bool passthrough_allowed(const struct exchange *x); /* once the tenant is known */
/* No dot segments, backslashes, nor escapes that hide one or a slash: the provider sees the structure that weir saw. */
bool passthrough_path_is_plain(struct slice path);
