/* All counts of all tenants as bytes, for the process that takes over. The hard part is reading them back: they come
 * from another process, maybe of another version, so nothing is put into a limiter before all of it was read and makes
 * sense; else the new process begins with empty counts and says so. */
#include "limit/handover.h"

#include "base/mem.h"
#include "tenant.h"
#include "wire.h"

static const struct slice magic = SLICE_INIT("weir limits 1\n");
enum { STATES_MAX = 10001 };

/* ---- writing ---- */

static void window_put(struct buf *out, const struct window *w) {
    unsigned used = 0;
    for (unsigned i = 0; i < WINDOW_SLOTS; i++) used += w->counts[i] != 0;
    wire_put(out, w->second);
    wire_put(out, used);
    for (unsigned i = 0; i < WINDOW_SLOTS; i++) {
        if (w->counts[i] == 0) continue;
        wire_put(out, i);
        wire_put(out, w->counts[i]);
    }
}

static void state_put(struct buf *out, const struct limit_state *s) {
    wire_put_text(out, s->model);
    window_put(out, &s->requests);
    wire_put(out, (uint64_t)(s->tokens.missing >> 64));
    wire_put(out, (uint64_t)s->tokens.missing);
    wire_put(out, s->tokens.reserved);
    wire_put(out, s->tokens.at_ns);
    wire_put(out, s->concurrent);
    wire_put(out, s->day.used);
    wire_put(out, s->day.reserved);
    wire_put(out, s->month.used);
    wire_put(out, s->month.reserved);
}

static void period_put(struct buf *out, const struct period *p) {
    wire_put(out, p->serial);
    wire_put_signed(out, p->number);
    wire_put_signed(out, p->since_unix_ns);
    wire_put(out, p->ends_ns);
}

/* Under its lock. */
static void tenant_put(struct buf *out, const struct limit_tenant *t) {
    unsigned states = 1;
    for (const struct limit_state *s = t->models; s != NULL; s = s->next) states++;
    wire_put_text(out, t->name);
    period_put(out, &t->day);
    period_put(out, &t->month);
    wire_put(out, states);
    state_put(out, &t->own);
    for (const struct limit_state *s = t->models; s != NULL; s = s->next) state_put(out, s);
}

void limiter_export(struct limiter *l, struct buf *out) {
    struct limit_notes *notes = mem_zalloc(sizeof *notes);
    pthread_mutex_init(&notes->lock, NULL);
    limiter_export_end(l);
    limit_notes_swap(l, notes);
    buf_append_slice(out, magic);
    for (struct limit_tenant *t = NULL; (t = limit_tenant_next(l, t)) != NULL;) {
        pthread_mutex_lock(&t->lock);
        if (t->notes != notes) tenant_put(out, t); /* else it was added meanwhile: all of it is noted */
        t->notes = notes;
        pthread_mutex_unlock(&t->lock);
    }
}

void limiter_export_end(struct limiter *l) {
    struct limit_notes *notes = limit_notes_swap(l, NULL);
    if (notes == NULL) return;
    for (struct limit_tenant *t = NULL; (t = limit_tenant_next(l, t)) != NULL;) {
        pthread_mutex_lock(&t->lock);
        t->notes = NULL;
        pthread_mutex_unlock(&t->lock);
    }
    buf_clear(&notes->text);
    pthread_mutex_destroy(&notes->lock);
    mem_free(notes);
}

/* ---- reading ---- */

static void window_get(struct wire *w, struct window *out) {
    *out = (struct window){.second = wire_get_below(w, UINT64_MAX / NS_PER_S)};
    unsigned used = (unsigned)wire_get_below(w, WINDOW_SLOTS + 1);
    for (unsigned i = 0; i < used && !w->bad; i++) {
        uint64_t slot = wire_get_below(w, WINDOW_SLOTS), count = wire_get_below(w, (uint64_t)UINT32_MAX + 1);
        if (out->counts[slot] != 0 || count == 0) w->bad = true;
        out->counts[slot] = (uint32_t)count;
        out->sum += count;
    }
}

static void state_get(struct wire *w, struct limit_state *s) {
    window_get(w, &s->requests);
    uint64_t high = wire_get_below(w, UINT64_C(1) << 63); /* whatever is added to it: no overflow */
    s->tokens.missing = ((bucket_units)high << 64) | wire_get(w);
    s->tokens.reserved = wire_get(w);
    s->tokens.at_ns = wire_get(w);
    s->concurrent = wire_get_below(w, UINT64_C(1) << 32);
    s->day.used = wire_get(w);
    s->day.reserved = wire_get(w);
    s->month.used = wire_get(w);
    s->month.reserved = wire_get(w);
    uint64_t reserved = s->day.reserved > s->month.reserved ? s->day.reserved : s->month.reserved;
    s->foreign = (struct limit_foreign){s->concurrent, s->tokens.reserved, reserved};
}

static void period_get(struct wire *w, struct period *p) {
    p->serial = wire_get(w);
    p->number = wire_get_signed(w);
    p->since_unix_ns = wire_get_signed(w);
    p->ends_ns = wire_get(w);
}

/* Reads one tenant; into `l` when that is not NULL. */
static void tenant_get(struct wire *w, struct limiter *l) {
    struct limit_tenant read = {0};
    struct slice name = wire_get_text(w, CONF_NAME_BYTES);
    period_get(w, &read.day);
    period_get(w, &read.month);
    uint64_t states = wire_get_below(w, STATES_MAX + 1);
    if (name.n == 0 || states == 0) w->bad = true;
    struct limit_tenant *t = l != NULL && !w->bad ? limit_tenant_get(l, name) : NULL;
    if (t != NULL) t->day = read.day, t->month = read.month;
    for (uint64_t i = 0; i < states && !w->bad; i++) {
        struct slice model = wire_get_text(w, CONF_MODEL_BYTES);
        struct limit_state s = {0};
        state_get(w, &s);
        if ((i == 0) != (model.n == 0)) w->bad = true;
        if (t == NULL || w->bad) continue;
        struct limit_state *to = i == 0 ? &t->own : limit_model_get(t, model);
        to->requests = s.requests, to->tokens = s.tokens, to->concurrent = s.concurrent;
        to->day = s.day, to->month = s.month, to->foreign = s.foreign;
    }
}

static bool tenants_get(struct slice state, struct limiter *l) {
    struct wire w = {.left = {state.p + magic.n, state.n - magic.n}};
    while (w.left.n > 0 && !w.bad) tenant_get(&w, l);
    return !w.bad;
}

bool limiter_import(struct limiter *l, struct slice state) {
    if (!slice_starts(state, magic) || !tenants_get(state, NULL)) return false;
    return tenants_get(state, l);
}
