/* limit/shared.h (of this folder): what a worker knows of the limits it shares, between the files that decide, take
 * ahead and settle. A scope's `truth` is what this worker holds; `told` is what Redis thinks it does, as far as is
 * known: each message carries the difference, each answer says what Redis thinks. Amounts that only add up (requests
 * counted otherwise, tokens missing, money spent) are `flow` until they are in a message, which is repeated until
 * answered. */
#pragma once
#include "base/buf.h"
#include "base/hash.h"
#include "limit/shared.h"
#include "replies.h"
#include "scripts.h"

#define HOLDER_TTL_NS (10 * NS_PER_S) /* not heard of for so long, a holder holds nothing */
#define HEARTBEAT_NS (3 * NS_PER_S)
#define AHEAD_NS (7 * NS_PER_S)   /* since the last answered message was sent: then what is ahead is no longer ours */
#define TICK_NS (200 * NS_PER_MS) /* repeats what was not answered; takes ahead, gives back */
enum { LIMIT_WORDS_MAX = REDIS_WORDS_MAX, VIEW_SCOPES_MAX = 64 };

struct limit_flow {
    int64_t window, missing, tokens_back, day_pico, month_pico; /* tokens_back: of what was taken ahead, unused */
};

struct limit_purse { /* taken ahead and not used; part of `truth` */
    int64_t requests, tokens, slots, pico;
    int64_t wanted;                       /* requests it should hold */
    int64_t used;                         /* requests since the last tick */
    int64_t request_tokens, request_pico; /* of an average request */
    unsigned idle_ticks;
};

struct shared_scope {
    struct slice model, key;   /* owned; model empty: the tenant's own */
    struct config_limit limit; /* as last seen */
    struct limit_amounts truth, told;
    struct limit_flow flow;
    struct limit_purse purse;
    struct { /* of requests, as Redis has said: asked again after a second at most */
        uint64_t max, until_ns, ask_ns;
    } full;
    uint64_t sent_ns;  /* when it was last in a message */
    uint64_t heard_ns; /* when the last message that was answered had been sent; 0: never */
    struct shared_scope *next;
};

struct sync_message {
    uint64_t serial, sent_ns;
    int64_t day, month;
    unsigned count;
    bool waits; /* for an answer; else it is to be sent again */
    struct {
        struct shared_scope *scope;
        struct limit_amounts delta;
        struct limit_flow flow;
    } scopes[SYNC_SCOPES_MAX];
};

struct shared_tenant {
    struct limit_shared *shared;
    struct slice name;         /* owned */
    struct shared_scope *own;  /* then those of models */
    struct shared_scope *turn; /* the model that is looked at first for the next message */
    int64_t day, month;        /* the server's */
    uint64_t serial;
    struct sync_message *message; /* not answered yet; or NULL */
    struct shared_tenant *next_active, *next_changed;
    bool active, changed, asks, retells; /* asks: wants more ahead, at once; retells: the message again, at once */
};

struct words {
    struct buf text;
    uint32_t ends[LIMIT_WORDS_MAX];
    struct slice slices[LIMIT_WORDS_MAX];
    unsigned count;
};

struct limit_shared {
    struct limit_shared_options options;
    struct slice prefix; /* owned */
    char holder[32];
    size_t holder_length, replica_length; /* the replica is the holder's beginning */
    struct map tenants;
    struct shared_tenant *active;  /* those that hold something or have something to tell */
    struct shared_tenant *changed; /* those to be sent at the end of the turn */
    struct loop_task flush;
    struct timer tick;
    uint64_t replicas_due_ns;
    bool up, leaving, farewell_waits;
    struct limit_ticket *free;
    struct words words;
};

enum ticket_state { TICKET_WAITS, TICKET_HELD, TICKET_REFUSED, TICKET_SHOWN };

struct limit_ticket {
    struct limit_shared *shared;
    struct shared_tenant *tenant;
    const struct tenant *conf; /* while it waits */
    enum ticket_state state;
    enum failure verdict;
    bool abandoned, ahead;
    unsigned hold_count;
    struct ticket_hold {
        struct shared_scope *scope;
        int64_t tokens, day_pico, month_pico;
        bool of_tokens, of_slot; /* of_slot: from what was taken ahead */
    } holds[2];
    int64_t day, month;
    struct limit_request want;
    struct limit_refusal why;
    struct reservation local;
    int64_t unix_ns;
    uint64_t asked_ns, waited_ns;
    limit_decided *done;
    void *context;
    struct limit_ticket *next_free;
};

int64_t add_i64(int64_t a, int64_t b); /* saturates */

/* shared_sync.c */
void shared_changed(struct shared_tenant *t, bool at_once); /* it has something to tell */
void shared_activate(struct shared_tenant *t);
void shared_period_set(struct shared_tenant *t, int64_t day, int64_t month);
void shared_tell(struct shared_tenant *t, const struct shared_scope *scope, uint64_t asked_ns,
                 const struct limit_rows *rows);
void shared_heard(struct limit_shared *s, bool up); /* whether Redis has answered */
void shared_retell(struct shared_tenant *t);        /* Redis works: what was not answered is sent again at once */
void shared_sync_init(struct limit_shared *s);

/* shared_ahead.c */
bool ahead_take(struct limit_ticket *t);
bool ahead_slot_back(struct limit_ticket *t, struct ticket_hold *h); /* false: it was no slot, or is not wanted */
void ahead_want(const struct shared_scope *scope, struct limit_amounts *want);
void ahead_got(struct shared_scope *scope, const struct limit_amounts *got);
/* All of it is given back; or, when Redis does not know of it, forgotten. */
void ahead_drop(struct shared_scope *scope, bool known);
bool ahead_tick(struct shared_scope *scope); /* true: there is something to tell or to ask for */

/* shared_words.c */
void words_begin(struct words *w);
void words_put(struct words *w, struct slice word);
void words_put_i64(struct words *w, int64_t number);
void words_put_money(struct words *w, int64_t pico); /* two words */
void words_put_limits(struct words *w, const struct config_limit *limit);
bool words_send(struct limit_shared *s, enum limit_script script, unsigned key_count, redis_done *done, void *context);
