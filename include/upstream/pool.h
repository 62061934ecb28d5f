/* upstream/pool.h: a worker's connections to one provider. Idle ones are kept newest first and stay armed for reading:
 * a byte, an end or an error there means that the provider is done with it. A connection holds a permit from its birth
 * to its end. An attempt that finds neither an idle connection nor a permit waits in line here. */
#pragma once
#include "net/conn.h"
#include "net/resolver.h"
#include "upstream/ack_habit.h"
#include "upstream/origin.h"

struct pool;

struct upstream { /* one connection to a provider; conn->owner is always its upstream */
    struct conn *conn;
    struct pool *pool;
    void *user;                    /* the attempt that has it checked out; borrowed */
    struct upstream *next, **link; /* in the pool's idle list */
    uint64_t retire_ns;            /* not used again after this */
    struct sockaddr_storage address;
    unsigned uses; /* exchanges it has carried */
    struct ack_habit acks;
};

struct pool_wait { /* embedded by an attempt: its place in the line */
    struct pool_wait *next, **link;
    uint32_t group; /* whose it is: groups take turns, one of each a round; set before joining */
    uint64_t round;
    void (*ready)(struct pool_wait *w,
                  struct upstream *u); /* u NULL: a permit may be free, try again. Called from the loop,
                                          never from inside a call to the pool by the waiter itself */
};

struct pool {              /* one per worker and origin; zero-initialise once */
    struct origin *origin; /* NULL: not in use */
    struct loop *loop;
    struct upstream *idle;
    struct ack_peer acks;
    _Atomic unsigned idle_count, open_count; /* this thread writes, all read */
    unsigned waiting_count;
    uint64_t round; /* of who was served last */
    struct pool_wait *first_waiting, **last_waiting;
    struct permit_waiter permit;
    struct loop_task wake;       /* serves the line at the end of the turn */
    bool told;                   /* … when it was told of a permit, which is its own until then */
    struct resolver *resolver;   /* says where the origin is now; NULL: it stays where it is */
    struct addresses *addresses; /* … as far as known; NULL: not asked yet */
    uint64_t looked_ns;
    bool leaving; /* no configuration names it any more: what is returned is closed */
};

void pool_open_at(struct pool *p, struct origin *origin, struct loop *l, struct inbox *inbox);
void pool_clear(struct pool *p); /* closes the idle connections and lets go of the origin; nothing is checked out */
void pool_leave(struct pool *p); /* its provider has moved: idle connections close now, the others when they return */
void pool_stay(struct pool *p);  /* … and has come back before they had gone */
void pool_close_idle(struct pool *p);           /* closes the idle connections (shutting down) */
bool pool_close_oldest(struct pool *p);         /* … the one idle for longest; false: there is none */
struct upstream *pool_checkout(struct pool *p); /* an idle connection that is still good, or NULL */
/* A new connection, checked out. NULL with errno: EDQUOT when there is no permit (wait in line), else no socket could
 * be made. `ops` get conn->owner = the upstream. */
struct upstream *pool_open(struct pool *p, const struct sockaddr *address, socklen_t length, const struct conn_ops *ops,
                           void *user);
/* The origin is at these addresses now: idle connections to others close, those in use when they return. */
void pool_follow(struct pool *p, const struct addresses *now);
/* Part of an answer was read: each time, before anything is done about it. */
static inline void upstream_heard(struct upstream *u) {
    if (ack_habit_heard(&u->acks, &u->pool->acks, u->pool->loop->wake_ns)) conn_acks_put_off(u->conn);
}
void pool_checkin(struct upstream *u); /* after a whole, clean exchange; it may be closed instead */
void pool_discard(struct upstream *u); /* closes it at once; also right after on_close, when the conn is gone */
void pool_wait_join(struct pool *p, struct pool_wait *w);
void pool_wait_leave(struct pool *p, struct pool_wait *w); /* harmless when not in line */
