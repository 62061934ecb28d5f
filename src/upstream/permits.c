/* Connection permits. Taking and giving without a line is one atomic each; the lock is only for the line itself. A worker
 * that is told may find the permit taken by somebody faster: it then joins the line again, at its end. */
#include "upstream/permits.h"

#include <stdatomic.h>

void permits_init(struct permits *p, uint64_t max) {
    atomic_store(&p->used, 0);
    atomic_store(&p->waiting_count, 0);
    atomic_store(&p->queued_count, 0);
    p->max = max;
    p->first = NULL;
    p->tail = &p->first;
    pthread_mutex_init(&p->lock, NULL);
}

void permits_clear(struct permits *p) { pthread_mutex_destroy(&p->lock); }

bool permits_take(struct permits *p) {
    uint64_t used = atomic_load_explicit(&p->used, memory_order_relaxed);
    while (used < p->max)
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

void permits_give(struct permits *p) {
    atomic_fetch_sub(&p->used, 1);
    permits_pass(p);
}

void permits_pass(struct permits *p) {
    if (!permits_contended(p)) return;
    pthread_mutex_lock(&p->lock);
    struct permit_waiter *w = line_pop(p);
    if (w != NULL) inbox_post(w->inbox, &w->message);
    pthread_mutex_unlock(&p->lock);
}

void permits_wait(struct permits *p, struct permit_waiter *w) {
    pthread_mutex_lock(&p->lock);
    if (!w->waiting) {
        w->waiting = true;
        w->next = NULL;
        *p->tail = w;
        p->tail = &w->next;
        atomic_fetch_add(&p->waiting_count, 1);
    }
    /* A permit given between the failed take and joining the line told nobody. */
    if (atomic_load(&p->used) < p->max && (w = line_pop(p)) != NULL) inbox_post(w->inbox, &w->message);
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
