/* http/fields.h: the field names weir treats in some way of its own, and how each travels. One row here is all a new
 * one takes. Everything not named here passes both ways, unless a Connection field nominates it. */
#pragma once
#include <stdint.h>

#include "base/slice.h"

enum field_way {
    WAY_PASS = 0,       /* forwarded as it is */
    WAY_DROP = 1,       /* weir's own, or would mislead: not forwarded */
    WAY_HOP = 2,        /* of this connection only (RFC 9110 7.6.1) */
    WAY_CREDENTIAL = 3, /* may hold a key: never forwarded, never logged */
    WAY_RENAME = 4,     /* answers: goes out as x-weir-upstream-NAME */
    WAY_PREFIX = 8,     /* flag: the row's name stands for all names that begin with it */
    WAY_DROP_PREFIX = WAY_DROP | WAY_PREFIX,
    WAY_RENAME_PREFIX = WAY_RENAME | WAY_PREFIX,
};

/* What an answer says of its host, not of itself (which names it goes by, who may read it from a page of another
 * origin, where failures are reported), would be taken for weir's word: it is dropped.
 *
 *        id   name   request's way   answer's way */
#define FIELDS(X)                                                                                                      \
    X(HOST, "host", DROP, DROP)                                                                                        \
    X(CONNECTION, "connection", HOP, HOP)                                                                              \
    X(KEEP_ALIVE, "keep-alive", HOP, HOP)                                                                              \
    X(PROXY_CONNECTION, "proxy-connection", HOP, HOP)                                                                  \
    X(PROXY_AUTHORIZATION, "proxy-authorization", CREDENTIAL, HOP)                                                     \
    X(PROXY_AUTHENTICATE, "proxy-authenticate", HOP, HOP)                                                              \
    X(TE, "te", HOP, HOP)                                                                                              \
    X(TRAILER, "trailer", HOP, HOP)                                                                                    \
    X(TRANSFER_ENCODING, "transfer-encoding", HOP, HOP)                                                                \
    X(UPGRADE, "upgrade", HOP, HOP)                                                                                    \
    X(HTTP2_SETTINGS, "http2-settings", HOP, HOP)                                                                      \
    X(CONTENT_LENGTH, "content-length", DROP, DROP)                                                                    \
    X(EXPECT, "expect", DROP, DROP)                                                                                    \
    X(AUTHORIZATION, "authorization", CREDENTIAL, DROP)                                                                \
    X(X_API_KEY, "x-api-key", CREDENTIAL, DROP)                                                                        \
    X(API_KEY, "api-key", CREDENTIAL, DROP)                                                                            \
    X(X_GOOG_API_KEY, "x-goog-api-key", CREDENTIAL, DROP)                                                              \
    X(COOKIE, "cookie", CREDENTIAL, DROP)                                                                              \
    X(SET_COOKIE, "set-cookie", DROP, DROP)                                                                            \
    X(ACCEPT_ENCODING, "accept-encoding", DROP, PASS)                                                                  \
    X(CONTENT_ENCODING, "content-encoding", PASS, PASS)                                                                \
    X(CONTENT_TYPE, "content-type", PASS, PASS)                                                                        \
    X(DATE, "date", PASS, PASS)                                                                                        \
    X(USER_AGENT, "user-agent", PASS, PASS)                                                                            \
    X(TRACEPARENT, "traceparent", DROP, DROP)                                                                          \
    X(TRACESTATE, "tracestate", DROP, DROP)                                                                            \
    X(BAGGAGE, "baggage", DROP, DROP)                                                                                  \
    X(FORWARDED, "forwarded", DROP, DROP)                                                                              \
    X(X_FORWARDED, "x-forwarded-", DROP_PREFIX, DROP_PREFIX)                                                           \
    X(X_REAL_IP, "x-real-ip", DROP, DROP)                                                                              \
    X(X_WEIR_TAG, "x-weir-tag-", DROP_PREFIX, DROP_PREFIX)                                                             \
    X(X_WEIR_SESSION, "x-weir-session", DROP, DROP)                                                                    \
    X(X_WEIR_WORKLOAD, "x-weir-workload", DROP, DROP)                                                                  \
    X(X_WEIR_RELEASE, "x-weir-release", DROP, DROP)                                                                    \
    X(X_WEIR_TIMING, "x-weir-timing", DROP, DROP)                                                                      \
    X(X_WEIR_DEBUG, "x-weir-debug", DROP, DROP)                                                                        \
    X(X_WEIR, "x-weir-", DROP_PREFIX, DROP_PREFIX)                                                                     \
    X(ANTHROPIC_VERSION, "anthropic-version", PASS, PASS)                                                              \
    X(OPENAI_ORGANIZATION, "openai-organization", DROP, DROP)                                                          \
    X(OPENAI_PROJECT, "openai-project", DROP, DROP)                                                                    \
    X(ANTHROPIC_ORGANIZATION_ID, "anthropic-organization-id", DROP, DROP)                                              \
    X(ALT_SVC, "alt-svc", DROP, DROP)                                                                                  \
    X(STRICT_TRANSPORT_SECURITY, "strict-transport-security", PASS, DROP)                                              \
    X(REPORT_TO, "report-to", PASS, DROP)                                                                              \
    X(REPORTING_ENDPOINTS, "reporting-endpoints", PASS, DROP)                                                          \
    X(NEL, "nel", PASS, DROP)                                                                                          \
    X(CLEAR_SITE_DATA, "clear-site-data", PASS, DROP)                                                                  \
    X(ALLOW_ORIGIN, "access-control-allow-origin", PASS, DROP)                                                         \
    X(ALLOW_CREDENTIALS, "access-control-allow-credentials", PASS, DROP)                                               \
    X(ALLOW_METHODS, "access-control-allow-methods", PASS, DROP)                                                       \
    X(ALLOW_HEADERS, "access-control-allow-headers", PASS, DROP)                                                       \
    X(EXPOSE_HEADERS, "access-control-expose-headers", PASS, DROP)                                                     \
    X(CORS_MAX_AGE, "access-control-max-age", PASS, DROP)                                                              \
    X(SERVER, "server", PASS, DROP)                                                                                    \
    X(VIA, "via", DROP, DROP)                                                                                          \
    X(SERVER_TIMING, "server-timing", PASS, DROP)                                                                      \
    X(X_REQUEST_ID, "x-request-id", PASS, PASS)                                                                        \
    X(REQUEST_ID, "request-id", PASS, PASS)                                                                            \
    X(RETRY_AFTER, "retry-after", PASS, PASS)                                                                          \
    X(X_SHOULD_RETRY, "x-should-retry", PASS, PASS)                                                                    \
    X(X_RATELIMIT, "x-ratelimit-", DROP_PREFIX, RENAME_PREFIX)                                                         \
    X(ANTHROPIC_RATELIMIT, "anthropic-ratelimit-", DROP_PREFIX, RENAME_PREFIX)                                         \
    X(ANTHROPIC_PRIORITY, "anthropic-priority-", DROP_PREFIX, RENAME_PREFIX)                                           \
    X(OPENAI_PROCESSING_MS, "openai-processing-ms", PASS, PASS)                                                        \
    X(X_ENVOY_UPSTREAM_SERVICE_TIME, "x-envoy-upstream-service-time", PASS, PASS)

#define FIELD_ENUM(id, name, request, answer) FIELD_##id,
enum field_id { FIELD_OTHER, FIELDS(FIELD_ENUM) FIELD_COUNT };
#undef FIELD_ENUM

struct field {
    enum field_id id;         /* FIELD_OTHER when the name is not in the table */
    struct slice name, value; /* value without surrounding white space */
};

enum field_id field_lookup(struct slice name);      /* any case; exact names first, then the longest matching prefix */
enum field_way field_way_request(enum field_id id); /* without the WAY_PREFIX flag */
enum field_way field_way_answer(enum field_id id);
