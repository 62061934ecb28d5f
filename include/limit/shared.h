/* limit/shared.h: limits that hold over all replicas, decided in Redis by the scripts in lua/. One per worker, on its
 * loop, for its thread only; the process's own limiter (limit/limit.h) counts beside it and decides when Redis does not
 * answer, as `state.redis.on_failure` says. With `lease` some of each limit is taken ahead, and most decisions are made
 * at once from that.
 *
 * What is settled is summed and sent until Redis has it: nothing is counted twice, nothing is lost as long as this
 * process lives. What a process that dies held lapses after ten seconds. */
#pragma once
#include "limit/limit.h"
#include "redis/client.h"

struct limit_shared_options {
    struct limiter *local;
    struct redis_client *redis;
    struct loop *loop;
    struct slice prefix; /* of every key; copied */
    uint64_t boot;       /* this process among all others: random */
    unsigned worker;     /* 0 also tells the others that this replica is there */
    bool lease;
    enum config_on_failure on_failure;
};

struct limit_shared;
struct limit_shared *limit_shared_new(const struct limit_shared_options *o);
/* Sends all that is to be settled, says goodbye, takes no more; done when limit_shared_is_settled(). */
void limit_shared_leave(struct limit_shared *s);
bool limit_shared_is_settled(const struct limit_shared *s);
void limit_shared_free(struct limit_shared *s); /* after its client; no ticket may be held */

/* One decision, and what is held by it. */
struct limit_ticket;
/* Asks. When the ticket waits, `done` is called from the loop once it no longer does, unless it is abandoned. Borrows
 * `tenant` until then, copies the rest. Never NULL: release it with limit_ticket_settle() or limit_ticket_abandon(). */
typedef void limit_decided(void *context);
struct limit_ticket *limit_shared_take(struct limit_shared *s, const struct tenant *tenant, struct slice model,
                                       int64_t unix_ns, const struct limit_request *want, limit_decided *done,
                                       void *context);
bool limit_ticket_waits(const struct limit_ticket *t);
/* FAILURE_NONE: it holds. LIMIT_EXCEEDED, NEVER_FITS and LIMITER_DOWN fill *why, and nothing is held. */
enum failure limit_ticket_verdict(const struct limit_ticket *t, struct limit_refusal *why);
uint64_t limit_ticket_waited_ns(const struct limit_ticket *t); /* so far; TIME_UNKNOWN_NS: Redis was not asked */
/* What was reserved becomes what was used. The ticket is gone. */
void limit_ticket_settle(struct limit_ticket *t, uint64_t tokens, uint64_t pico_usd, int64_t unix_ns);
/* Whoever asked has left: `done` is not called, and what was or will be taken is given back. The ticket is gone. */
void limit_ticket_abandon(struct limit_ticket *t);

/* Asks where a tenant stands, for limit_view() to show it. The verdict is LIMITER_DOWN when Redis did not say. */
struct limit_ticket *limit_shared_view(struct limit_shared *s, const struct tenant *tenant, int64_t unix_ns,
                                       limit_decided *done, void *context);

/* Of the whole process, for metrics: decisions made without Redis. */
uint64_t limit_shared_decided_alone(void);
