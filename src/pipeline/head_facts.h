/* pipeline/head_facts.h: what a request's head says about who calls and how to label the call. */
#pragma once
#include "pipeline/exchange.h"

/* The tenant's key: from Authorization: Bearer, x-api-key, api-key, x-goog-api-key, and under /v1beta/ also ?key=. Sets
 * x->tenant and x->key. FAILURE_NONE, NO_KEY, UNKNOWN_KEY, EXPIRED_KEY, TENANT_DISABLED or CONFLICTING_KEYS. */
enum failure head_credentials(struct exchange *x);
/* Joins the caller's trace (W3C Trace Context); a malformed traceparent starts a new one, it is not an error. */
void head_trace(struct exchange *x);
/* x-weir-* labels and the tenant's own tags. FAILURE_NONE or BAD_WEIR_HEADER. */
enum failure head_labels(struct exchange *x);
/* The query without `key=` parameters, in the arena when something had to go. */
struct slice head_query_without_key(struct exchange *x);
