/* What a worker tells Redis: what it holds and what was used, summed since the message before. One message a tenant is
 * under way at a time; unanswered it is sent again with the same serial number, which Redis counts once. The hard part
 * is what an answer means: it was made when all that was asked before had been carried out, and nothing asked later, so
 * `told` becomes what it says. */
#include "shared.h"

#include <stddef.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

static void message_send(struct shared_tenant *t);

/* ---- what is to be told ---- */

static bool amounts_equal(const struct limit_amounts *a, const struct limit_amounts *b) {
    return a->running == b->running && a->tokens == b->tokens && a->requests_ahead == b->requests_ahead &&
           a->tokens_ahead == b->tokens_ahead && a->day_pico == b->day_pico && a->month_pico == b->month_pico;
}

static bool scope_changed(const struct shared_scope *s) {
    return (s->flow.window | s->flow.missing | s->flow.tokens_back | s->flow.day_pico | s->flow.month_pico) != 0 ||
           !amounts_equal(&s->truth, &s->told);
}

static bool scope_holds(const struct shared_scope *s) {
    static const struct limit_amounts nothing;
    return !amounts_equal(&s->truth, &nothing) || !amounts_equal(&s->told, &nothing);
}

/* What lapses unless it is in a message again. */
static bool scope_is_due(const struct shared_scope *s, uint64_t now_ns) {
    return scope_changed(s) || (now_ns - s->sent_ns >= HEARTBEAT_NS && scope_holds(s));
}

static bool tenant_any(const struct shared_tenant *t, bool (*is)(const struct shared_scope *s)) {
    for (const struct shared_scope *s = t->own; s != NULL; s = s->next)
        if (is(s)) return true;
    return false;
}

static bool tenant_is_due(const struct shared_tenant *t) {
    for (const struct shared_scope *s = t->own; s != NULL; s = s->next)
        if (scope_is_due(s, t->shared->options.loop->now_ns)) return true;
    return false;
}

static void tick_arm(struct limit_shared *s) {
    uint64_t now_ns = s->options.loop->now_ns;
    uint64_t due_ns = s->active != NULL || s->farewell_waits ? now_ns + TICK_NS : TIMER_NEVER;
    if (s->options.worker == 0 && due_ns > s->replicas_due_ns) due_ns = s->replicas_due_ns;
    if (s->tick.link == NULL || s->tick.due_ns > due_ns) timer_set(&s->options.loop->wheel, &s->tick, due_ns);
}

void shared_activate(struct shared_tenant *t) {
    struct limit_shared *s = t->shared;
    if (t->active) return;
    t->active = true;
    t->next_active = s->active;
    s->active = t;
    tick_arm(s);
}

void shared_changed(struct shared_tenant *t, bool at_once) {
    struct limit_shared *s = t->shared;
    shared_activate(t);
    if (!at_once || t->changed) return;
    t->changed = true;
    t->next_changed = s->changed;
    s->changed = t;
    loop_defer(s->options.loop, &s->flush);
}

/* ---- periods, and what others are shown ---- */

static void scope_period_end(struct shared_scope *s, bool day, bool month) {
    if (day) {
        if (s->limit.pico_usd_per_month != CONF_UNLIMITED)
            s->truth.month_pico -= s->purse.pico; /* it was ahead of both */
        s->purse.pico = 0;
        s->truth.day_pico = s->told.day_pico = s->flow.day_pico = 0;
    }
    if (month) s->truth.month_pico = s->told.month_pico = s->flow.month_pico = 0;
}

void shared_period_set(struct shared_tenant *t, int64_t day, int64_t month) {
    bool next_day = t->day != day, next_month = t->month != month;
    if (!next_day && !next_month) return;
    t->day = day;
    t->month = month;
    for (struct shared_scope *s = t->own; s != NULL; s = s->next) scope_period_end(s, next_day, next_month);
}

void shared_tell(struct shared_tenant *t, const struct shared_scope *scope, uint64_t asked_ns,
                 const struct limit_rows *rows) {
    const struct limit_shared_options *o = &t->shared->options;
    limiter_told(o->local, t->name, scope->model, asked_ns, o->loop->now_ns, rows->rows, rows->count);
}

void shared_heard(struct limit_shared *s, bool up) {
    if (s->up == up) return;
    s->up = up;
    limiter_fleet_set(s->options.local, up);
}

/* ---- a message ---- */

static struct limit_amounts amounts_minus(const struct limit_amounts *a, const struct limit_amounts *b) {
    return (struct limit_amounts){
        a->running - b->running,           a->tokens - b->tokens,     a->requests_ahead - b->requests_ahead,
        a->tokens_ahead - b->tokens_ahead, a->day_pico - b->day_pico, a->month_pico - b->month_pico};
}

