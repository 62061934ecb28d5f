/* telemetry/traffic.h: a worker's cumulative counters and histograms, by tenant, provider, model, workload and
 * operation. One thread adds when an exchange settles; any thread reads at any time. Groups are never freed; past
 * TRAFFIC_DETAIL_MAX the rest is counted under its tenant's `_other`, past TRAFFIC_GROUPS_MAX under `_other` of all, so
 * that label sets stay bounded whatever clients send. telemetry/changes.h reads it. */
#pragma once
#include "facts/record.h"
#include "telemetry/histogram.h"

#define TRAFFIC_DETAIL_MAX 2048
#define TRAFFIC_GROUPS_MAX 4096
#define TRAFFIC_SLOTS 8192 /* a power of two, twice as many */

/* What is measured of an exchange, each a histogram: of nanoseconds, or of tokens. The phases follow behind the named
 * ones. A new one is a row here and where record_measures() takes it from. */
#define MEASURES(X)                                                                                                    \
    X(TTFT, ttft)                   /* whole request received -> first token written to the client */                  \
    X(FIRST_VISIBLE, first_visible) /* … first token a person sees */                                                \
    X(TPOT, tpot)                   /* per output token after the first */                                             \
    X(TOTAL, total)                                                                                                    \
    X(OVERHEAD, overhead)         /* what the client lost to weir */                                                   \
    X(GAP, gap)                   /* between two tokens: of an exchange many, added while it streams */                \
    X(GAP_MAX, gap_max)           /* the longest gap between two tokens */                                             \
    X(INFERENCE, inference)       /* what the provider and the way to it took: total - receive, admit, queue, drain */ \
    X(FIRST_CHUNK, first_chunk)   /* an attempt's own: request sent -> first token read */                             \
    X(INPUT_TOKENS, input_tokens) /* tokens, not time */                                                               \
    X(OUTPUT_TOKENS, output_tokens)
#define MEASURE_ENUM(id, name) MEASURE_##id,
enum measure { MEASURES(MEASURE_ENUM) MEASURE_PHASE, MEASURE_COUNT = MEASURE_PHASE + PHASE_COUNT };
#undef MEASURE_ENUM

#define MEASURE_UNKNOWN UINT64_MAX
/* What a record has of each; MEASURE_UNKNOWN: nothing to count (a phase that did not run, a time that is not known). */
void record_measures(const struct record *r, uint64_t values[MEASURE_COUNT]);

#define TOKEN_TYPES(X)                                                                                                 \
    X(INPUT, input)                                                                                                    \
    X(OUTPUT, output)                                                                                                  \
    X(CACHE_READ, cache_read)                                                                                          \
    X(CACHE_WRITE, cache_write)                                                                                        \
    X(REASONING, reasoning)
#define TOKEN_TYPE_ENUM(id, name) TOKEN_##id,
enum token_type { TOKEN_TYPES(TOKEN_TYPE_ENUM) TOKEN_TYPE_COUNT };
#undef TOKEN_TYPE_ENUM

/* What became of a try at a provider. */
enum try_end {
    TRY_ENDED, /* as its error says; NONE: it brought the answer */
    TRY_LOST,  /* another one was faster */
    TRY_STALE, /* its pooled connection had ended; the next one took a fresh one */
};

struct outcome { /* how many ended with this status and error */
    struct outcome *_Atomic next;
    uint16_t status; /* of tries: enum try_end */
    uint8_t error;
    _Atomic uint64_t count;
};

#define TRAFFIC_PARTS(X)                                                                                               \
    X(tenant)                                                                                                          \
    X(provider)                                                                                                        \
    X(model)                                                                                                           \
    X(workload)
#define TRAFFIC_PART_MEMBER(name) uint32_t name;
#define TRAFFIC_PART_ENUM(name) TRAFFIC_PART_##name,
struct traffic_key { /* name ids */
    TRAFFIC_PARTS(TRAFFIC_PART_MEMBER)
};
/* What numbers can be asked for by, and filtered by. */
enum traffic_part { TRAFFIC_PARTS(TRAFFIC_PART_ENUM) TRAFFIC_PART_COUNT };
#undef TRAFFIC_PART_MEMBER
#undef TRAFFIC_PART_ENUM
struct slice traffic_part_name(enum traffic_part part);
bool traffic_part_find(struct slice name, enum traffic_part *part); /* false: there is none of that name */
uint32_t traffic_part_of(const struct traffic_key *key, enum traffic_part part);

struct traffic_group {
    uint32_t tenant, provider, model, workload, operation; /* name ids */
    bool own;                                              /* of answers that weir gives itself: no use of a model */
    struct outcome *_Atomic outcomes;
    struct outcome *_Atomic tries;            /* at this provider, for this tenant: of all its exchanges' attempts */
    _Atomic uint64_t by_source[SOURCE_COUNT]; /* exchanges by who is to blame; [SOURCE_NONE]: nobody */
    _Atomic uint64_t tokens[TOKEN_TYPE_COUNT], cost_pico_usd, waste_pico_usd;
    _Atomic uint64_t waste_tokens; /* used for nothing: a loser of a race, a try given up, a client that left */
    struct histogram measures[MEASURE_COUNT];
    _Atomic uint64_t settled;           /* exchanges; written last: who has read it sees all they have added */
    _Atomic uint32_t in_flight, queued; /* now: exchanges sent this way; those that wait for a limit or a connection */
};

struct traffic { /* zero-initialise */
    struct traffic_group *_Atomic groups[TRAFFIC_SLOTS];
    unsigned count;
    struct traffic_group *latest; /* found by the writing thread */
};

void traffic_add(struct traffic *t, const struct record *r);
/* An exchange is sent this way, from when its target is known until traffic_leave(). The writing thread only. */
struct traffic_group *traffic_enter(struct traffic *t, const struct traffic_key *key, uint32_t operation);
void traffic_leave(struct traffic_group *g);
void traffic_queue(struct traffic_group *g, bool waits); /* one of them begins or ends to wait */
/* So many tokens came, each of them so long after the one before it. */
void traffic_gap(struct traffic_group *g, uint64_t ns, unsigned count);
void traffic_clear(struct traffic *t);
const char *try_end_name(const struct outcome *o); /* of one of `tries`: `answered`, `lost`, `stale`, or its error */
/* Walks the groups: *cursor starts at 0; NULL at the end. */
const struct traffic_group *traffic_next(const struct traffic *t, unsigned *cursor);
uint64_t record_overhead_ns(const struct record *r); /* admit + queue + loop (contract: what the client lost to weir) */
