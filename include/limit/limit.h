/* limit/limit.h: what a tenant may use: requests and tokens a minute, requests at once, money a day and a month, as a
 * whole and for single model names. One decision before anything is sent, settled once at the end.
 *
 * Counts live in this process and survive changes of the configuration: tenants and models are found by name, and a
 * changed limit holds from the next decision on, with what was counted so far. Thread-safe: each tenant has one lock,
 * nothing is called under it, so that several limits are taken all or none. Time is given, never read: intervals go by
 * the monotonic clock, days and months are UTC's. Integers only. */
#pragma once
#include <stdatomic.h>

#include "facts/failures.h"
#include "tenant/tenants.h"

/*        id                   name */
#define LIMITS(X)                                                                                                      \
    X(REQUESTS, requests_per_minute)                                                                                   \
    X(TOKENS, tokens_per_minute)                                                                                       \
    X(CONCURRENT, concurrent_requests)                                                                                 \
    X(DAY, usd_per_day)                                                                                                \
    X(MONTH, usd_per_month)

#define LIMIT_ENUM(id, name) LIMIT_##id,
enum limit_kind { LIMITS(LIMIT_ENUM) LIMIT_COUNT };
#undef LIMIT_ENUM
struct slice limit_name(enum limit_kind k); /* as in the configuration */
static inline bool limit_is_money(enum limit_kind k) {
    return k == LIMIT_DAY || k == LIMIT_MONTH;
}

struct limiter;
struct limiter *limiter_new(void);
void limiter_free(struct limiter *l); /* nothing may be held any more */

struct limit_request { /* what is about to be used; all 0: a request of unknown size */
    uint64_t input_tokens, output_tokens;
    bool output_guessed; /* then it alone does not make a request too large for a limit */
    uint64_t pico_usd;
    bool uncounted; /* a refusal may not be the last word: who asks counts it by limiter_refused() when it is */
};

struct limit_refusal {
    enum limit_kind kind;
    bool of_model;           /* the limit of the model asked for, not of the tenant as a whole */
    uint64_t max;            /* pico-dollars for money */
    uint64_t retry_after_ns; /* from when on it would be admitted if nothing else came; 0 for NEVER_FITS */
};

struct limit_state;
struct limit_tenant;
struct reservation {             /* zero-initialise; what one exchange holds until limit_settle() */
    struct limit_tenant *tenant; /* NULL: nothing held */
    uint64_t day, month;         /* the periods it counts for */
    uint64_t pico_usd;
    struct limit_hold {
        struct limit_state *state;
        uint64_t tokens; /* UINT64_MAX: there was no limit of tokens */
    } holds[2];         /* of the tenant as a whole, of the model */
    unsigned hold_count;
};

/* FAILURE_NONE: taken and in *hold. LIMIT_EXCEEDED, or NEVER_FITS when it is larger than a whole limit: *why says which
 * (of several, the one to wait for longest), and nothing was taken. `model` is the name the client asked for, or empty.
 * A tenant without limits holds nothing. */
enum failure limiter_take(struct limiter *l, const struct tenant *tenant, struct slice model, uint64_t now_ns,
                          int64_t unix_ns, const struct limit_request *want, struct reservation *hold,
                          struct limit_refusal *why);
/* Replaces what was reserved by what was used and ends the lease. Less gives back no more than was taken, more becomes
 * a debt that later requests wait for. Harmless when nothing is held, so once more does nothing. */
void limit_settle(struct reservation *hold, uint64_t tokens, uint64_t pico_usd, uint64_t now_ns, int64_t unix_ns);

struct limit_row { /* max - used - reserved = remaining, never below 0; pico-dollars for money */
    enum limit_kind kind;
    struct slice model; /* empty: the tenant as a whole; borrowed from the tenant's configuration */
    uint64_t max, used, reserved, remaining;
    uint64_t reset_ns; /* until all of it is free again if nothing else came; of CONCURRENT 0: unknown */
};

/* ---- where limits are shared by replicas (limit/shared.h), this one's own counts go on beside it ---- */

/* FAILURE_NONE, or NEVER_FITS with *why: it is larger than a whole limit that it meets. Touches no counts. */
enum failure limit_size_judge(const struct tenant *tenant, struct slice model, const struct limit_request *want,
                              struct limit_refusal *why);
/* As limiter_take() when everything fits: others have decided. `ahead`: from what was taken ahead. */
void limiter_note(struct limiter *l, const struct tenant *tenant, struct slice model, uint64_t now_ns, int64_t unix_ns,
                  const struct limit_request *want, bool ahead, struct reservation *hold);
void limiter_refused(struct limiter *l, const struct tenant *tenant, enum limit_kind kind); /* counts it */
/* What limiter_take() judges by: each limit divided by `replicas`, at least 1. At first 1. Any thread. */
void limiter_share_set(struct limiter *l, unsigned replicas);
unsigned limiter_share(const struct limiter *l); /* 0: never set */
/* Whether limit_view() shows what limiter_told() was told, where it was. At first not. Any thread. */
void limiter_fleet_set(struct limiter *l, bool up);
struct limit_told {
    enum limit_kind kind;
    uint64_t used, reserved, reset_ns; /* over all replicas, now */
};
/* Rows of an answer to what was asked at `asked_ns`: what was told by an answer to a later question stays. */
void limiter_told(struct limiter *l, struct slice tenant, struct slice model, uint64_t asked_ns, uint64_t now_ns,
                  const struct limit_told *rows, unsigned count);

bool tenant_is_limited(const struct tenant *t);
/* The limits of one model, or NULL; the name is the configuration's. */
const struct config_model_limit *tenant_model_limit(const struct tenant *t, struct slice model);
/* One row per limit that a request for `model` would meet. Returns how many (at most 2 * LIMIT_COUNT). */
unsigned limit_view(struct limiter *l, const struct tenant *tenant, struct slice model, uint64_t now_ns,
                    int64_t unix_ns, struct limit_row rows[2 * LIMIT_COUNT]);
/* Walks all tenants that were ever asked for, with how often each limit refused; *cursor starts as NULL. False at the
 * end. */
bool limiter_refusals(struct limiter *l, const void **cursor, struct slice *tenant, uint64_t counts[LIMIT_COUNT]);
