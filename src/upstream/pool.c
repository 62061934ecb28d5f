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
enum { IDLE_MAX = 1024 };

static void upstream_free(struct upstream *u) {
    struct pool *p = u->pool;
    p->open_count--;
    permits_give(&p->provider->permits);
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
    if (p->told) permits_heard(&p->provider->permits, &p->permit);
    p->told = false;
    while (p->first_waiting != NULL) {
        struct upstream *u = pool_checkout(p);
        if (u == NULL && !permits_free(&p->provider->permits)) {
            permits_wait(&p->provider->permits, &p->permit);
            return;
        }
        struct pool_wait *w = p->first_waiting;
        pool_wait_leave(p, w);
        w->ready(w, u);
    }
    permits_pass(&p->provider->permits); /* told, but a connection of its own came first: somebody else may wait */
}

static void permit_told(struct message *m, void *context) {
    (void)context;
    struct permit_waiter *w = (struct permit_waiter *)((char *)m - offsetof(struct permit_waiter, message));
    struct pool *p = (struct pool *)((char *)w - offsetof(struct pool, permit));
    p->told = true;
    loop_defer(p->loop, &p->wake); /* with nobody waiting any more it passes the permit on */
}

/* Others wait for a permit: the connections that have been idle longest go. */
static void yield_asked(struct message *m, void *context) {
    (void)context;
    struct permit_waiter *w = (struct permit_waiter *)((char *)m - offsetof(struct permit_waiter, yield));
    struct pool *p = (struct pool *)((char *)w - offsetof(struct pool, permit));
    unsigned wanted = permits_yield_heard(&p->provider->permits, w);
    for (; wanted > 0 && p->idle != NULL; wanted--) {
        struct upstream *oldest = p->idle;
        while (oldest->next != NULL) oldest = oldest->next;
        idle_drop(oldest);
    }
}

void pool_init(struct pool *p, struct provider *provider, struct loop *l, struct inbox *inbox) {
    *p = (struct pool){.provider = provider, .loop = l};
    p->last_waiting = &p->first_waiting;
    p->permit.inbox = inbox;
    p->permit.message.run = permit_told;
    p->permit.yield.run = yield_asked;
    p->permit.idle_count = &p->idle_count;
    p->wake.run = line_serve;
    permits_join(&provider->permits, &p->permit);
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
    if (!permits_take(&p->provider->permits)) {
        errno = EDQUOT;
        return NULL;
    }
    struct upstream *u = mem_zalloc(sizeof *u);
    u->pool = p;
    u->user = user;
    u->conn = conn_connect(p->loop, address, length, p->provider->tls, p->provider->host, ops, u);
    if (u->conn == NULL) {
        int saved = errno;
        permits_give(&p->provider->permits);
        mem_free(u);
        errno = saved;
        return NULL;
    }
    u->retire_ns = p->loop->now_ns + AGE_MAX_NS * 9 / 10 + random_u64() % (AGE_MAX_NS / 5);
    p->open_count++;
    return u;
}

/* Is this connection's permit needed more by another worker? Then this one goes to the end of the line behind it. */
static bool wanted_elsewhere(struct pool *p) {
    struct permits *permits = &p->provider->permits;
    if (p->first_waiting == NULL) return permits_contended(permits);
    if (!permits_over_share(permits, &p->permit, p->open_count)) return false;
    permits_leave(permits, &p->permit);
    return true;
}

void pool_checkin(struct upstream *u) {
    struct pool *p = u->pool;
    u->user = NULL;
    u->uses++;
    if (p->loop->now_ns >= u->retire_ns || p->idle_count >= IDLE_MAX || wanted_elsewhere(p)) {
        pool_discard(u);
        return;
    }
    conn_owner_set(u->conn, &idle_ops, u);
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

void pool_wait_join(struct pool *p, struct pool_wait *w) {
    w->next = NULL;
    w->link = p->last_waiting;
    *p->last_waiting = w;
    p->last_waiting = &w->next;
    p->waiting_count++;
    atomic_fetch_add(&p->provider->permits.queued_count, 1);
    permits_wait(&p->provider->permits, &p->permit);
}

void pool_wait_leave(struct pool *p, struct pool_wait *w) {
    if (w->link == NULL) return;
    *w->link = w->next;
    if (w->next != NULL)
        w->next->link = w->link;
    else
        p->last_waiting = w->link;
    w->link = NULL;
    atomic_fetch_sub(&p->provider->permits.queued_count, 1);
    if (--p->waiting_count == 0) permits_leave(&p->provider->permits, &p->permit);
}
