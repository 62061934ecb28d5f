/* The limiter: tenants by name, each with one lock, and the decision over all limits that a request meets. Tenants are
 * found without a lock: the table's chains only ever grow. The hard part is that nothing may be taken unless all is. */
#include "limit/limit.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/mem.h"
#include "limit/handover.h"
#include "tenant.h"

enum { TABLE_SIZE = 16384 };

struct limiter {
    _Atomic(struct limit_tenant *) table[TABLE_SIZE];
    _Atomic(struct limit_tenant *) all;
    pthread_mutex_t adding;
    struct limit_notes *notes; /* under `adding` */
    _Atomic unsigned share;
    _Atomic bool fleet;
};

struct limiter *limiter_new(void) {
    struct limiter *l = mem_zalloc(sizeof *l);
    pthread_mutex_init(&l->adding, NULL);
    return l;
}

static void tenant_free(struct limit_tenant *t) {
    for (struct limit_state *s = t->models, *next; s != NULL; s = next) {
        next = s->next;
        mem_free((char *)(uintptr_t)s->model.p);
        mem_free(s);
    }
    pthread_mutex_destroy(&t->lock);
    mem_free((char *)(uintptr_t)t->name.p);
    mem_free(t);
}

void limiter_free(struct limiter *l) {
    if (l == NULL) return;
    limiter_export_end(l);
    for (struct limit_tenant *t = atomic_load(&l->all), *next; t != NULL; t = next) {
        next = t->next;
        tenant_free(t);
    }
    pthread_mutex_destroy(&l->adding);
    mem_free(l);
}

/* ---- tenants and their models by name ---- */

static struct limit_tenant *chain_find(struct limiter *l, struct slice name, uint64_t hash) {
    struct limit_tenant *t = atomic_load_explicit(&l->table[hash % TABLE_SIZE], memory_order_acquire);
    while (t != NULL && !(t->hash == hash && slice_equal(t->name, name))) t = t->next_in_chain;
    return t;
}

static struct limit_tenant *tenant_add(struct limiter *l, struct slice name, uint64_t hash) {
    pthread_mutex_lock(&l->adding);
    struct limit_tenant *t = chain_find(l, name, hash);
    if (t == NULL) {
        t = mem_zalloc(sizeof *t);
        pthread_mutex_init(&t->lock, NULL);
        t->name = (struct slice){mem_strndup(name.p, name.n), name.n};
        t->hash = hash;
        t->notes = l->notes;
        t->next_in_chain = atomic_load_explicit(&l->table[hash % TABLE_SIZE], memory_order_relaxed);
        t->next = atomic_load_explicit(&l->all, memory_order_relaxed);
        atomic_store_explicit(&l->table[hash % TABLE_SIZE], t, memory_order_release);
        atomic_store_explicit(&l->all, t, memory_order_release);
    }
    pthread_mutex_unlock(&l->adding);
    return t;
}

static struct limit_tenant *tenant_find(struct limiter *l, struct slice name) {
    uint64_t hash = hash_bytes(name.p, name.n);
    struct limit_tenant *t = chain_find(l, name, hash);
    return t != NULL ? t : tenant_add(l, name, hash);
}

/* Under the lock. There are as many as configurations named, not as clients ask for. */
static struct limit_state *model_find(struct limit_tenant *t, struct slice name) {
    struct limit_state *s = t->models;
    while (s != NULL && !slice_equal(s->model, name)) s = s->next;
    if (s != NULL) return s;
    s = mem_zalloc(sizeof *s);
    s->model = (struct slice){mem_strndup(name.p, name.n), name.n};
    s->next = t->models;
    t->models = s;
    return s;
}

static bool limit_is_any(const struct config_limit *limit) {
    return (limit->requests_per_minute | limit->tokens_per_minute | limit->concurrent_requests |
            limit->pico_usd_per_day | limit->pico_usd_per_month) != CONF_UNLIMITED;
}

bool tenant_is_limited(const struct tenant *t) {
    return t->limits != NULL && (t->limits->models.count > 0 || limit_is_any(&t->limits->limit));
}

const struct config_model_limit *tenant_model_limit(const struct tenant *t, struct slice model) {
    for (size_t i = 0; model.n > 0 && i < t->limits->models.count; i++)
        if (slice_equal(t->limits->models.items[i].name.text, model)) return &t->limits->models.items[i];
    return NULL;
}

/* ---- one look at a tenant ---- */

struct look {
    struct limit_tenant *tenant;
    struct scope scopes[2];
    unsigned count, share;
};

