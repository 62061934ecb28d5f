/* facts/failures.h: the closed list of what can go wrong with an exchange. One row here is all a new failure takes. The
 * text is what the client reads: it never names a path, version, key or internal address. */
#pragma once
#include <stdbool.h>

enum error_source { SOURCE_NONE, SOURCE_CLIENT, SOURCE_POLICY, SOURCE_PROVIDER, SOURCE_GATEWAY, SOURCE_COUNT };

/*        id                   name                 source    status retried text */
#define FAILURES(X)                                                                                                    \
    X(BAD_REQUEST, bad_request, CLIENT, 400, 0, "the request is malformed")                                            \
    X(BAD_JSON, bad_json, CLIENT, 400, 0, "the body is not one valid JSON object")                                     \
    X(CONFLICTING_KEYS, conflicting_keys, CLIENT, 400, 0, "the request carries two different keys")                    \
    X(NO_MODEL, no_model, CLIENT, 400, 0, "the request names no model")                                                \
    X(BAD_WEIR_HEADER, bad_weir_header, CLIENT, 400, 0, "an x-weir-* header is malformed")                             \
    X(NOT_FOUND, not_found, CLIENT, 404, 0, "no such endpoint")                                                        \
    X(METHOD_NOT_ALLOWED, method_not_allowed, CLIENT, 405, 0, "this endpoint does not take that method")               \
    X(RECEIVE_TIMEOUT, receive_timeout, CLIENT, 408, 0, "the request was not sent in time")                            \
    X(BODY_TOO_LARGE, body_too_large, CLIENT, 413, 0, "the body is larger than this gateway takes")                    \
    X(URI_TOO_LONG, uri_too_long, CLIENT, 414, 0, "the request line is too long")                                      \
    X(UNSUPPORTED_ENCODING, unsupported_encoding, CLIENT, 415, 0, "compressed request bodies are not taken")           \
    X(EXPECTATION_FAILED, bad_request, CLIENT, 417, 0, "only the expectation 100-continue is understood")              \
    X(HEAD_TOO_LARGE, head_too_large, CLIENT, 431, 0, "the request's header fields are too large or too many")         \
    X(UPGRADE_REFUSED, upgrade_refused, CLIENT, 501, 0, "protocol upgrades are not supported")                         \
    X(CLIENT_GONE, client_gone, CLIENT, 499, 0, "the client left")                                                     \
    X(CLIENT_STALLED, client_stalled, CLIENT, 499, 0, "the client stopped reading")                                    \
    X(NO_KEY, no_key, POLICY, 401, 0, "no key was sent")                                                               \
    X(UNKNOWN_KEY, unknown_key, POLICY, 401, 0, "the key is not known")                                                \
    X(EXPIRED_KEY, expired_key, POLICY, 401, 0, "the key has expired")                                                 \
    X(TENANT_DISABLED, tenant_disabled, POLICY, 403, 0, "this tenant is disabled")                                     \
    X(PATH_NOT_ALLOWED, path_not_allowed, POLICY, 403, 0, "this tenant may not use that path")                         \
    X(MODEL_NOT_ALLOWED, model_not_allowed, POLICY, 404, 0, "this tenant may not use that model")                      \
    X(UNKNOWN_MODEL, unknown_model, POLICY, 404, 0, "no provider serves that model")                                   \
    X(LIMIT_EXCEEDED, limit_exceeded, POLICY, 429, 0, "a limit is reached")                                            \
    X(NEVER_FITS, never_fits, POLICY, 400, 0, "the request is larger than the whole limit")                            \
    X(LIMITER_DOWN, limiter_down, POLICY, 503, 0, "limits cannot be checked right now")                                \
    X(DNS_FAILED, dns_failed, PROVIDER, 502, 1, "the provider's name did not resolve")                                 \
    X(CONNECT_FAILED, connect_failed, PROVIDER, 502, 1, "the provider refused the connection")                         \
    X(CONNECT_TIMEOUT, connect_timeout, PROVIDER, 504, 1, "the provider did not accept a connection in time")          \
    X(TLS_FAILED, tls_failed, PROVIDER, 502, 1, "the provider's identity could not be verified")                       \
    X(SEND_TIMEOUT, send_timeout, PROVIDER, 504, 0, "the provider stopped taking the request")                         \
    X(FIRST_TOKEN_TIMEOUT, first_token_timeout, PROVIDER, 504, 1, "the provider produced no first token in time")      \
    X(IDLE_TIMEOUT, idle_timeout, PROVIDER, 504, 0, "the provider fell silent")                                        \
    X(TOTAL_TIMEOUT, total_timeout, PROVIDER, 504, 0, "the request took longer than allowed")                          \
    X(RESET, reset, PROVIDER, 502, 1, "the provider closed the connection")                                            \
    X(TRUNCATED, truncated, PROVIDER, 502, 0, "the provider's answer ended early")                                     \
    X(BAD_RESPONSE, bad_response, PROVIDER, 502, 1, "the provider's answer is not valid HTTP")                         \
    X(PROVIDER_AUTH, provider_auth, PROVIDER, 502, 0, "the provider refused this gateway's credentials")               \
    X(NO_TARGET, no_target, PROVIDER, 503, 0, "no provider is available for that model right now")                     \
    X(RATE_LIMITED, rate_limited, PROVIDER, 429, 1, "the provider's rate limit is reached")                            \
    X(OVERLOADED, overloaded, PROVIDER, 503, 1, "the provider is overloaded")                                          \
    X(PROVIDER_ERROR, provider_error, PROVIDER, 502, 1, "the provider failed")                                         \
    X(PROVIDER_REJECTED, provider_rejected, PROVIDER, 400, 0, "the provider rejected the request")                     \
    X(STREAM_ERROR, stream_error, PROVIDER, 200, 0, "the provider reported an error inside its answer")                \
    X(WRONG_DIALECT, wrong_dialect, PROVIDER, 502, 0, "no provider of that model speaks this API")                     \
    X(QUEUE_FULL, queue_full, GATEWAY, 503, 0, "too many requests are waiting")                                        \
    X(QUEUE_TIMEOUT, queue_timeout, GATEWAY, 503, 0, "no slot became free in time")                                    \
    X(TOO_BUSY, too_busy, GATEWAY, 503, 0, "the gateway is at its capacity")                                           \
    X(DRAINING, draining, GATEWAY, 503, 0, "the gateway is shutting down")                                             \
    X(INTERNAL, internal, GATEWAY, 500, 0, "the gateway failed")

#define FAILURE_ENUM(id, name, source, status, retried, text) FAILURE_##id,
enum failure { FAILURE_NONE, FAILURES(FAILURE_ENUM) FAILURE_COUNT };
#undef FAILURE_ENUM

struct failure_row {
    const char *name; /* as in x-weir-error and the record; NULL for FAILURE_NONE */
    enum error_source source;
    unsigned short status; /* sent when the head has not gone out yet */
    bool retried;          /* by default, before the commit point */
    const char *text;
};
const struct failure_row *failure_row(enum failure f);
const char *error_source_name(enum error_source s); /* NULL for SOURCE_NONE */
