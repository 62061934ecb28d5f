/* Lines of those who wait for limits. One lock for all of them: it is taken only while somebody waits. The hard part is
 * a worker that is told through its inbox: the message is the waiter's own, so one that leaves meanwhile is freed when
 * its message arrives. */
#include "limit/waiting.h"

#include <assert.h>
#include <stdatomic.h>

#include "base/mem.h"

struct waiting_tenant {
    struct slice name; /* owned */
    uint64_t count;
    struct waiting_line *lines;
    struct waiting_tenant *next;
};

struct waiting_line {
    struct waiting_tenant *tenant;
    struct slice model; /* owned; empty: the tenant as a whole */
    struct waiter *first, **tail;
    struct waiting_line *next;
};

struct waiting {
    pthread_mutex_t lock;
    _Atomic uint64_t count;
    struct waiting_tenant *tenants; /* those of whom somebody waits: few */
    struct waiter *left;            /* whose message is still on its way */
};

struct waiting *waiting_new(void) {
    struct waiting *w = mem_zalloc(sizeof *w);
    pthread_mutex_init(&w->lock, NULL);
    return w;
}

void waiting_free(struct waiting *w) {
    if (w == NULL) return;
    assert(w->tenants == NULL);
    for (struct waiter *each = w->left, *next; each != NULL; each = next) { /* its loop has ended before it came */
        next = each->next;
        mem_free(each);
    }
    pthread_mutex_destroy(&w->lock);
    mem_free(w);
}

uint64_t waiting_count(struct waiting *w) {
    return atomic_load_explicit(&w->count, memory_order_relaxed);
}

/* ---- under the lock ---- */

static struct slice copy(struct slice s) {
    return (struct slice){mem_strndup(s.p, s.n), s.n};
}

static struct waiting_tenant *tenant_find(struct waiting *w, struct slice name) {
    struct waiting_tenant *t = w->tenants;
    while (t != NULL && !slice_equal(t->name, name)) t = t->next;
    return t;
}

static struct waiting_line *line_find(struct waiting_tenant *t, struct slice model) {
    struct waiting_line *l = t->lines;
    while (l != NULL && !slice_equal(l->model, model)) l = l->next;
    return l;
}

static struct waiting_tenant *tenant_get(struct waiting *w, struct slice name) {
    struct waiting_tenant *t = tenant_find(w, name);
    if (t != NULL) return t;
    t = mem_zalloc(sizeof *t);
    *t = (struct waiting_tenant){.name = copy(name), .next = w->tenants};
    return w->tenants = t;
}

static struct waiting_line *line_get(struct waiting_tenant *t, struct slice model) {
    struct waiting_line *l = line_find(t, model);
    if (l != NULL) return l;
    l = mem_zalloc(sizeof *l);
    *l = (struct waiting_line){.tenant = t, .model = copy(model), .tail = &l->first, .next = t->lines};
    return t->lines = l;
}

static void line_end(struct waiting *w, struct waiting_line *l) {
    struct waiting_tenant *t = l->tenant;
    struct waiting_line **line = &t->lines;
    while (*line != l) line = &(*line)->next;
    *line = l->next;
    mem_free((void *)(uintptr_t)l->model.p);
    mem_free(l);
    if (t->lines != NULL) return;
    struct waiting_tenant **tenant = &w->tenants;
    while (*tenant != t) tenant = &(*tenant)->next;
    *tenant = t->next;
    mem_free((void *)(uintptr_t)t->name.p);
    mem_free(t);
}

static void unlink_waiter(struct waiter *own) {
    *own->link = own->next;
    if (own->next != NULL) own->next->link = own->link;
}

static void left_add(struct waiting *w, struct waiter *own) {
    own->next = w->left;
    own->link = &w->left;
    if (own->next != NULL) own->next->link = &own->next;
    w->left = own;
}

/* A full inbox is no loss: the first of a line also asks from time to time. */
static void first_tell(struct waiting_line *l) {
    struct waiter *f = l->first;
    if (f != NULL && !f->posted) f->posted = inbox_post(f->inbox, &f->message);
}

/* ---- the message ---- */

static void told_run(struct message *m, void *context) {
    struct waiter *own = (struct waiter *)m; /* its first member */
    struct waiting *w = own->all;
    (void)context;
    pthread_mutex_lock(&w->lock);
    own->posted = false;
    bool left = own->left;
    if (left) unlink_waiter(own);
    pthread_mutex_unlock(&w->lock);
    if (left)
        mem_free(own);
    else
        own->told(own);
}

/* ---- for everybody ---- */

bool waiting_is_behind(struct waiting *w, struct slice tenant, struct slice model, bool *of_model) {
    if (waiting_count(w) == 0) return false;
    pthread_mutex_lock(&w->lock);
    struct waiting_tenant *t = tenant_find(w, tenant);
    bool behind_all = t != NULL && line_find(t, SLICE("")) != NULL;
    *of_model = t != NULL && !behind_all && line_find(t, model) != NULL;
    pthread_mutex_unlock(&w->lock);
    return behind_all || *of_model;
}

struct waiter *waiting_join(struct waiting *w, struct slice tenant, struct slice model, uint64_t size,
                            struct inbox *inbox, void (*told)(struct waiter *own), void *context) {
    struct waiter *own = NULL;
    pthread_mutex_lock(&w->lock);
    struct waiting_tenant *t = tenant_find(w, tenant);
    if (size > 0 && (t == NULL || t->count < size)) {
        struct waiting_line *l = line_get(tenant_get(w, tenant), model);
        own = mem_zalloc(sizeof *own);
        *own = (struct waiter){.message.run = told_run,
                               .inbox = inbox,
                               .told = told,
                               .context = context,
                               .all = w,
                               .line = l,
                               .link = l->tail};
        *l->tail = own;
        l->tail = &own->next;
        l->tenant->count++;
        atomic_fetch_add(&w->count, 1);
    }
    pthread_mutex_unlock(&w->lock);
    return own;
}

bool waiter_is_first(struct waiter *own) {
    pthread_mutex_lock(&own->all->lock);
    bool first = own->line->first == own;
    pthread_mutex_unlock(&own->all->lock);
    return first;
}

void waiter_leave(struct waiter *own) {
    struct waiting *w = own->all;
    pthread_mutex_lock(&w->lock);
    struct waiting_line *l = own->line;
    bool was_first = l->first == own;
    if (own->next == NULL) l->tail = own->link;
    unlink_waiter(own);
    l->tenant->count--;
    atomic_fetch_sub(&w->count, 1);
    own->left = true;
    bool posted = own->posted;
    if (posted) left_add(w, own);
    if (l->first == NULL)
        line_end(w, l);
    else if (was_first)
        first_tell(l);
    pthread_mutex_unlock(&w->lock);
    if (!posted) mem_free(own);
}

void waiting_settled(struct waiting *w, struct slice tenant) {
    if (waiting_count(w) == 0) return;
    pthread_mutex_lock(&w->lock);
    struct waiting_tenant *t = tenant_find(w, tenant);
    for (struct waiting_line *l = t != NULL ? t->lines : NULL; l != NULL; l = l->next) first_tell(l);
    pthread_mutex_unlock(&w->lock);
}
