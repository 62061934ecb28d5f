/* What a process that is being replaced still takes and settles, note by note, and the same carried out by the one that
 * has taken over. Bytes from another process are checked like anybody's: a note is applied whole or not at all. */
#include <assert.h>

#include "base/clock.h"
#include "limit/handover.h"
#include "tenant.h"
#include "wire.h"

enum { NOTE_TAKE = 1, NOTE_SETTLE = 2, HOLDS_MAX = 2 };

/* ---- writing ---- */

static void note_begin(struct buf *out, int kind, const struct limit_tenant *t, const struct reservation *hold) {
    wire_put(out, (uint64_t)kind);
    wire_put_text(out, t->name);
    wire_put(out, hold->day);
    wire_put(out, hold->month);
    wire_put(out, hold->pico_usd);
    wire_put(out, hold->hold_count);
}

static void hold_put(struct buf *out, const struct limit_hold *h) {
    wire_put_text(out, h->state->model);
    wire_put(out, h->tokens != UINT64_MAX);
    wire_put(out, h->tokens);
}

void note_take(struct limit_tenant *t, const struct reservation *hold, const struct scope *scopes) {
    struct limit_notes *notes = t->notes;
    if (notes == NULL) return;
    pthread_mutex_lock(&notes->lock);
    note_begin(&notes->text, NOTE_TAKE, t, hold);
    for (unsigned i = 0; i < hold->hold_count; i++) {
        hold_put(&notes->text, &hold->holds[i]);
        wire_put(&notes->text, scopes[i].limit->tokens_per_minute);
    }
    pthread_mutex_unlock(&notes->lock);
}

void note_settle(struct limit_tenant *t, const struct reservation *hold, uint64_t tokens, uint64_t pico_usd) {
    struct limit_notes *notes = t->notes;
    if (notes == NULL) return;
    pthread_mutex_lock(&notes->lock);
    note_begin(&notes->text, NOTE_SETTLE, t, hold);
    for (unsigned i = 0; i < hold->hold_count; i++) hold_put(&notes->text, &hold->holds[i]);
    wire_put(&notes->text, tokens);
    wire_put(&notes->text, pico_usd);
    pthread_mutex_unlock(&notes->lock);
}

void limiter_noted(struct limiter *l, struct buf *out) {
    struct limit_notes *notes = limit_notes_get(l);
    if (notes == NULL) return;
    pthread_mutex_lock(&notes->lock);
    buf_append_slice(out, buf_slice(&notes->text));
    buf_clear(&notes->text);
    pthread_mutex_unlock(&notes->lock);
}

/* ---- carrying out ---- */

struct note {
    uint64_t kind, day, month, pico_usd, tokens, cost;
    struct slice tenant;
    unsigned hold_count;
    struct {
        struct slice model;
        bool of_tokens;
        uint64_t tokens, tokens_max;
    } holds[HOLDS_MAX];
};

static bool note_read(struct wire *w, struct note *n) {
    *n = (struct note){.kind = wire_get_below(w, NOTE_SETTLE + 1)};
    n->tenant = wire_get_text(w, CONF_NAME_BYTES);
    n->day = wire_get(w);
    n->month = wire_get(w);
    n->pico_usd = wire_get(w);
    n->hold_count = (unsigned)wire_get_below(w, HOLDS_MAX + 1);
    for (unsigned i = 0; i < n->hold_count; i++) {
        n->holds[i].model = wire_get_text(w, CONF_MODEL_BYTES);
        n->holds[i].of_tokens = wire_get_below(w, 2) != 0;
        n->holds[i].tokens = wire_get(w);
        if (n->kind == NOTE_TAKE) n->holds[i].tokens_max = wire_get(w);
    }
    if (n->kind == NOTE_SETTLE) {
        n->tokens = wire_get(w);
        n->cost = wire_get(w);
    }
    return !w->bad && n->kind != 0 && n->tenant.n > 0;
}