/* Under the lock. A period's end empties every budget of the tenant. */
static void periods_advance(struct limit_tenant *t, uint64_t now_ns, int64_t unix_ns) {
    if (period_advance(&t->day, PERIOD_DAY, now_ns, unix_ns)) {
        t->own.day = (struct budget){0};
        for (struct limit_state *s = t->models; s != NULL; s = s->next) s->day = (struct budget){0};
    }
    if (period_advance(&t->month, PERIOD_MONTH, now_ns, unix_ns)) {
        t->own.month = (struct budget){0};
        for (struct limit_state *s = t->models; s != NULL; s = s->next) s->month = (struct budget){0};
    }
}

static void look_add(struct look *look, const struct config_limit *limit, struct limit_state *state, struct slice model,
                     uint64_t now_ns) {
    struct scope *s = &look->scopes[look->count++];
    *s = (struct scope){limit, state, &look->tenant->day, &look->tenant->month, model, now_ns, look->share};
    scope_advance(s);
}

/* Locks the tenant; the caller unlocks it. */
static void look_begin(struct look *look, struct limiter *l, const struct tenant *tenant, struct slice model,
                       uint64_t now_ns, int64_t unix_ns, unsigned share) {
    struct limit_tenant *t = tenant_find(l, tenant->name);
    const struct config_model_limit *of_model = tenant_model_limit(tenant, model);
    *look = (struct look){.tenant = t, .share = share};
    pthread_mutex_lock(&t->lock);
    periods_advance(t, now_ns, unix_ns);
    look_add(look, &tenant->limits->limit, &t->own, SLICE(""), now_ns);
    if (of_model != NULL)
        look_add(look, &of_model->limit, model_find(t, of_model->name.text), of_model->name.text, now_ns);
}

static void look_end(const struct look *look) {
    pthread_mutex_unlock(&look->tenant->lock);
}

/* ---- take and settle ---- */

static enum failure look_judge(const struct look *look, const struct limit_request *want, struct limit_refusal *why) {
    enum failure worst = FAILURE_NONE;
    for (unsigned i = 0; i < look->count && worst != FAILURE_NEVER_FITS; i++) {
        struct limit_refusal one;
        enum failure f = scope_judge(&look->scopes[i], want, &one);
        if (f == FAILURE_NONE) continue;
        if (worst == FAILURE_NONE || f == FAILURE_NEVER_FITS || one.retry_after_ns > why->retry_after_ns) *why = one;
        worst = f;
    }
    return worst;
}

static void look_take(const struct look *look, const struct limit_request *want, struct reservation *hold) {
    struct limit_tenant *t = look->tenant;
    *hold =
        (struct reservation){.tenant = t, .day = t->day.serial, .month = t->month.serial, .pico_usd = want->pico_usd};
    for (unsigned i = 0; i < look->count; i++) scope_take(&look->scopes[i], want, &hold->holds[hold->hold_count++]);
    note_take(t, hold, look->scopes);
}

enum failure limiter_take(struct limiter *l, const struct tenant *tenant, struct slice model, uint64_t now_ns,
                          int64_t unix_ns, const struct limit_request *want, struct reservation *hold,
                          struct limit_refusal *why) {
    struct look look;
    *hold = (struct reservation){0};
    if (!tenant_is_limited(tenant)) return FAILURE_NONE;
    look_begin(&look, l, tenant, model, now_ns, unix_ns, atomic_load_explicit(&l->share, memory_order_relaxed));
    enum failure f = look_judge(&look, want, why);
    if (f == FAILURE_NONE) look_take(&look, want, hold);
    look_end(&look);
    if (f != FAILURE_NONE && !want->uncounted)
        atomic_fetch_add_explicit(&look.tenant->refusals[why->kind], 1, memory_order_relaxed);
    return f;
}

void limit_settle(struct reservation *hold, uint64_t tokens, uint64_t pico_usd, uint64_t now_ns, int64_t unix_ns) {
    struct limit_tenant *t = hold->tenant;
    if (t == NULL) return;
    hold->tenant = NULL;
    pthread_mutex_lock(&t->lock);
    periods_advance(t, now_ns, unix_ns);
    bool same_day = hold->day == t->day.serial, same_month = hold->month == t->month.serial;
    note_settle(t, hold, tokens, pico_usd);
    for (unsigned i = 0; i < hold->hold_count; i++)
        scope_settle(&hold->holds[i], hold->pico_usd, tokens, pico_usd, same_day, same_month);
    pthread_mutex_unlock(&t->lock);
}

/* ---- shared with other replicas ---- */

