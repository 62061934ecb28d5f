/* upstream/health.h: is a target (a model at a provider) worth a try? Known to all workers in one cache line of
 * atomics, and kept over reloads. After failures in a row, or when the provider asks for it, a target cools: nobody
 * tries it for a while, twice as long each time. Then one try goes to it as a probe, whose end decides for all. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { HEALTH_FAILURES = 5 };                             /* in a row: then it cools */
#define HEALTH_COOL_NS (UINT64_C(5) * 1000000000)         /* the first time */
#define HEALTH_COOL_MAX_NS (UINT64_C(60) * 1000000000)    /* however often it fails again */
#define HEALTH_ASKED_MAX_NS (UINT64_C(3600) * 1000000000) /* however long the provider asks for */
#define HEALTH_PROBE_NS (UINT64_C(30) * 1000000000)       /* a probe that says nothing for so long is given up */
#define HEALTH_HALF_LIFE_NS (UINT64_C(10) * 1000000000)   /* of a first token's time that nothing confirms */

enum health_state { HEALTH_UP, HEALTH_COOLING, HEALTH_PROBING };

struct health {                         /* zero: up, nothing known */
    _Alignas(64) _Atomic uint64_t word; /* until when (ns) << 2 | state */
    _Atomic uint64_t ttft_ns,
        ttft_at_ns;                      /* of tries that were sent until their first token: a decayed mean, and when */
    _Atomic uint32_t failures, coolings; /* in a row */
    _Atomic uint64_t late_ns;            /* what one of twenty takes longer than: an estimate that follows */
    _Atomic uint32_t samples;            /* … of so many */
    _Atomic uint32_t in_flight;          /* where it is counted: aliases balanced by latency */
    _Atomic bool told;                   /* the log says that it is left alone */
    uint32_t provider, model;            /* name ids */
};

/* The one of that target, made when it is new: never freed. NULL when there are too many. Takes a lock. */
struct health *health_of(uint32_t provider, uint32_t model);
struct health *health_next(unsigned *cursor);               /* *cursor starts at 0; NULL at the end */
const char *health_tell(uint32_t provider, uint32_t model); /* the state's name; NULL: no such target is known */
const char *health_state_name(enum health_state s);
enum health_state health_state_of(const struct health *h);

/* Could a try go there now? */
bool health_usable(const struct health *h, uint64_t now_ns);
/* Until when it is not usable; 0: it is, or nobody knows. */
uint64_t health_until_ns(const struct health *h);
/* A try is to go there. False: another is the probe. *probe: this one is, and its end must be told. */
bool health_enter(struct health *h, uint64_t now_ns, bool *probe);
void health_succeeded(struct health *h, uint64_t now_ns);
/* asked_ns: how long the provider asks to be left alone, 0: it does not. Logs when it cools for a second or longer. */
void health_failed(struct health *h, uint64_t now_ns, uint64_t asked_ns, const char *why);
void health_undecided(struct health *h, uint64_t now_ns); /* the probe ended for reasons of its own: another may go */

void health_first_token(struct health *h, uint64_t ttft_ns, uint64_t now_ns);
/* After how long a first token is late: the 95th percentile of late; 0: too little is known. */
uint64_t health_late_ns(const struct health *h);
/* What a try there is expected to cost: its first token's time, for each that is under way. Less is better. */
uint64_t health_score(const struct health *h, uint64_t now_ns);
