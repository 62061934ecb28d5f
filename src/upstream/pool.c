/* Idle upstream connections and the line of those who want one. The hard part is fairness without handing work across
 * threads: a returned connection goes to this worker's own line first, unless it holds more than its share; when other
 * workers wait for a permit instead, it is closed, which frees its permit for the longest-waiting of them. A worker
 * that finds no permit makes one that sits on idle connections close one. */
#include "upstream/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"

#define AGE_MAX_NS (600 * NS_PER_S) /* ± 10 %, so that connections opened together do not end together */
#define LOOK_NS (5 * NS_PER_S)      /* between two looks at the origin's addresses */
enum { IDLE_MAX = 1024 };

static void upstream_free(struct upstream *u) {
    struct pool *p = u->pool;
    p->open_count--;
    permits_give(&p->origin->permits);
    mem_free(u);
}

static void idle_unlink(struct upstream *u) {
    *u->link = u->next;
    if (u->next != NULL) u->next->link = u->link;
    u->link = NULL;
    u->pool->idle_count--;
}

static void idle_drop(struct upstream *u) {
    idle_unlink(u);
    conn_close(u->conn);
    upstream_free(u);
}

/* Nothing may come on an idle connection: whatever does is not an answer to anything (response-queue poisoning). */
static size_t idle_on_bytes(struct conn *c, const char *bytes, size_t n) {
    (void)bytes;
    idle_drop(c->owner);
    return n;
}

static void idle_on_end(struct conn *c) {
    idle_drop(c->owner);
}

static void idle_on_close(struct conn *c, enum close_reason why) {
    (void)why;
    struct upstream *u = c->owner;
    idle_unlink(u);
    upstream_free(u);
}

static const struct conn_ops idle_ops = {
    .on_bytes = idle_on_bytes, .on_eof = idle_on_end, .on_deadline = idle_on_end, .on_close = idle_on_close};

static void line_serve(struct loop_task *task) {
    struct pool *p = (struct pool *)((char *)task - offsetof(struct pool, wake));
    if (p->origin == NULL) return; /* cleared in this very turn */
    if (p->told) permits_heard(&p->origin->permits, &p->permit);
    p->told = false;
    while (p->first_waiting != NULL) {
        struct upstream *u = pool_checkout(p);
        if (u == NULL && !permits_free(&p->origin->permits)) {
            permits_wait(&p->origin->permits, &p->permit);
            return;
        }
        struct pool_wait *w = p->first_waiting;
        p->round = w->round;
        pool_wait_leave(p, w);
        w->ready(w, u);
    }
    permits_pass(&p->origin->permits); /* told, but a connection of its own came first: somebody else may wait */
}

static void permit_told(struct message *m, void *context) {
    (void)context;
    struct permit_waiter *w = (struct permit_waiter *)((char *)m - offsetof(struct permit_waiter, message));
    struct pool *p = (struct pool *)((char *)w - offsetof(struct pool, permit));
    p->told = true;
    loop_defer(p->loop, &p->wake); /* with nobody waiting any more it passes the permit on */
}

bool pool_close_oldest(struct pool *p) {
    struct upstream *oldest = p->idle;
    if (oldest == NULL) return false;
    while (oldest->next != NULL) oldest = oldest->next;
    idle_drop(oldest);
    return true;
}

/* Others wait for a permit: the connections that have been idle longest go. */
static void yield_asked(struct message *m, void *context) {
    (void)context;
    struct permit_waiter *w = (struct permit_waiter *)((char *)m - offsetof(struct permit_waiter, yield));
    struct pool *p = (struct pool *)((char *)w - offsetof(struct pool, permit));
    if (p->origin == NULL) return;
    unsigned wanted = permits_yield_heard(&p->origin->permits, w);
    while (wanted > 0 && pool_close_oldest(p)) wanted--;
}

/* The counts stay as they are, 0: other threads may be reading them. */
void pool_open_at(struct pool *p, struct origin *origin, struct loop *l, struct inbox *inbox) {
    assert(p->origin == NULL && p->open_count == 0 && p->first_waiting == NULL);
    p->origin = origin;
    p->loop = l;
    p->acks = (struct ack_peer){0};
    p->last_waiting = &p->first_waiting;
    p->permit = (struct permit_waiter){.inbox = inbox, .idle_count = &p->idle_count};
    p->permit.message.run = permit_told;
    p->permit.yield.run = yield_asked;
    p->wake.run = line_serve;
    p->leaving = false;
    origin_pool_joined(origin);
    permits_join(&origin->permits, &p->permit);
}

void pool_clear(struct pool *p) {
    struct origin *origin = p->origin;
    if (origin == NULL) return;
    pool_close_idle(p);
    assert(p->open_count == 0 && p->first_waiting == NULL);
    if (p->told) permits_heard(&origin->permits, &p->permit);
    p->told = false;
    permits_part(&origin->permits, &p->permit);
    mem_free(p->addresses);
    p->addresses = NULL;
    p->looked_ns = 0;
    p->origin = NULL;
    origin_pool_left(origin);
}

void pool_leave(struct pool *p) {
    p->leaving = true;
    pool_close_idle(p);
}

void pool_stay(struct pool *p) {
    p->leaving = false;
}

void pool_close_idle(struct pool *p) {
    while (p->idle != NULL) idle_drop(p->idle);
}

struct upstream *pool_checkout(struct pool *p) {
    while (p->idle != NULL) {
        struct upstream *u = p->idle;
        if (p->loop->now_ns >= u->retire_ns) {
            idle_drop(u);
            continue;
        }
        idle_unlink(u);
        return u;
    }
    return NULL;
}

