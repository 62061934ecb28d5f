/* pipeline/attempt.h: one try at one target, with all that belongs to it: the connection, the request as this target
 * gets it, the answer so far. The first is embedded in its exchange and begun anew for each try. Borrows its connection
 * from the pool between checkout and checkin or discard; attempt_release() ends one in whatever state it is.
 */
#pragma once
#include "http/body.h"
#include "json/splice.h"
#include "llm/observe.h"
#include "net/resolver.h"
#include "pipeline/stages.h"
#include "pipeline/snapshot.h"
#include "telemetry/ledger.h"
#include "upstream/pool.h"
#include "upstream/retry.h"

struct exchange;

enum relay_mode {
    RELAY_RAW,    /* forward, then look */
    RELAY_EVENTS, /* whole events only, because one has to be taken out */
    RELAY_REDACT, /* an error's body: echoes of the provider's key are blanked */
};

struct attempt { /* small members stand together: an exchange embeds one of these and is set to zero for each request */
    struct exchange *exchange;
    const struct target *target;
    struct pool *pool;
    struct upstream *up;
    unsigned n;           /* of the exchange's attempts, from 1; 0: it has not begun */
    enum stage_id stage;  /* of one that runs beside the exchange's own, whose stage is the exchange's */
    enum failure failure; /* why it cannot go on */
    enum failure refused; /* what the answer's status means */
    enum relay_mode relay;
    enum framing framing;   /* towards the client */
    unsigned interim_count; /* 1xx swallowed */
    unsigned address_next;  /* of the resolution's answer: tried one after the other */
    uint16_t status;
    /* the connection */
    bool connected, reused, fresh_only; /* fresh_only: no pooled connection, a stale one has failed before */
    bool in_line, called;               /* called: it has been to the front of the line */
    bool stale;                         /* failed on a pooled connection before any byte of the answer */
    /* how far it is */
    bool usage_injected, head_sent, end_sent, sent; /* sent: the whole request is in the socket */
    bool any_byte, head_done, answer_done, keep;
    bool event_passes; /* EVENTS: the unfinished event became too long to be held */
    /* whether it may still be given up for another try */
    bool holding;       /* nothing of the answer has gone out */
    bool released;      /* … but nothing is waited for any longer */
    bool refused_whole; /* all of the refusal is there */
    /* what it tells of its target's health */
    bool probe;          /* its end decides whether the target is used again */
    bool judged, blamed; /* told: that it works; that it failed */
    bool counted;        /* as in flight there */
    uint64_t begun_ns, connect_from_ns, send_begun_ns, send_ended_ns,
        progress_ns; /* progress: the last byte or event that counts against `idle` */
    uint64_t head_ns, first_byte_ns;
    struct body_reader reader;
    struct timer deadline; /* queue, connect, send, first token, idle, hold, hedge: whichever is next */
    struct ledger ledger;
    struct pool_wait waiting;      /* its place in the pool's line */
    struct resolution *resolution; /* the provider's addresses, asked for or there; until connected */
    /* the request, as this target gets it */
    struct slice path_out; /* its request target; in the arena */
    struct splice edits;   /* to the body */
    uint64_t body_sent;    /* of the request's body (edited length) */
    /* the answer */
    struct buf head_part; /* an unfinished head */
    size_t head_scanned;
    void *observer_memory;     /* in the arena */
    struct observer *observer; /* NULL: nothing to be looked at */
    struct buf held;           /* EVENTS: the unfinished event */
    struct redactor *redactor; /* REDACT; in the arena */
    struct echoes *echoes;     /* of an answer in events; in the arena; NULL: not looked for yet */
    unsigned tokens_together;  /* of the read being looked at: without a gap to the one before */
    uint64_t provider_ns, rtt_ns;
    struct slice provider_request_id; /* in the arena */
    struct retry_hint hint;
    struct buf stash;        /* what is held: the head as far as it stays true, then the decoded body */
    size_t stash_head_bytes; /* … of which the head */
    uint64_t not_before_ns;  /* it begins then; 0: it has begun */
    uint64_t hedge_due_ns;   /* without content by then another begins beside it; 0: never */
};

/* The first try at x->target, once the exchange is admitted; its ledger goes to RETRY. */
void attempt_begin(struct exchange *x);
/* A second one beside the exchange's own, at `target`; `a` is all zero but for its observer_memory. */
void attempt_begin_beside(struct attempt *a, struct exchange *x, const struct target *target);
/* Another try takes this one's place: at `target`, from not_before_ns on. */
void attempt_next(struct attempt *a, const struct target *target, uint64_t not_before_ns);
/* It cannot go on: another try takes its place, or the refusal that it holds is passed on, or the exchange fails. */
void attempt_failed(struct attempt *a, enum failure f);
/* The same; false: the exchange is to fail. Otherwise stage_run() goes on. */
bool attempt_survives(struct attempt *a, enum failure f);
/* The same request once more on a fresh connection: a pooled one had ended before it brought a byte. */
void attempt_again(struct attempt *a);
/* Gives the connection back (`keep`: after a whole, clean exchange) or closes it, and takes back whatever was waited
 * for. Harmless when there is nothing. */
void attempt_release(struct attempt *a, bool keep);
void attempt_deadline(struct attempt *a); /* sets the deadline that its state calls for */