static void message_add(struct sync_message *m, struct shared_scope *s, uint64_t now_ns) {
    m->scopes[m->count].scope = s;
    m->scopes[m->count].delta = amounts_minus(&s->truth, &s->told);
    m->scopes[m->count++].flow = s->flow;
    s->told = s->truth;
    s->flow = (struct limit_flow){0};
    s->sent_ns = now_ns;
}

/* The tenant's own scope, which carries the serial number, then as many models as there is room for, each in its turn.
 */
static void message_make(struct shared_tenant *t) {
    uint64_t now_ns = t->shared->options.loop->now_ns;
    struct sync_message *m = mem_alloc(sizeof *m);
    *m = (struct sync_message){.serial = ++t->serial, .day = t->day, .month = t->month};
    message_add(m, t->own, now_ns);
    struct shared_scope *first = t->turn != NULL ? t->turn : t->own->next, *s = first;
    while (s != NULL && m->count < SYNC_SCOPES_MAX) {
        if (scope_is_due(s, now_ns)) message_add(m, s, now_ns);
        s = s->next != NULL ? s->next : t->own->next;
        if (s == first) break;
    }
    t->turn = s;
    t->message = m;
    t->asks = false;
}

static void words_put_scope(struct words *w, const struct limit_shared *shared, const struct sync_message *m,
                            unsigned i) {
    const struct limit_amounts *d = &m->scopes[i].delta;
    const struct limit_flow *f = &m->scopes[i].flow;
    struct limit_amounts want = {0};
    if (shared->options.lease && !shared->leaving) ahead_want(m->scopes[i].scope, &want);
    words_put_limits(w, &m->scopes[i].scope->limit);
    const int64_t counts[] = {f->window,         d->running,      d->tokens,     f->missing,
                              d->requests_ahead, d->tokens_ahead, f->tokens_back};
    for (size_t n = 0; n < sizeof counts / sizeof *counts; n++) words_put_i64(w, counts[n]);
    words_put_i64(w, m->day);
    words_put_money(w, d->day_pico);
    words_put_money(w, f->day_pico);
    words_put_i64(w, m->month);
    words_put_money(w, d->month_pico);
    words_put_money(w, f->month_pico);
    words_put_i64(w, want.requests_ahead);
    words_put_i64(w, want.tokens_ahead);
    words_put_i64(w, want.running);
    words_put_money(w, want.day_pico);
    words_put_money(w, want.month_pico);
}

/* Everything as told, or what was taken ahead cannot be trusted: it goes back. */
static void scope_answered(struct shared_scope *s, const struct limit_amounts *held, const struct limit_amounts *got,
                           uint64_t sent_ns) {
    struct limit_amounts expected = s->told;
    expected.running += got->running;
    expected.requests_ahead += got->requests_ahead;
    expected.tokens_ahead += got->tokens_ahead;
    expected.day_pico += got->day_pico;
    expected.month_pico += got->month_pico;
    bool as_told = amounts_equal(&expected, held);
    s->told = *held;
    s->heard_ns = sent_ns;
    if (as_told)
        ahead_got(s, got);
    else
        ahead_drop(s, false);
}

static void message_told(struct shared_tenant *t, const struct sync_reply *reply) {
    struct sync_message *m = t->message;
    t->message = NULL;
    shared_period_set(t, reply->day, reply->month);
    for (unsigned i = 0; i < m->count; i++) {
        struct shared_scope *s = m->scopes[i].scope;
        scope_answered(s, &reply->scopes[i].held, &reply->scopes[i].got, m->sent_ns);
        shared_tell(t, s, m->sent_ns, &reply->scopes[i].rows);
    }
    mem_free(m);
    shared_heard(t->shared, true);
    if (tenant_is_due(t)) shared_changed(t, !t->shared->options.lease || t->shared->leaving);
}

static void message_answered(void *context, const struct redis_result *r) {
    static _Atomic uint64_t gate;
    struct shared_tenant *t = context;
    struct sync_reply reply;
    t->message->waits = false;
    if (r->failure == REDIS_OK && sync_reply_read(r->reply, t->message->count, &reply)) {
        message_told(t, &reply);
        return;
    }
    shared_heard(t->shared, false);
    /* Trouble of the server or the connection is told by the client of Redis. */
    if (r->failure == REDIS_REFUSED && !redis_error_is_trouble(r->error) && log_once_a_minute(&gate))
        log_warn("limits: what was used is not yet told to Redis: it refuses the script");
}