static void take_apply(const struct note *n, unsigned i, struct limit_state *s, uint64_t now_ns) {
    window_advance(&s->requests, now_ns);
    window_add(&s->requests);
    s->concurrent++;
    s->foreign.concurrent++;
    budget_reserve(&s->day, n->pico_usd);
    budget_reserve(&s->month, n->pico_usd);
    s->foreign.pico_usd += n->pico_usd;
    if (!n->holds[i].of_tokens) return;
    if (n->holds[i].tokens_max != 0) bucket_advance(&s->tokens, n->holds[i].tokens_max, now_ns);
    bucket_reserve(&s->tokens, n->holds[i].tokens);
    s->foreign.tokens += n->holds[i].tokens;
}

static uint64_t less(uint64_t from, uint64_t what) {
    return from > what ? from - what : 0;
}

/* Of what the other process held, as far as it is known here. */
static void settle_apply(const struct note *n, unsigned i, struct limit_state *s, bool same_day, bool same_month) {
    if (s->foreign.concurrent == 0) return;
    s->foreign.concurrent--;
    s->foreign.pico_usd = less(s->foreign.pico_usd, n->pico_usd);
    s->foreign.tokens = less(s->foreign.tokens, n->holds[i].tokens);
    struct limit_hold hold = {s, n->holds[i].of_tokens ? n->holds[i].tokens : UINT64_MAX};
    scope_settle(&hold, n->pico_usd, n->tokens, n->cost, same_day, same_month);
}

/* This process is being replaced itself: the next one hears it as well. */
static void note_pass_on(const struct limit_tenant *t, struct slice text) {
    if (t->notes == NULL) return;
    pthread_mutex_lock(&t->notes->lock);
    buf_append_slice(&t->notes->text, text);
    pthread_mutex_unlock(&t->notes->lock);
}

static void note_carry_out(struct limiter *l, const struct note *n, struct slice text, uint64_t now_ns,
                           int64_t unix_ns) {
    struct limit_tenant *t = limit_tenant_get(l, n->tenant);
    pthread_mutex_lock(&t->lock);
    limit_periods_advance(t, now_ns, unix_ns);
    bool same_day = n->day == t->day.serial, same_month = n->month == t->month.serial;
    for (unsigned i = 0; i < n->hold_count; i++) {
        struct limit_state *s = n->holds[i].model.n == 0 ? &t->own : limit_model_get(t, n->holds[i].model);
        if (n->kind == NOTE_TAKE)
            take_apply(n, i, s, now_ns);
        else
            settle_apply(n, i, s, same_day, same_month);
    }
    note_pass_on(t, text);
    pthread_mutex_unlock(&t->lock);
}

bool limiter_note_apply(struct limiter *l, struct slice notes, uint64_t now_ns, int64_t unix_ns) {
    struct wire w = {.left = notes};
    struct note n;
    while (w.left.n > 0) {
        const char *begin = w.left.p;
        if (!note_read(&w, &n)) return false;
        note_carry_out(l, &n, (struct slice){begin, (size_t)(w.left.p - begin)}, now_ns, unix_ns);
    }
    return true;
}

static void state_let_go(struct limit_state *s) {
    assert(s->concurrent >= s->foreign.concurrent);
    s->concurrent -= s->foreign.concurrent;
    s->tokens.reserved = less(s->tokens.reserved, s->foreign.tokens); /* what was sent is gone all the same */
    budget_settle(&s->day, s->foreign.pico_usd, s->foreign.pico_usd);
    budget_settle(&s->month, s->foreign.pico_usd, s->foreign.pico_usd);
    s->foreign = (struct limit_foreign){0};
}

void limiter_holder_gone(struct limiter *l) {
    for (struct limit_tenant *t = NULL; (t = limit_tenant_next(l, t)) != NULL;) {
        pthread_mutex_lock(&t->lock);
        state_let_go(&t->own);
        for (struct limit_state *s = t->models; s != NULL; s = s->next) state_let_go(s);
        pthread_mutex_unlock(&t->lock);
    }
}
