/* telemetry/row.h: a ROW: what was counted and measured of one group of exchanges in some time, and tables of them.
 * Rows add up: over seconds, groups, workers and replicas, without loss. Not thread-safe. */
#pragma once
#include "base/buf.h"
#include "telemetry/sparse.h"
#include "telemetry/traffic.h"

#define ROW_COUNTERS(X)                                                                                                \
    X(REQUESTS, requests)                                                                                              \
    X(ERRORS, errors)       /* the provider's or the gateway's fault */                                                \
    X(REFUSED, refused)     /* by policy */                                                                            \
    X(ABANDONED, abandoned) /* the client's fault, or it left */                                                       \
    X(INPUT_TOKENS, input_tokens)                                                                                      \
    X(OUTPUT_TOKENS, output_tokens)                                                                                    \
    X(CACHE_READ_TOKENS, cache_read_tokens)                                                                            \
    X(CACHE_WRITE_TOKENS, cache_write_tokens)                                                                          \
    X(REASONING_TOKENS, reasoning_tokens)                                                                              \
    X(COST, cost_pico_usd)                                                                                             \
    X(WASTE, waste_pico_usd)
#define ROW_COUNTER_ENUM(id, name) ROW_##id,
enum row_counter { ROW_COUNTERS(ROW_COUNTER_ENUM) ROW_COUNTER_COUNT };
#undef ROW_COUNTER_ENUM

enum { ROW_MEASURE_COUNT = MEASURE_OVERHEAD + 1 }; /* ttft, first_visible, tpot, total, overhead: enum measure */

struct row { /* zero-initialise */
    uint64_t counters[ROW_COUNTER_COUNT];
    uint32_t in_flight, queued; /* at its end; adding up two times of the same group, take the later one's */
    struct sparse measures[ROW_MEASURE_COUNT];
};

void row_add(struct row *into, const struct row *from); /* all but in_flight and queued */
void row_clear(struct row *r);                          /* frees; it can be used again */

struct row_style {
    uint64_t window_ns; /* that the rates are over; 0: they are null */
    bool measures;      /* with ttft_ms … overhead_ms */
    bool gauges;        /* with in_flight and queued; else they are null */
};
/* The members of ROW (docs/api.md), without braces: `"requests":…,…,"usd_per_h":…`. Numbers are exact. */
void row_write(struct buf *out, const struct row *r, const struct row_style *style);
/* A member of that name with a comma before it: D of docs/api.md, of nanoseconds; null when empty. */
void row_measure_write(struct buf *out, const char *name, const struct sparse *s);

struct row_entry {
    struct traffic_key key;
    struct row row;
    uint64_t changed, sent, told; /* telemetry/usage.h's, for who tells others */
};

/* Rows by key, in the order in which they came. A table takes `detail_max` of them; beyond that a row is added to its
 * tenant's `_other`, and beyond twice as many to `_other` of all. */
struct row_table { /* zero-initialise but for detail_max */
    size_t detail_max;
    struct row_entry *entries;
    size_t count, capacity;
    uint32_t *slots; /* places in `entries`, plus one */
    size_t slot_count;
};

/* Adds an empty row when there is none. Valid until the next call. */
struct row *row_table_get(struct row_table *t, const struct traffic_key *key);
static inline struct row_entry *row_entry_of(struct row *r) {
    return (struct row_entry *)((char *)r - offsetof(struct row_entry, row));
}
const struct row *row_table_find(const struct row_table *t, const struct traffic_key *key); /* NULL: none */
struct row *row_table_search(struct row_table *t, const struct traffic_key *key); /* the same, to be changed */
void row_table_clear(struct row_table *t); /* empty again; keeps the memory of the entries, not of their histograms */
void row_table_free(struct row_table *t);