struct upstream *pool_open(struct pool *p, const struct sockaddr *address, socklen_t length, const struct conn_ops *ops,
                           void *user) {
    if (!permits_take(&p->origin->permits)) {
        errno = EDQUOT;
        return NULL;
    }
    struct upstream *u = mem_zalloc(sizeof *u);
    u->pool = p;
    u->user = user;
    u->conn = conn_connect(p->loop, address, length, p->origin->tls, p->origin->host, ops, u);
    if (u->conn == NULL) {
        int saved = errno;
        permits_give(&p->origin->permits);
        mem_free(u);
        errno = saved;
        return NULL;
    }
    memcpy(&u->address, address, length < sizeof u->address ? length : sizeof u->address);
    u->retire_ns = p->loop->now_ns + AGE_MAX_NS * 9 / 10 + random_u64() % (AGE_MAX_NS / 5);
    p->open_count++;
    return u;
}

static bool same_address(const struct sockaddr_storage *a, const struct sockaddr_storage *b) {
    if (a->ss_family != b->ss_family) return false;
    const struct sockaddr_in *a4 = (const void *)a, *b4 = (const void *)b;
    const struct sockaddr_in6 *a6 = (const void *)a, *b6 = (const void *)b;
    if (a->ss_family == AF_INET) return a4->sin_addr.s_addr == b4->sin_addr.s_addr;
    return memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof a6->sin6_addr) == 0;
}

/* Its address is none of the origin's any more. */
static bool has_moved(const struct pool *p, const struct upstream *u) {
    if (p->addresses == NULL || p->addresses->count == 0) return false;
    for (unsigned i = 0; i < p->addresses->count; i++)
        if (same_address(&u->address, &p->addresses->list[i])) return false;
    return true;
}

void pool_follow(struct pool *p, const struct addresses *now) {
    if (p->addresses == NULL) p->addresses = mem_alloc(sizeof *p->addresses);
    *p->addresses = *now;
    for (struct upstream *u = p->idle, *next; u != NULL; u = next) {
        next = u->next;
        if (has_moved(p, u)) idle_drop(u);
    }
}

/* A pool that always has connections asks for no address: it looks by itself. */
static void look_if_due(struct pool *p) {
    struct addresses now;
    if (p->resolver == NULL || p->loop->now_ns < p->looked_ns) return;
    p->looked_ns = p->loop->now_ns + LOOK_NS;
    if (resolver_peek(p->resolver, p->origin->host, p->origin->port, &now)) pool_follow(p, &now);
}

/* Is this connection's permit needed more by another worker? Then this one goes to the end of the line behind it. */
static bool wanted_elsewhere(struct pool *p) {
    struct permits *permits = &p->origin->permits;
    if (p->first_waiting == NULL) return permits_contended(permits);
    if (!permits_over_share(permits, &p->permit, p->open_count)) return false;
    permits_leave(permits, &p->permit);
    return true;
}

void pool_checkin(struct upstream *u) {
    struct pool *p = u->pool;
    u->user = NULL;
    u->uses++;
    look_if_due(p);
    if (p->leaving || has_moved(p, u) || p->loop->now_ns >= u->retire_ns || p->idle_count >= IDLE_MAX ||
        wanted_elsewhere(p)) {
        pool_discard(u);
        return;
    }
    conn_owner_set(u->conn, &idle_ops, u);
    conn_read_resume(u->conn); /* a client that was slow to take the answer's end had it paused */
    conn_deadline_set(u->conn, u->retire_ns);
    u->next = p->idle;
    u->link = &p->idle;
    if (u->next != NULL) u->next->link = &u->next;
    p->idle = u;
    p->idle_count++;
    if (p->first_waiting != NULL) loop_defer(p->loop, &p->wake);
}

void pool_discard(struct upstream *u) {
    struct pool *p = u->pool;
    assert(u->link == NULL);
    if (u->conn != NULL) conn_close(u->conn);
    upstream_free(u);
    if (p->first_waiting != NULL) loop_defer(p->loop, &p->wake);
}

/* The line is kept in the order of service: one of each group a round, first come first served within it. */
static struct pool_wait **place_of(struct pool *p, struct pool_wait *w) {
    struct pool_wait **place = &p->first_waiting;
    struct pool_wait *last = (struct pool_wait *)((char *)p->last_waiting - offsetof(struct pool_wait, next));
    w->round = p->round + 1;
    if (p->waiting_count > 0 && last->group == w->group) {
        w->round = last->round + 1;
        return p->last_waiting;
    }
    for (const struct pool_wait *each = p->first_waiting; each != NULL; each = each->next)
        if (each->group == w->group && each->round >= w->round) w->round = each->round + 1;
    while (*place != NULL && (*place)->round <= w->round) place = &(*place)->next;
    return place;
}

void pool_wait_join(struct pool *p, struct pool_wait *w) {
    struct pool_wait **place = place_of(p, w);
    w->next = *place;
    w->link = place;
    *place = w;
    if (w->next != NULL)
        w->next->link = &w->next;
    else
        p->last_waiting = &w->next;
    p->waiting_count++;
    atomic_fetch_add(&p->origin->permits.queued_count, 1);
    permits_wait(&p->origin->permits, &p->permit);
}

void pool_wait_leave(struct pool *p, struct pool_wait *w) {
    if (w->link == NULL) return;
    *w->link = w->next;
    if (w->next != NULL)
        w->next->link = w->link;
    else
        p->last_waiting = w->link;
    w->link = NULL;
    atomic_fetch_sub(&p->origin->permits.queued_count, 1);
    if (--p->waiting_count == 0) permits_leave(&p->origin->permits, &p->permit);
}
