/* facts/record.h: the one record every exchange leaves, flat, copied by value into the worker's ring: the fixed part,
 * then its texts one after the other. What the recorder, the access log, the store and the exporters read. */
#pragma once
#include "base/slice.h"
#include "facts/failures.h"
#include "facts/phases.h"
#include "facts/usage.h"

/* Texts of a record, in the order they stand in `text`; an empty one is null in JSON. */
#define RECORD_TEXTS(X)                                                                                                \
    X(METHOD, method)                                                                                                  \
    X(PATH, path)                                                                                                      \
    X(OPERATION, operation)                                                                                            \
    X(MODEL_REQUESTED, model_requested)                                                                                \
    X(MODEL, model)                                                                                                    \
    X(SESSION, session)                                                                                                \
    X(RELEASE, release)                                                                                                \
    X(FINISH_REASON, finish_reason)                                                                                    \
    X(CLIENT, client)                                                                                                  \
    X(USER_AGENT, user_agent)                                                                                          \
    X(PROVIDER_REQUEST_ID, provider_request_id)                                                                        \
    X(TAGS, tags)                                                                                                      \
    X(LIMIT, limit)

#define RECORD_TEXT_ENUM(id, name) RECORD_TEXT_##id,
enum record_text { RECORD_TEXTS(RECORD_TEXT_ENUM) RECORD_TEXT_COUNT };
#undef RECORD_TEXT_ENUM

#define TIME_UNKNOWN_NS UINT64_MAX /* in the duration fields below: not known or not applicable (JSON null) */
#define COST_UNKNOWN INT64_MIN

struct record {
    uint32_t size_bytes;                    /* fixed part and texts */
    uint16_t text_bytes[RECORD_TEXT_COUNT]; /* TAGS holds NAME NUL VALUE NUL … */
    uint16_t status, attempts;
    uint8_t error, error_source; /* enum failure, enum error_source */
    bool stream, connection_reused;
    uint32_t tenant, key, provider, model, workload; /* name ids (facts/names.h); `model` is the target's, for series */
    uint8_t trace_id[16], span_id[8], parent_id[8];  /* parent all zero: none */
    int64_t start_unix_ns;
    uint64_t total_ns, phase_ns[PHASE_COUNT];
    uint64_t ttft_ns, first_visible_ns, head_ns, first_event_ns; /* from the whole request received; or unknown */
    uint64_t attempt_ttft_ns; /* request sent to first token read; what provider metrics take */
    uint64_t tpot_ns;         /* per output token after the first; or unknown */
    uint64_t gap_max_ns, callback_ns, limiter_ns, tls_in_ns, settle_ns, provider_ns;
    uint64_t rtt_client_ns, rtt_provider_ns;
    uint64_t request_bytes, response_bytes; /* bodies, as the client sent and was sent them */
    int64_t cost_pico_usd, waste_pico_usd;
    struct usage usage;
    uint32_t chunks, in_flight;
    char text[];
};

struct slice record_text(const struct record *r, enum record_text which);
