/* pipeline/exchange.h: a request and its reply.
 *
 * OWNED BY its client until it settles, then by the worker's list of the dead, which the reaper empties at the end of
 * the turn. Born at the first byte of the request; holds the only copy of it. */
#pragma once
#include "base/arena.h"
#include "http/body.h"
#include "llm/request.h"
#include "pipeline/attempt.h"
#include "pipeline/client.h"
#include "pipeline/stages.h"

enum body_mode {
    BODY_HELD,     /* kept whole: for its model, and for replays */
    BODY_STREAMED, /* pass-through: sent on as it comes, never edited, never replayed once a byte of it went out */
};

struct failover;

struct exchange {
    struct worker *worker;
    struct client *client; /* borrowed; NULL once the client's connection is gone */
    const struct snapshot *conf;
    struct arena arena;
    enum stage_id stage;

    /* what every callback looks at stands together: with hundreds of open streams each cache line counts */
    bool settled;
    bool attempting;
    bool stream;       /* the client asked for one */
    bool answered;     /* a head has gone to the client */
    bool answer_ended; /* nothing more will be sent to the client */
    bool upstream_paused;
    uint16_t status; /* sent to the client, or what it would have been */
    enum failure failure;
    enum error_source source; /* of the failure; a relayed error has one without being weir's own */
    uint32_t in_flight_at_start;
    uint64_t callback_begin_ns, callback_ns;
    uint64_t response_bytes; /* of the body, as sent */
    uint64_t ttft_written_ns, visible_written_ns,
        head_written_ns;     /* when they went to the client's socket; 0 = not yet */
    struct attempt *attempt; /* the current try */
    struct attempt first_attempt;

    struct ledger ledger;      /* while an attempt runs: in RETRY, the attempt's own is the one that moves */
    struct timer total;        /* the whole exchange's deadline */
    struct failover *failover; /* where else it may go; in the arena; NULL: nowhere */
    uint32_t retry_after_s;    /* of NO_TARGET; 0: not known */
    bool probe;                /* the first try is its target's probe */
    bool has_head, admitted;   /* the head was parsed; key, path and size are fine */
    bool continued;            /* 100 Continue was sent */
    struct slice detail;       /* continues the error's text: which model, which limit */

    /* the request */
    struct http_head head;
    struct body_reader reader;
    enum body_mode body_mode;
    struct body body;                    /* HELD: all of it; STREAMED: what could not be sent on yet */
    uint64_t body_received;              /* decoded bytes */
    uint64_t body_begun_ns, received_ns; /* received: the whole request was there; 0 = not yet */
    uint64_t body_due_ns,
        body_paused_ns; /* the rest must come by then; since when the client is not read (STREAMED), or 0 */
    struct route route;
    void *scan_memory;           /* `facts` while the body comes, then the observer */
    struct request_facts *facts; /* NULL once they have been read */

    /* who and what */
    const struct tenant *tenant;
    const struct tenant_key *key;
    struct slice model_requested; /* in the arena */
    uint32_t max_tokens, choices; /* as asked for; 0: not said */
    uint32_t workload;            /* name id */
    unsigned attempts;
    const struct target *target;  /* the one that is tried, or the last one that was */
    struct usage_sums *sums;      /* GET /weir/usage: what all replicas have counted, when they were asked */
    struct traffic_group *flight; /* where it counts as in flight, from when its target is known */

    /* limits */
    union { /* until it settles, by whether the worker shares its limits */
        struct reservation hold;
        struct {
            struct limit_ticket *ticket; /* also while it waits for an answer about them */
            uint64_t limiter_ns;         /* how long it did; 0: not at all */
        };
    };
    struct queued *queued;        /* where it waits for them; in the arena; NULL: it never did */
    struct limit_refusal refusal; /* of LIMIT_EXCEEDED and NEVER_FITS */
    uint64_t input_tokens_estimate;

    /* the answer */
    uint64_t stall_due_ns,
        stall_mark;   /* bytes are queued to the client: by when it must have taken more than so many; or 0 */
    bool keep_client; /* the connection can serve another request */
    bool broken;      /* the answer must not look complete: it gets no end */
    bool broken_told; /* … and an error event says so: the client may have what is queued */

    /* trace and labels */
    uint8_t trace_id[16], span_id[8], parent_id[8], trace_flags;
    struct slice trace_state;                     /* the caller's; in the arena */
    struct slice tags;                            /* NAME NUL VALUE NUL …; in the arena */
    struct slice session, workload_name, release; /* in the head's copy */
    bool debug;

    bool client_tls;
    uint8_t given_up_count;
    struct given_up *given_up; /* attempts that others took the place of; in the arena */
    uint8_t address_length;    /* of `address` */

    bool unrecorded; /* a health check: it leaves no record */
    struct exchange *next_dead;

    /* From here on nothing is zeroed: each is written before it is read. */
    struct target own_target;       /* `target` when it is made for this exchange: pass-through, provider/model */
    char address[INET6_ADDRSTRLEN]; /* the client's: it may have left when the record is made */
};

struct exchange *exchange_new(struct client *c, uint64_t first_byte_ns);
/* Nothing has been judged by its configuration yet: the newest one is to be. */
void exchange_conf_renew(struct exchange *x);
void exchange_free(struct exchange *x); /* the reaper's */

/* Every callback that works for an exchange is between these two: LOOP is booked from the wake-up to here, and the time
 * spent in between counts as the exchange's own CPU time. */
void exchange_callback_begin(struct exchange *x);
void attempt_callback_begin(struct attempt *a); /* the same, where it is one attempt's own */
void exchange_callback_end(struct exchange *x);

/* The connection will serve no other: the answer's head says so. */
static inline bool exchange_is_last(const struct exchange *x) {
    return x->worker->draining || x->worker->leaving;
}

static inline struct ledger *exchange_ledger(struct exchange *x) {
    return x->attempting ? &x->attempt->ledger : &x->ledger;
}
static inline void exchange_phase(struct exchange *x, enum phase p, uint64_t now_ns) {
    ledger_enter(exchange_ledger(x), p, now_ns);
}
/* The client is no longer there for what was produced for it: it left, or it did not take it. */
static inline bool exchange_abandoned(const struct exchange *x) {
    return x->failure == FAILURE_CLIENT_GONE || x->failure == FAILURE_CLIENT_STALLED;
}
static inline struct slice exchange_copy(struct exchange *x, struct slice s) {
    return arena_copy(&x->arena, s);
}
