/* telemetry/traffic.h: a worker's cumulative counters and histograms, by tenant, provider, model and workload. One
 * thread adds when an exchange settles; any thread reads at any time. Groups are never freed; past TRAFFIC_GROUPS_MAX
 * the rest is counted under `_other`, so that label sets stay bounded whatever clients send. */
#pragma once
#include "facts/record.h"
#include "telemetry/histogram.h"

#define TRAFFIC_GROUPS_MAX 2048

/* What is measured of an exchange, each a histogram in nanoseconds. The phases follow behind the named ones. */
#define MEASURES(X)                                                                                                    \
    X(TTFT, ttft)                                                                                                      \
    X(FIRST_VISIBLE, first_visible)                                                                                    \
    X(TPOT, tpot)                                                                                                      \
    X(TOTAL, total)                                                                                                    \
    X(OVERHEAD, overhead)
#define MEASURE_ENUM(id, name) MEASURE_##id,
enum measure { MEASURES(MEASURE_ENUM) MEASURE_PHASE, MEASURE_COUNT = MEASURE_PHASE + PHASE_COUNT };
#undef MEASURE_ENUM

#define TOKEN_TYPES(X)                                                                                                 \
    X(INPUT, input)                                                                                                    \
    X(OUTPUT, output)                                                                                                  \
    X(CACHE_READ, cache_read)                                                                                          \
    X(CACHE_WRITE, cache_write)                                                                                        \
    X(REASONING, reasoning)
#define TOKEN_TYPE_ENUM(id, name) TOKEN_##id,
enum token_type { TOKEN_TYPES(TOKEN_TYPE_ENUM) TOKEN_TYPE_COUNT };
#undef TOKEN_TYPE_ENUM

struct outcome { /* how many ended with this status and error */
    struct outcome *_Atomic next;
    uint16_t status;
    uint8_t error;
    _Atomic uint64_t count;
};

struct traffic_group {
    uint32_t tenant, provider, model, workload; /* name ids */
    struct outcome *_Atomic outcomes;
    _Atomic uint64_t tokens[TOKEN_TYPE_COUNT], cost_pico_usd;
    struct histogram measures[MEASURE_COUNT];
};

struct traffic { /* zero-initialise */
    struct traffic_group *_Atomic groups[2 * TRAFFIC_GROUPS_MAX];
    unsigned count;
};

void traffic_add(struct traffic *t, const struct record *r);
void traffic_clear(struct traffic *t);
/* Walks the groups: *cursor starts at 0; NULL at the end. */
const struct traffic_group *traffic_next(const struct traffic *t, unsigned *cursor);
uint64_t record_overhead_ns(const struct record *r); /* admit + queue + loop (contract: what the client lost to weir) */
