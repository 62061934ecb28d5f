/* pipeline/head_facts.h: what a request's head says about who calls and how to label the call. */
#pragma once
#include "pipeline/exchange.h"

/* The tenant's key: from Authorization: Bearer, x-api-key, api-key, x-goog-api-key, and in Gemini's dialect also ?key=.
 * Sets x->tenant and x->key. FAILURE_NONE, NO_KEY, UNKNOWN_KEY, EXPIRED_KEY, TENANT_DISABLED or CONFLICTING_KEYS. */
enum failure head_credentials(struct exchange *x);
/* Joins the caller's trace (W3C Trace Context); a malformed traceparent starts a new one, it is not an error. */
void head_trace(struct exchange *x);
/* x-weir-* labels and the tenant's own tags. FAILURE_NONE or BAD_WEIR_HEADER. */
enum failure head_labels(struct exchange *x);
/* The query without the caller's key, in the arena: Gemini's `key=` whatever it holds, and on any path a parameter
 * whose value is the key that was taken. */
struct slice head_query_without_key(struct exchange *x);
