/* telemetry/live.h: what every group of exchanges did in the last seconds or minutes. The recorder adds a window for
 * each look (a second); any thread asks. Windows are immutable once they are there: the lock is held to take hold of
 * them, never while they are added up, so a worker that asks for its tenant waits for nobody.
 *
 * Bounded: a minute in seconds and a quarter of an hour in tens of seconds, LIVE_DETAIL_MAX groups a window (the rest
 * is in its tenant's `_other`), all together LIVE_BYTES_MAX: beyond that the oldest windows go. */
#pragma once
#include "base/clock.h"
#include "telemetry/changes.h"

enum {
    LIVE_FINE_MAX = 70,    /* windows of a second */
    LIVE_COARSE_MAX = 84,  /* … of LIVE_MERGED seconds, before them */
    LIVE_MERGED = 10,      /* fine ones become a coarse one */
    LIVE_DETAIL_MAX = 256, /* groups of a window that are told apart */
    LIVE_ROWS_MAX = 500,   /* of an answer */
};
#define LIVE_BYTES_MAX ((size_t)48 << 20)
#define LIVE_PEER_BYTES_MAX ((size_t)4 << 20) /* what another replica has told */
#define LIVE_WINDOW_MIN_NS (10 * NS_PER_S)
#define LIVE_WINDOW_MAX_NS (900 * NS_PER_S)
#define LIVE_WINDOW_DEFAULT_NS (60 * NS_PER_S)

struct live;
struct live *live_new(void);
void live_free(struct live *l); /* nobody may be asking */
/* A worker's loop lag, cumulative; from any one thread; it must live as long as live_take() is called. */
void live_watch_lag(struct live *l, const struct histogram *lag);
void live_take(void *live, const struct changes *c); /* a recorder_sink's */
size_t live_bytes(struct live *l);                   /* what the windows hold */

enum { LIVE_FILTERS_MAX = 32 };
struct live_question {
    uint64_t window_ns;
    bool by[TRAFFIC_PART_COUNT];
    struct live_filter { /* of one key: any of its values; of different keys: all */
        enum traffic_part key;
        struct slice value;
    } filters[LIVE_FILTERS_MAX];
    unsigned filter_count;
};

/* Replicas that share a Redis tell each other their windows (src/admin/fleet.c): then an answer is about all of them.
 */
enum { LIVE_PEERS_MAX = 32, LIVE_NAME_BYTES = 65 };
#define LIVE_PEER_MISSING_NS (5 * NS_PER_S) /* not heard of for so long: it is missing */

struct live_answer {     /* zero-initialise; live_answer_clear() frees */
    int64_t unix_ns;     /* the end of its last window; 0: there is none yet */
    uint64_t covered_ns; /* by windows; less than asked for in a young process */
    /* By the keys asked for, the others are NAME_NONE; busiest first. in_flight and queued are of the last window. */
    struct row_table rows;
    bool any_other;
    struct row other; /* groups folded together by a bound */
    struct row total;
    struct sparse lag; /* of the workers' loops, whatever was asked for; this process's */
    bool fleet;        /* of all replicas that are known, but for those that are missing */
    struct live_replica {
        char name[LIVE_NAME_BYTES];
        bool missing;
    } others[LIVE_PEERS_MAX];
    unsigned other_count;
};
void live_ask(struct live *l, const struct live_question *q, struct live_answer *a);
void live_answer_clear(struct live_answer *a);

/* ---- between replicas: one thread (the admin's) tells and hears ---- */

/* The first window that ended after *last_unix_ns, as text for others; moves *last_unix_ns on to its end. False: none.
 */
bool live_tell(struct live *l, int64_t *last_unix_ns, struct buf *text);
/* Another replica has told a window. False: it is no such text, or not newer than what it told before. */
bool live_hear(struct live *l, uint64_t replica, struct slice name, struct slice text);
int64_t live_heard_unix_ns(struct live *l, uint64_t replica); /* the end of its newest window; 0: none yet */
void live_known(struct live *l, int64_t now_unix_ns); /* which replicas there are has just been asked and answered */
/* Drops what was told by replicas that have not been heard of for a quarter of an hour. */
void live_forget(struct live *l, int64_t now_unix_ns);

/* ---- as JSON (docs/api.md) ---- */

struct live_extra { /* what only the admin's answer has */
    struct slice replica;
    const char *(*health)(void *context, uint32_t provider, uint32_t model); /* of a target; NULL: not known */
    int redis_up;                                                            /* -1: there is none */
    uint64_t dropped_records, dropped_spans;
    void *context;
};
/* The answer as an object; `extra` NULL: a tenant's own, without what is the operator's business. */
void live_write(struct buf *out, const struct live_question *q, const struct live_answer *a,
                const struct live_extra *extra);
/* The answer for one tenant by model; made at most once a second however often it is asked for. */
void live_write_tenant(struct live *l, uint32_t tenant, uint64_t window_ns, struct buf *out);
/* `30s`, `5m`; false unless it is from 10 s to 15 min. */
bool live_window_parse(struct slice text, uint64_t *window_ns);
