/* Connection permits. Taking and giving without a line is one atomic each; the lock is only for the line itself. A
 * permit that a worker was told of is promised to it until it has heard, so that a busy worker cannot take it back at
 * once; one that finds it taken all the same joins the line again, at its end. The hard part is that a message is one
 * struct: it must not be posted again while it is on its way, so a told worker is not in the line until it has heard.
 */
#include "upstream/permits.h"

#include <stdatomic.h>

void permits_init(struct permits *p, uint64_t max) {
    *p = (struct permits){0};
    atomic_init(&p->max, max);
    p->tail = &p->first;
    pthread_mutex_init(&p->lock, NULL);
}

void permits_clear(struct permits *p) {
    pthread_mutex_destroy(&p->lock);
}

void permits_join(struct permits *p, struct permit_waiter *w) {
    pthread_mutex_lock(&p->lock);
    w->next_member = p->members;
    p->members = w;
    p->member_count++;
    pthread_mutex_unlock(&p->lock);
}

void permits_part(struct permits *p, struct permit_waiter *w) {
    pthread_mutex_lock(&p->lock);
    for (struct permit_waiter **link = &p->members; *link != NULL; link = &(*link)->next_member) {
        if (*link != w) continue;
        *link = w->next_member;
        p->member_count--;
        break;
    }
    pthread_mutex_unlock(&p->lock);
}

static uint64_t max_of(struct permits *p) {
    return atomic_load_explicit(&p->max, memory_order_relaxed);
}

bool permits_free(struct permits *p) {
    return atomic_load(&p->used) + atomic_load(&p->promised) < max_of(p);
}

bool permits_take(struct permits *p) {
    uint64_t used = atomic_load_explicit(&p->used, memory_order_relaxed);
    while (used + atomic_load_explicit(&p->promised, memory_order_relaxed) < max_of(p))
        if (atomic_compare_exchange_weak(&p->used, &used, used + 1)) return true;
    return false;
}

static struct permit_waiter *line_pop(struct permits *p) {
    struct permit_waiter *w = p->first;
    if (w == NULL) return NULL;
    p->first = w->next;
    if (p->first == NULL) p->tail = &p->first;
    w->waiting = false;
    atomic_fetch_sub(&p->waiting_count, 1);
    return w;
}

/* Under the lock. A worker whose inbox is closed or full is passed over. */
static void next_tell(struct permits *p) {
    struct permit_waiter *w;
    while (permits_free(p) && (w = line_pop(p)) != NULL) {
        atomic_fetch_add(&p->promised, 1);
        w->told = inbox_post(w->inbox, &w->message);
        if (w->told) return;
        atomic_fetch_sub(&p->promised, 1);
    }
}

/* Under the lock. Idle connections hold permits as well as busy ones; one of another worker's is asked for. */
static void yield_ask(struct permits *p, const struct permit_waiter *starved) {
    for (struct permit_waiter *m = p->members; m != NULL; m = m->next_member) {
        if (m == starved || m->asked || atomic_load_explicit(m->idle_count, memory_order_relaxed) == 0) continue;
        m->asked = inbox_post(m->inbox, &m->yield);
        if (m->asked) return;
    }
}

void permits_give(struct permits *p) {
    atomic_fetch_sub(&p->used, 1);
    permits_pass(p);
}

void permits_pass(struct permits *p) {
    if (atomic_load(&p->waiting_count) == 0) return;
    pthread_mutex_lock(&p->lock);
    next_tell(p);
    pthread_mutex_unlock(&p->lock);
}

void permits_max_set(struct permits *p, uint64_t max) {
    uint64_t before = atomic_exchange(&p->max, max);
    for (; before < max && atomic_load(&p->waiting_count) > 0 && permits_free(p); before++) permits_pass(p);
}

void permits_wait(struct permits *p, struct permit_waiter *w) {
    pthread_mutex_lock(&p->lock);
    if (!w->waiting && !w->told) {
        w->waiting = true;
        w->next = NULL;
        *p->tail = w;
        p->tail = &w->next;
        atomic_fetch_add(&p->waiting_count, 1);
    }
    /* A permit given between the failed take and joining the line told nobody. */
    if (permits_free(p))
        next_tell(p);
    else
        yield_ask(p, w);
    pthread_mutex_unlock(&p->lock);
}

void permits_leave(struct permits *p, struct permit_waiter *w) {
    pthread_mutex_lock(&p->lock);
    for (struct permit_waiter **link = &p->first; *link != NULL; link = &(*link)->next) {
        if (*link != w) continue;
        *link = w->next;
        if (w->next == NULL) p->tail = link;
        w->waiting = false;
        atomic_fetch_sub(&p->waiting_count, 1);
        break;
    }
    pthread_mutex_unlock(&p->lock);
}

void permits_heard(struct permits *p, struct permit_waiter *w) {
    pthread_mutex_lock(&p->lock);
    if (w->told) atomic_fetch_sub(&p->promised, 1);
    w->told = false;
    pthread_mutex_unlock(&p->lock);
}

unsigned permits_yield_heard(struct permits *p, struct permit_waiter *w) {
    pthread_mutex_lock(&p->lock);
    w->asked = false;
    unsigned wanted = atomic_load(&p->waiting_count) - (w->waiting ? 1 : 0);
    pthread_mutex_unlock(&p->lock);
    return wanted;
}

bool permits_over_share(struct permits *p, const struct permit_waiter *w, uint64_t held) {
    if (!permits_contended(p)) return false;
    pthread_mutex_lock(&p->lock);
    bool others = p->first != NULL && (p->first != w || w->next != NULL);
    bool over = others && held * p->member_count > max_of(p);
    pthread_mutex_unlock(&p->lock);
    return over;
}