static void message_send(struct shared_tenant *t) {
    struct limit_shared *s = t->shared;
    struct sync_message *m = t->message;
    struct words *w = &s->words;
    words_begin(w);
    for (unsigned i = 0; i < m->count; i++) words_put(w, m->scopes[i].scope->key);
    words_put(w, (struct slice){s->holder, s->holder_length});
    words_put_i64(w, s->leaving ? 0 : (int64_t)(HOLDER_TTL_NS / NS_PER_MS));
    words_put_i64(w, (int64_t)m->serial);
    for (unsigned i = 0; i < m->count; i++) words_put_scope(w, s, m, i);
    m->sent_ns = s->options.loop->now_ns;
    m->waits = words_send(s, LIMIT_SCRIPT_SYNC, m->count, message_answered, t);
}

/* What is over counts as running in Redis until it is told: at a high rate 200 ms of that would fill all slots. */
void shared_retell(struct shared_tenant *t) {
    if (t->message == NULL || t->message->waits) return;
    t->retells = true;
    shared_changed(t, true);
}

/* At the end of a turn: what has changed in it, in one message a tenant. Later changes wait for the answer. */
static void flush_run(struct loop_task *task) {
    struct limit_shared *s = (struct limit_shared *)((char *)task - offsetof(struct limit_shared, flush));
    for (struct shared_tenant *t; (t = s->changed) != NULL;) {
        s->changed = t->next_changed;
        t->changed = false;
        bool again = t->retells && t->message != NULL && !t->message->waits;
        t->retells = false;
        if (again) message_send(t);
        if (t->message != NULL || (!t->asks && !tenant_is_due(t))) continue;
        message_make(t);
        message_send(t);
    }
}

/* ---- now and then ---- */

static void replicas_answered(void *context, const struct redis_result *r) {
    struct limit_shared *s = context;
    s->farewell_waits = false;
    if (r->failure != REDIS_OK || r->reply->type != REDIS_INTEGER || s->leaving) return;
    int64_t count = r->reply->integer;
    limiter_share_set(s->options.local, count < 1 ? 1 : count > 100000 ? 100000 : (unsigned)count);
}

static bool replicas_ask(struct limit_shared *s) {
    struct words *w = &s->words;
    words_begin(w);
    struct buf key = {0};
    buf_append_slice(&key, s->prefix);
    buf_append_text(&key, "replicas");
    words_put(w, buf_slice(&key));
    buf_clear(&key);
    words_put(w, (struct slice){s->holder, s->replica_length});
    words_put_i64(w, s->leaving ? 0 : (int64_t)(HOLDER_TTL_NS / NS_PER_MS));
    return words_send(s, LIMIT_SCRIPT_REPLICAS, 1, replicas_answered, s);
}

static void tenant_tick(struct shared_tenant *t) {
    bool lease = t->shared->options.lease, ask = false;
    if (t->message != NULL) {
        if (!t->message->waits) message_send(t);
        return;
    }
    for (struct shared_scope *s = t->own; lease && s != NULL; s = s->next) ask |= ahead_tick(s);
    if (!ask && !tenant_is_due(t)) return;
    message_make(t);
    message_send(t);
}

static void tick_fire(struct timer *timer) {
    struct limit_shared *s = (struct limit_shared *)((char *)timer - offsetof(struct limit_shared, tick));
    uint64_t now_ns = s->options.loop->now_ns;
    for (struct shared_tenant **link = &s->active, *t; (t = *link) != NULL;) {
        tenant_tick(t);
        t->active = t->message != NULL || tenant_any(t, scope_holds) || tenant_any(t, scope_changed);
        if (t->active)
            link = &t->next_active;
        else
            *link = t->next_active;
    }
    if (s->options.worker == 0 && now_ns >= s->replicas_due_ns && !s->leaving) {
        s->replicas_due_ns = now_ns + HEARTBEAT_NS;
        replicas_ask(s);
    }
    tick_arm(s);
}

void shared_sync_init(struct limit_shared *s) {
    s->flush.run = flush_run;
    s->tick.fire = tick_fire;
    s->replicas_due_ns = s->options.loop->now_ns;
    tick_arm(s);
}

/* ---- the end ---- */

void limit_shared_leave(struct limit_shared *s) {
    s->leaving = true;
    for (struct shared_tenant *t = s->active; t != NULL; t = t->next_active) {
        for (struct shared_scope *scope = t->own; scope != NULL; scope = scope->next) ahead_drop(scope, true);
        shared_changed(t, true);
    }
    s->replicas_due_ns = TIMER_NEVER;
    if (s->options.worker == 0) s->farewell_waits = replicas_ask(s);
}

bool limit_shared_is_settled(const struct limit_shared *s) {
    for (const struct shared_tenant *t = s->active; t != NULL; t = t->next_active)
        if (t->message != NULL || tenant_any(t, scope_changed)) return false;
    return !s->farewell_waits;
}
