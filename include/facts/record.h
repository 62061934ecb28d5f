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
    X(LIMIT, limit)                                                                                                    \
    X(TRACE_STATE, trace_state)

#define RECORD_TEXT_ENUM(id, name) RECORD_TEXT_##id,
enum record_text { RECORD_TEXTS(RECORD_TEXT_ENUM) RECORD_TEXT_COUNT };
#undef RECORD_TEXT_ENUM

#define TIME_UNKNOWN_NS UINT64_MAX /* in the duration fields below: not known or not applicable (JSON null) */
#define COST_UNKNOWN INT64_MIN

enum { RECORD_GIVEN_UP_MAX = 31 };
struct record_attempt {         /* one that gave way to another; what the one that counts did is in the record itself */
    uint16_t n;                 /* from 1 */
    uint16_t status;            /* what the provider answered; 0: it did not */
    uint8_t error;              /* enum failure: why it was given up; NONE: another was faster */
    bool reused;                /* its connection came from the pool */
    bool stale;                 /* … and had ended there: no failure of the provider */
    uint32_t provider, model;   /* name ids */
    uint64_t from_ns, total_ns; /* from the exchange's beginning; how long it ran */
    uint64_t phase_ns[PHASE_COUNT]; /* of it; they sum to total_ns */
};

struct record {
    uint32_t size_bytes;                    /* fixed part and texts */
    uint16_t text_bytes[RECORD_TEXT_COUNT]; /* TAGS holds NAME NUL VALUE NUL … */
    uint16_t status, attempts;
    uint16_t provider_status; /* what the last attempt's provider answered; 0: it did not */
    uint16_t attempt; /* which of the attempts that was: with hedging not always the last to begin; 0: none yet */
    uint16_t given_up_count;     /* attempts before the last one that are told of, behind the texts */
    uint8_t error, error_source; /* enum failure, enum error_source */
    uint8_t trace_flags;         /* W3C Trace Context 2.2.2.5: bit 0 sampled; without it nothing is exported */
    bool stream, connection_reused, client_tls;
    bool wasted; /* nobody got anything of what the last attempt used: it is all part of the waste */
    bool own;    /* an answer weir gives itself (its models, a tenant's usage): no use of a model */
    uint32_t tenant, key, provider, model, workload, operation; /* name ids (facts/names.h); `model` is the target's,
                                                                   for series */
    uint8_t trace_id[16], span_id[8], parent_id[8];             /* parent all zero: none */
    int64_t start_unix_ns;
    uint64_t total_ns, phase_ns[PHASE_COUNT];
    uint64_t ttft_ns, first_visible_ns, head_ns, first_event_ns; /* from the whole request received; or unknown */
    uint64_t attempt_ttft_ns; /* request sent to first token read; what provider metrics take */
    uint64_t tpot_ns;         /* per output token after the first; or unknown */
    uint64_t gap_max_ns, callback_ns, limiter_ns, tls_in_ns, settle_ns, provider_ns;
    uint64_t rtt_client_ns, rtt_provider_ns;
    uint64_t request_bytes, response_bytes; /* bodies, as the client sent and was sent them */
    int64_t cost_pico_usd, waste_pico_usd;  /* waste: the part of the cost that nobody got anything for */
    int64_t known_pico_usd;                 /* of a cost that is not known as a whole: what is */
    uint64_t waste_tokens;
    struct usage usage;
    uint32_t chunks, in_flight;
    uint32_t max_tokens, choices; /* as asked for; 0: not said */
    char text[];
};

#define RECORD_GIVEN_UP_AT(text_bytes) ((sizeof(struct record) + (text_bytes) + 7) & ~(size_t)7)
/* Where the attempts that were given up stand, oldest first: at the next multiple of 8 behind the texts. */
const struct record_attempt *record_given_up(const struct record *r);
size_t record_text_bytes(const struct record *r); /* of all texts together */
struct slice record_text(const struct record *r, enum record_text which);