enum failure limit_size_judge(const struct tenant *tenant, struct slice model, const struct limit_request *want,
                              struct limit_refusal *why) {
    const struct config_model_limit *of_model = tenant_model_limit(tenant, model);
    const struct config_limit *limits[] = {&tenant->limits->limit, of_model != NULL ? &of_model->limit : NULL};
    for (unsigned i = 0; i < 2 && limits[i] != NULL; i++) {
        for (enum limit_kind k = LIMIT_TOKENS; k < LIMIT_COUNT; k++) {
            uint64_t max = limit_max(limits[i], k), wanted = 0;
            if (k == LIMIT_TOKENS) wanted = limit_tokens_wanted(want, max);
            if (limit_is_money(k)) wanted = limit_money_wanted(want, max);
            if (max == CONF_UNLIMITED || wanted <= max) continue;
            *why = (struct limit_refusal){k, i > 0, max, 0};
            return FAILURE_NEVER_FITS;
        }
    }
    return FAILURE_NONE;
}

void limiter_note(struct limiter *l, const struct tenant *tenant, struct slice model, uint64_t now_ns, int64_t unix_ns,
                  const struct limit_request *want, bool ahead, struct reservation *hold) {
    struct look look;
    look_begin(&look, l, tenant, model, now_ns, unix_ns, 1);
    look_take(&look, want, hold);
    for (unsigned i = 0; ahead && i < look.count; i++) state_tell_ahead(look.scopes[i].state);
    look_end(&look);
}

void limiter_refused(struct limiter *l, const struct tenant *tenant, enum limit_kind kind) {
    atomic_fetch_add_explicit(&tenant_find(l, tenant->name)->refusals[kind], 1, memory_order_relaxed);
}

void limiter_share_set(struct limiter *l, unsigned replicas) {
    atomic_store_explicit(&l->share, replicas, memory_order_relaxed);
}

unsigned limiter_share(const struct limiter *l) {
    return atomic_load_explicit(&l->share, memory_order_relaxed);
}

void limiter_fleet_set(struct limiter *l, bool up) {
    atomic_store_explicit(&l->fleet, up, memory_order_relaxed);
}

void limiter_told(struct limiter *l, struct slice tenant, struct slice model, uint64_t asked_ns, uint64_t now_ns,
                  const struct limit_told *rows, unsigned count) {
    struct limit_tenant *t = tenant_find(l, tenant);
    pthread_mutex_lock(&t->lock);
    state_tell(model.n == 0 ? &t->own : model_find(t, model), asked_ns, now_ns, rows, count);
    pthread_mutex_unlock(&t->lock);
}

/* ---- what others see ---- */

unsigned limit_view(struct limiter *l, const struct tenant *tenant, struct slice model, uint64_t now_ns,
                    int64_t unix_ns, struct limit_row rows[2 * LIMIT_COUNT]) {
    struct look look;
    unsigned count = 0;
    if (!tenant_is_limited(tenant)) return 0;
    look_begin(&look, l, tenant, model, now_ns, unix_ns, 1);
    bool fleet = atomic_load_explicit(&l->fleet, memory_order_relaxed);
    for (unsigned i = 0; i < look.count; i++)
        count += fleet && look.scopes[i].state->told_ns != 0 ? scope_view_told(&look.scopes[i], rows + count)
                                                             : scope_view(&look.scopes[i], rows + count);
    look_end(&look);
    return count;
}

bool limiter_refusals(struct limiter *l, const void **cursor, struct slice *tenant, uint64_t counts[LIMIT_COUNT]) {
    const struct limit_tenant *t = *cursor;
    t = t == NULL ? atomic_load_explicit(&l->all, memory_order_acquire) : t->next;
    if (t == NULL) return false;
    *cursor = t;
    *tenant = t->name;
    for (int k = 0; k < LIMIT_COUNT; k++) counts[k] = atomic_load_explicit(&t->refusals[k], memory_order_relaxed);
    return true;
}

/* ---- for the other files of this folder ---- */

struct limit_tenant *limit_tenant_get(struct limiter *l, struct slice name) {
    return tenant_find(l, name);
}

struct limit_tenant *limit_tenant_next(struct limiter *l, struct limit_tenant *after) {
    return after != NULL ? after->next : atomic_load_explicit(&l->all, memory_order_acquire);
}

struct limit_state *limit_model_get(struct limit_tenant *t, struct slice name) {
    return model_find(t, name);
}

void limit_periods_advance(struct limit_tenant *t, uint64_t now_ns, int64_t unix_ns) {
    periods_advance(t, now_ns, unix_ns);
}

/* New tenants are added under the same lock; those that were there already are told one by one. */
struct limit_notes *limit_notes_swap(struct limiter *l, struct limit_notes *notes) {
    pthread_mutex_lock(&l->adding);
    struct limit_notes *before = l->notes;
    l->notes = notes;
    pthread_mutex_unlock(&l->adding);
    return before;
}

struct limit_notes *limit_notes_get(struct limiter *l) {
    pthread_mutex_lock(&l->adding);
    struct limit_notes *notes = l->notes;
    pthread_mutex_unlock(&l->adding);
    return notes;
}
