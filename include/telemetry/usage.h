/* telemetry/usage.h: what was used, by minute, hour and day, per tenant, provider, model and workload, since this
 * process began. The recorder adds once a second; any thread asks. An exchange counts when it ends. Bounded: levels
 * keep so many slots, all together so many rows; the oldest minutes go first, then hours, then days.
 *
 * Tenants' sums of today and this month (UTC) stand apart, under a lock that is held for a moment only, because workers
 * ask for them. */
#pragma once
#include "telemetry/changes.h"

/*        id      seconds */
#define USAGE_LEVELS(X)                                                                                                \
    X(MINUTE, 60)                                                                                                      \
    X(HOUR, 3600)                                                                                                      \
    X(DAY, 86400)
#define USAGE_LEVEL_ENUM(id, seconds) USAGE_##id,
enum usage_level { USAGE_LEVELS(USAGE_LEVEL_ENUM) USAGE_LEVEL_COUNT };
#undef USAGE_LEVEL_ENUM
uint32_t usage_level_seconds(enum usage_level l);

enum { USAGE_ROWS_MAX = 24576 }; /* about 3 KiB each when all of their histograms are full */

struct usage_book;
struct usage_book *usage_new(int64_t unix_ns); /* now: what it counts begins here */
void usage_free(struct usage_book *u);
void usage_take(void *usage, const struct changes *c); /* a recorder_sink's */

struct usage_period {
    int64_t since_unix_ns; /* its beginning, or this process's when that is later */
    struct row row;        /* without measures: nothing to free */
};
/* Any thread; waits for a moment at most. */
void usage_of_tenant(struct usage_book *u, uint32_t tenant, int64_t unix_ns, struct usage_period *today,
                     struct usage_period *month);

int64_t usage_day_begin_s(int64_t unix_s);
int64_t usage_month_begin_s(int64_t unix_s);

/* ---- for who tells others ---- */

/* What is kept: the levels, then tenants' sums of days and months, whose keys have a tenant alone.
 *        id         slots */
#define USAGE_KINDS(X)                                                                                                 \
    X(USAGE_KIND_MINUTE, 180)                                                                                          \
    X(USAGE_KIND_HOUR, 336)                                                                                            \
    X(USAGE_KIND_DAY, 400)                                                                                             \
    X(USAGE_KIND_DAY_SUM, 4)                                                                                           \
    X(USAGE_KIND_MONTH_SUM, 14)
#define USAGE_KIND_ENUM(id, kept) id,
enum usage_kind { USAGE_KINDS(USAGE_KIND_ENUM) USAGE_KIND_COUNT };
#undef USAGE_KIND_ENUM

struct usage_unsent { /* a row that has changed since it was last sent, whole */
    enum usage_kind kind;
    int64_t start_s;
    struct traffic_key key;
    uint64_t changed; /* for usage_sent() */
    uint64_t told;    /* the number it was last sent with; 0: never */
    const struct row *row;
};
/* Calls back for each of them, a tenant's together, of one tenant by kind and start. Under the locks: the callback must
 * be quick, and call nothing here. It returns false to stop. */
void usage_unsent_each(struct usage_book *u, bool (*each)(void *context, const struct usage_unsent *s), void *context);
/* It arrived, with this number. Harmless when it has changed again or is gone. */
void usage_sent(struct usage_book *u, const struct usage_unsent *s, uint64_t told);
void usage_forget_sent(struct usage_book *u); /* what was sent is lost: all of it is to be sent again */
bool usage_is_sent(struct usage_book *u);     /* nothing is unsent */

/* ---- questions ---- */

enum { USAGE_FILTERS_MAX = 64 };

struct usage_question {
    int64_t from_s, to_s; /* half-open, both whole steps */
    uint32_t step_s;      /* whole minutes; 0: the range is one step */
    bool by[TRAFFIC_PART_COUNT];
    struct usage_filter { /* of one key: any of its values; of different keys: all */
        enum traffic_part key;
        struct slice value;
    } filters[USAGE_FILTERS_MAX];
    unsigned filter_count;
};
/* The coarsest level whose slots make up the question's steps and range. */
enum usage_level usage_question_level(const struct usage_question *q);

struct usage_answer { /* zero-initialise */
    struct usage_answer_step {
        int64_t time_s;
        struct row_table rows; /* by the keys asked for; the others are NAME_NONE */
    } * steps;
    size_t count, capacity, row_count;
    int64_t since_s; /* what is asked for is known from here on; no earlier than the question's from_s */
};
enum { USAGE_ANSWER_ROWS_MAX = 20000 }; /* more are folded into `_other` */

/* Adds what the question asks for of one group in one slot. */
void usage_answer_add(struct usage_answer *a, const struct usage_question *q, int64_t slot_s,
                      const struct traffic_key *key, const struct row *row);
void usage_ask(struct usage_book *u, const struct usage_question *q, struct usage_answer *a);
/* Orders steps by time, rows by the names of their keys. */
void usage_answer_sort(struct usage_answer *a);
void usage_answer_clear(struct usage_answer *a);
