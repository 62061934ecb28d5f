/* limit/tenant.h: the counts of one tenant, and how the files of this folder get at them. */
#pragma once
#include <pthread.h>

#include "base/buf.h"
#include "scope.h"

struct limit_notes { /* what the process that takes over has to hear */
    pthread_mutex_t lock;
    struct buf text;
};

struct limit_tenant { /* lives as long as its limiter */
    pthread_mutex_t lock;
    struct slice name; /* owned */
    uint64_t hash;
    struct limit_tenant *next_in_chain, *next;
    struct period day, month;
    struct limit_state own;
    struct limit_state *models;
    struct limit_notes *notes; /* under the lock; NULL: nobody listens */
    _Atomic uint64_t refusals[LIMIT_COUNT];
};

/* limit.c */
struct limit_tenant *limit_tenant_get(struct limiter *l, struct slice name);
struct limit_tenant *limit_tenant_next(struct limiter *l, struct limit_tenant *after); /* NULL: the first */
struct limit_state *limit_model_get(struct limit_tenant *t, struct slice name);        /* under the lock */
void limit_periods_advance(struct limit_tenant *t, uint64_t now_ns, int64_t unix_ns);  /* under the lock */
/* What a tenant that is added from now on begins with. */
struct limit_notes *limit_notes_swap(struct limiter *l, struct limit_notes *notes);
struct limit_notes *limit_notes_get(struct limiter *l);

/* notes.c: under the tenant's lock, before anything of *hold is reset. */
void note_take(struct limit_tenant *t, const struct reservation *hold, const struct scope *scopes);
void note_settle(struct limit_tenant *t, const struct reservation *hold, uint64_t tokens, uint64_t pico_usd);
