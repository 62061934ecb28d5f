/* admin/metrics_page.h: one page of metrics while it is written: families, series, and how lines look. */
#pragma once
#include "admin/metrics.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

struct edges { /* which of the histogram's own bucket edges a family shows: bucket numbers */
    uint16_t first, last, step;
    bool tokens; /* values are tokens, not nanoseconds */
};
enum { EDGES_MAX = 48 };

struct page;
struct family {
    const char *name; /* of a counter without its _total */
    const char *unit; /* the name's last word, or empty */
    enum metric_type type;
    void (*write)(struct page *p, const struct family *f); /* its samples */
    int what;                                              /* the writer's own: which measure, which kind of token */
    const struct edges *edges;                             /* of a histogram */
    const char *help;
};

/* ---- series (metrics_series.c): which label sets have a place of their own ---- */

enum { SERIES_NAMES = 5 };
struct series {
    uint32_t key[SERIES_NAMES];
    uint32_t head;  /* the first member: 1 + its number, 0 none; anew for each page */
    uint64_t value; /* the writer's own */
};
struct series_set {
    struct series *items; /* the first is `_other`; owned */
    uint16_t *slots;      /* 1 + item, by hash; owned */
    unsigned count, max, slot_count;
};
/* `other`: the key of what has no place of its own. At most `max` items, that one included. */
void series_set_init(struct series_set *s, unsigned max, const uint32_t other[SERIES_NAMES]);
void series_set_clear(struct series_set *s);
struct series *series_of(struct series_set *s, const uint32_t key[SERIES_NAMES]); /* never NULL */

/* Which of its names tell groups apart in a family, and how many label sets have their own series. Histograms have
 * dozens of lines each. */
#define SERIES_KINDS(X)                                                                                                \
    X(TENANT, 1000)  /* tenant, provider, model */                                                                     \
    X(WORKLOAD, 160) /* … and workload: histograms */                                                                \
    X(MODEL, 100)    /* provider, model: a histogram for each phase */                                                 \
    X(GENAI, 160)    /* provider, model, operation, in OpenTelemetry's words */
#define SERIES_ENUM(id, max) SERIES_##id,
enum series_kind { SERIES_KINDS(SERIES_ENUM) SERIES_KIND_COUNT };
#undef SERIES_ENUM
enum { OUTCOMES_MAX = 4000 };

/* ---- the page ---- */

struct member { /* a group of a worker, in one list for each kind */
    const struct traffic_group *group;
    uint32_t next[SERIES_KIND_COUNT];
};

struct page {
    struct buf *out;
    enum metrics_format format;
    const struct metrics_sources *sources;
    struct series_set sets[SERIES_KIND_COUNT], outcomes, tries;
    struct member *members;
    size_t member_count, member_capacity;
    struct histogram_view view; /* scratch */
    struct buf labels;          /* scratch */
    int64_t started_unix_ns;
};

/* ---- lines (metrics_text.c) ---- */

void family_head(struct page *p, const struct family *f);
void label_put(struct buf *out, const char *name, struct slice value, bool first);
void sample_begin(struct page *p, const struct family *f); /* the name; labels are put behind it */
void sample_u64(struct page *p, bool labels, uint64_t value);
void sample_decimal(struct page *p, bool labels, uint64_t whole, uint64_t part, int digits); /* whole.part */
/* The lines of one histogram; `labels` begins with { and has at least one label. Exemplars may be NULL. */
void histogram_put(struct page *p, const struct family *f, struct slice labels, const struct histogram_view *v,
                   const struct exemplar *exemplars, unsigned exemplar_count);

/* ---- the shared Redis (metrics_redis.c) ---- */

void redis_up_put(struct page *p, const struct family *f);
void redis_calls_put(struct page *p, const struct family *f);
void redis_latency_put(struct page *p, const struct family *f);
void redis_connects_put(struct page *p, const struct family *f);

/* ---- what is counted of exchanges (metrics_traffic.c) ---- */

void members_collect(struct page *p);
void requests_put(struct page *p, const struct family *f);
void tries_put(struct page *p, const struct family *f);
void tokens_put(struct page *p, const struct family *f);
enum spent { SPENT_USD, SPENT_WASTE_USD, SPENT_WASTE_TOKENS };
void spent_put(struct page *p, const struct family *f);   /* what: enum spent */
void measure_put(struct page *p, const struct family *f); /* what: enum measure */
void phases_put(struct page *p, const struct family *f);
void genai_tokens_put(struct page *p, const struct family *f);  /* what: enum token_type */
void genai_measure_put(struct page *p, const struct family *f); /* what: enum measure; of inference */
void genai_other_put(struct page *p, const struct family *f);   /* … of other operations */
