/* link.h: one connection to one Redis server, and the commands that wait on it. Commands stand in `window` from when
 * they are queued until they are answered: so they can be sent again as something else (a script the server lost, a
 * slot that moved), and nothing is allocated for one. `pending` tells for each, in the same order, whose it is. */
#pragma once
#include "net/conn.h"
#include "net/resolver.h"
#include "reader.h"
#include "redis/redis.h"

#define LINK_HOST_MAX 256

enum link_state {
    LINK_IDLE,       /* not connected, and not going to by itself */
    LINK_WAITING,    /* not connected; `timer` begins the next attempt */
    LINK_RESOLVING,  /* asked for the name's addresses */
    LINK_CONNECTING, /* TCP, TLS */
    LINK_LOGGING_IN, /* AUTH, SELECT, the probe */
    LINK_UP
};

/* The circuit breaker: why no call is taken. */
enum breaker {
    BREAKER_CLOSED,
    BREAKER_DOWN,   /* there is no connection; closed by the next log-in */
    BREAKER_SILENT, /* answers do not come in time; closed by a PING that is answered in time */
    BREAKER_TROUBLE /* error replies only; closed by a call that succeeds: one is let through now and then */
};

enum pending_kind { PENDING_CALL, PENDING_ASKING, PENDING_PING, PENDING_SLOTS };
struct pending {
    uint64_t end; /* of its bytes, counted since the link began */
    uint32_t slot, generation;
    enum pending_kind kind;
};

struct redis_client;
struct link {
    struct redis_client *client;
    struct conn *conn; /* NULL in IDLE, WAITING, RESOLVING */
    enum link_state state;
    enum breaker breaker;
    struct timer timer;
    struct resolve ask;
    char host[LINK_HOST_MAX], port[8];
    struct reader reader;
    bool reading; /* the reader is set up */
    struct buf window;
    uint64_t base, sent;     /* where the window begins; up to where it was sent */
    struct pending *pending; /* a ring of `pending_capacity`, a power of two */
    uint32_t pending_capacity, pending_first, pending_count;
    unsigned login_steps; /* those that are not answered yet, a set */
    unsigned failures;    /* of calls, in a row */
    unsigned attempts;    /* to connect, since a call last succeeded */
    uint64_t up_ns;       /* when it came up */
    uint64_t heard_ns;    /* when the last reply came, or what waits began to wait */
    uint64_t replied_ns;  /* when the last reply came */
    uint64_t trial_ns;    /* BREAKER_TROUBLE: when the next call is let through */
    uint64_t ping_ns;     /* when the PING was sent that is not answered yet; 0: none */
    uint8_t index;        /* in the client's list */
    bool has_dead;        /* a call ended whose bytes were not sent */
    bool asking;          /* the resolver owes an answer */
    bool mapped;          /* a cluster's slots are here, or it is the only one */
};

#define LINK_WHERE_MAX (LINK_HOST_MAX + 16)
void link_where(const struct link *k, char out[LINK_WHERE_MAX]); /* host:port, for the log */
void link_init(struct link *k, struct redis_client *c, struct slice host, struct slice port);
void link_clear(struct link *k); /* its calls must have been ended */
void link_start(struct link *k); /* IDLE: connects in this turn's end; may not call back */
/* Room for a command of so many bytes, or for one of unknown length (0). */
bool link_has_room(const struct link *k, size_t bytes);
/* A command was appended to the window: whose it is. Returns where it ends. */
uint64_t link_queued(struct link *k, enum pending_kind kind, uint32_t slot, uint32_t generation);
void link_flush(struct link *k); /* from the client's task: connects, or sends what is new */
/* The connection is no good (or ended): closed, what was sent is lost, and it connects again. `suspect`: not at once,
 * and nothing waits for it. */
void link_down(struct link *k, const char *why, struct slice detail, bool suspect);
void link_close_quietly(struct link *k); /* nothing waits: the connection is not needed any more */

/* What a link tells its client; from the loop only. */
/* A reply to the call {slot, generation}. `command` is what was sent, still in k->window; it goes with the return. */
void client_replied(struct redis_client *c, struct link *k, const struct pending *p, struct slice command,
                    const struct redis_reply *reply);
void client_slots_replied(struct redis_client *c, struct link *k, const struct redis_reply *reply);
bool client_waits(const struct redis_client *c, const struct pending *p);     /* the call has not ended */
void client_moved(struct redis_client *c, const struct pending *p);           /* its bytes end at p->end now */
void client_lost(struct redis_client *c, const struct pending *p, bool sent); /* … will not be answered */
void client_link_changed(struct redis_client *c,
                         struct link *k); /* it came up, went down, opened or closed its breaker */
uint64_t client_now_ns(const struct redis_client *c);
void client_flush_later(struct redis_client *c);
