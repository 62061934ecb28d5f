/* What a client is told of a provider's trouble is short on purpose. Why a certificate was refused, or that the
 * provider's key is no good any more, is said here, to the person who can mend it. Passing trouble (a reset, a timeout
 * of an answer, a busy provider) is not: metrics count it. */
#include "complaint.h"

#include "base/log.h"

static const char *reason(const struct attempt *a, enum failure f) {
    switch (f) {
    case FAILURE_DNS_FAILED:
        return a->pool->origin->host;
    case FAILURE_PROVIDER_AUTH:
        return "it refuses the configured api_key";
    case FAILURE_CONNECT_FAILED:
    case FAILURE_CONNECT_TIMEOUT:
    case FAILURE_TLS_FAILED:
        return "";
    default:
        return NULL;
    }
}

void complain(const struct attempt *a, enum failure f, const char *why) {
    const char *known = a->pool != NULL ? reason(a, f) : NULL;
    if (known == NULL || !log_once_a_minute(&a->pool->origin->complained)) return;
    const char *more = why[0] != '\0' ? why : known;
    log_warn("provider %s: %s%s%s", a->pool->origin->name, failure_row(f)->name, more[0] != '\0' ? ": " : "", more);
}
