/* Decisions about limits that replicas share: asked of Redis in one round trip, made from what was taken ahead, or made
 * alone when Redis does not answer. The hard part is that an answer may be lost: nothing here remembers a question, so
 * the next message's answer puts right what Redis thinks is held. */
#include "shared.h"

#include <stdatomic.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "budget.h"
#include "facts/record.h"
#include "redis/key.h"
#include "scope.h"

static _Atomic uint64_t decided_alone;

uint64_t limit_shared_decided_alone(void) {
    return atomic_load_explicit(&decided_alone, memory_order_relaxed);
}

/* ---- birth and death ---- */

struct limit_shared *limit_shared_new(const struct limit_shared_options *o) {
    struct limit_shared *s = mem_zalloc(sizeof *s);
    s->options = *o;
    s->prefix = (struct slice){mem_strndup(o->prefix.p, o->prefix.n), o->prefix.n};
    s->holder_length =
        (size_t)snprintf(s->holder, sizeof s->holder, "%016llx:%u", (unsigned long long)o->boot, o->worker);
    s->replica_length = 16;
    shared_sync_init(s);
    return s;
}

static void scope_free(struct shared_scope *scope) {
    mem_free((char *)(uintptr_t)scope->model.p);
    mem_free((char *)(uintptr_t)scope->key.p);
    mem_free(scope);
}

static void shared_tenant_free(struct shared_tenant *t) {
    for (struct shared_scope *scope = t->own, *next; scope != NULL; scope = next) {
        next = scope->next;
        scope_free(scope);
    }
    mem_free(t->message);
    mem_free((char *)(uintptr_t)t->name.p);
    mem_free(t);
}

void limit_shared_free(struct limit_shared *s) {
    if (s == NULL) return;
    size_t cursor = 0;
    struct slice name;
    void *tenant;
    while (map_next(&s->tenants, &cursor, &name, &tenant)) shared_tenant_free(tenant);
    map_clear(&s->tenants);
    for (struct limit_ticket *t = s->free, *next; t != NULL; t = next) {
        next = t->next_free;
        mem_free(t);
    }
    timer_cancel(&s->options.loop->wheel, &s->tick);
    buf_clear(&s->words.text);
    mem_free((char *)(uintptr_t)s->prefix.p);
    mem_free(s);
}

/* ---- tenants and their scopes ---- */

static struct shared_scope *scope_new(struct limit_shared *s, struct slice tenant, struct slice model) {
    struct shared_scope *scope = mem_zalloc(sizeof *scope);
    struct buf key = {0};
    redis_key_append(&key, s->prefix, tenant, SLICE("limit"), &model, model.n > 0);
    scope->key = (struct slice){mem_strndup(buf_slice(&key).p, buf_length(&key)), buf_length(&key)};
    scope->model = (struct slice){mem_strndup(model.p, model.n), model.n};
    buf_clear(&key);
    return scope;
}

static struct shared_tenant *shared_tenant_find(struct limit_shared *s, struct slice name, int64_t unix_ns) {
    struct shared_tenant *t = map_get(&s->tenants, name);
    if (t != NULL) return t;
    int64_t begin, end;
    t = mem_zalloc(sizeof *t);
    t->shared = s;
    t->name = (struct slice){mem_strndup(name.p, name.n), name.n};
    t->own = scope_new(s, name, SLICE(""));
    t->day = calendar_number(PERIOD_DAY, unix_ns, &begin, &end);
    t->month = calendar_number(PERIOD_MONTH, unix_ns, &begin, &end);
    map_put(&s->tenants, name, t);
    return t;
}

static struct shared_scope *shared_scope_find(struct shared_tenant *t, struct slice model) {
    for (struct shared_scope *scope = t->own->next; scope != NULL; scope = scope->next)
        if (slice_equal(scope->model, model)) return scope;
    struct shared_scope *scope = scope_new(t->shared, t->name, model);
    scope->next = t->own->next;
    t->own->next = scope;
    return scope;
}

/* ---- tickets ---- */

static struct limit_ticket *ticket_new(struct limit_shared *s, const struct tenant *conf, int64_t unix_ns,
                                       limit_decided *done, void *context) {
    struct limit_ticket *t = s->free;
    if (t != NULL)
        s->free = t->next_free;
    else
        t = mem_alloc(sizeof *t);
    *t = (struct limit_ticket){.shared = s,
                               .tenant = shared_tenant_find(s, conf->name, unix_ns),
                               .conf = conf,
                               .unix_ns = unix_ns,
                               .asked_ns = s->options.loop->now_ns,
                               .waited_ns = TIME_UNKNOWN_NS,
                               .done = done,
                               .context = context};
    return t;
}

static void ticket_free(struct limit_ticket *t) {
    t->next_free = t->shared->free;
    t->shared->free = t;
}

/* Money ahead belongs to the budgets there were when it was taken: it goes back before others come or go. */
static void scope_limit_set(struct shared_scope *scope, const struct config_limit *limit) {
    const struct config_limit *before = &scope->limit;
    bool day_goes_on = (before->pico_usd_per_day == CONF_UNLIMITED) == (limit->pico_usd_per_day == CONF_UNLIMITED);
    bool month_goes_on =
        (before->pico_usd_per_month == CONF_UNLIMITED) == (limit->pico_usd_per_month == CONF_UNLIMITED);
    if (scope->purse.pico > 0 && !(day_goes_on && month_goes_on)) ahead_drop(scope, true);
    scope->limit = *limit;
}

static void ticket_hold_add(struct limit_ticket *t, struct shared_scope *scope, const struct config_limit *limit) {
    struct ticket_hold *h = &t->holds[t->hold_count++];
    *h = (struct ticket_hold){.scope = scope, .of_tokens = limit->tokens_per_minute != CONF_UNLIMITED};
    scope_limit_set(scope, limit);
    if (h->of_tokens) h->tokens = (int64_t)limit_tokens_wanted(&t->want, limit->tokens_per_minute);
    if (limit->pico_usd_per_day != CONF_UNLIMITED)
        h->day_pico = (int64_t)limit_money_wanted(&t->want, limit->pico_usd_per_day);
    if (limit->pico_usd_per_month != CONF_UNLIMITED)
        h->month_pico = (int64_t)limit_money_wanted(&t->want, limit->pico_usd_per_month);
}

static void ticket_holds_find(struct limit_ticket *t, struct slice model) {
    const struct config_model_limit *of_model = tenant_model_limit(t->conf, model);
    ticket_hold_add(t, t->tenant->own, &t->conf->limits->limit);
    if (of_model != NULL) ticket_hold_add(t, shared_scope_find(t->tenant, of_model->name.text), &of_model->limit);
}

static struct slice ticket_model(const struct limit_ticket *t) {
    return t->hold_count > 1 ? t->holds[1].scope->model : SLICE("");
}

static void ticket_decided(struct limit_ticket *t) {
    t->conf = NULL;
    if (t->done != NULL) t->done(t->context);
}

static void ticket_refuse(struct limit_ticket *t, enum failure f) {
    t->state = TICKET_REFUSED;
    t->verdict = f;
    if (f != FAILURE_LIMITER_DOWN && !t->want.uncounted)
        limiter_refused(t->shared->options.local, t->conf, t->why.kind);
}

/* ---- what is held ---- */

static void amounts_add(struct limit_amounts *a, const struct ticket_hold *h, int sign) {
    a->running += sign;
    a->tokens += sign * h->tokens;
    a->day_pico = add_i64(a->day_pico, sign * h->day_pico);
    a->month_pico = add_i64(a->month_pico, sign * h->month_pico);
}

/* Held from now on: Redis has said so, or it is to be told. */
static void ticket_hold(struct limit_ticket *t, bool told) {
    t->state = TICKET_HELD;
    t->day = t->tenant->day;
    t->month = t->tenant->month;
    for (unsigned i = 0; i < t->hold_count; i++) {
        struct ticket_hold *h = &t->holds[i];
        amounts_add(&h->scope->truth, h, 1);
        if (told) {
            amounts_add(&h->scope->told, h, 1);
            continue;
        }
        h->scope->flow.window++;
        h->scope->flow.missing = add_i64(h->scope->flow.missing, h->tokens);
    }
    shared_activate(t->tenant);
}

static void money_release(const struct limit_ticket *t, struct ticket_hold *h, int64_t pico) {
    struct shared_scope *scope = h->scope;
    if (t->day == t->tenant->day) {
        scope->truth.day_pico = add_i64(scope->truth.day_pico, -h->day_pico);
        if (scope->limit.pico_usd_per_day != CONF_UNLIMITED) scope->flow.day_pico = add_i64(scope->flow.day_pico, pico);
    }
    if (t->month == t->tenant->month) {
        scope->truth.month_pico = add_i64(scope->truth.month_pico, -h->month_pico);
        if (scope->limit.pico_usd_per_month != CONF_UNLIMITED)
            scope->flow.month_pico = add_i64(scope->flow.month_pico, pico);
    }
}

static int64_t fit_i64(uint64_t v) {
    return v > INT64_MAX / 2 ? INT64_MAX / 2 : (int64_t)v;
}

static void ticket_release(struct limit_ticket *t, uint64_t tokens, uint64_t pico_usd) {
    for (unsigned i = 0; i < t->hold_count; i++) {
        struct ticket_hold *h = &t->holds[i];
        struct shared_scope *scope = h->scope;
        if (!ahead_slot_back(t, h)) scope->truth.running--;
        scope->truth.tokens -= h->tokens;
        if (h->of_tokens) scope->flow.missing = add_i64(scope->flow.missing, fit_i64(tokens) - h->tokens);
        money_release(t, h, fit_i64(pico_usd));
    }
    shared_changed(t->tenant, !t->ahead);
}

/* ---- deciding ---- */

static void decide_alone(struct limit_ticket *t, const char *why) {
    static _Atomic uint64_t gate;
    static const char *const words[] = {
        [CONFIG_ON_FAILURE_LOCAL] = "this replica's share is enforced",
        [CONFIG_ON_FAILURE_ALLOW] = "requests are let in and counted",
        [CONFIG_ON_FAILURE_DENY] = "requests are refused",
    };
    struct limit_shared *s = t->shared;
    struct limiter *local = s->options.local;
    atomic_fetch_add_explicit(&decided_alone, 1, memory_order_relaxed);
    if (log_once_a_minute(&gate))
        log_warn("limits are decided without Redis (%s): %s", why, words[s->options.on_failure]);
    shared_heard(s, false);
    if (s->options.on_failure == CONFIG_ON_FAILURE_DENY) {
        t->why.retry_after_ns = NS_PER_S;
        ticket_refuse(t, FAILURE_LIMITER_DOWN);
        return;
    }
    uint64_t now_ns = s->options.loop->now_ns;
    if (s->options.on_failure == CONFIG_ON_FAILURE_ALLOW) {
        limiter_note(local, t->conf, ticket_model(t), now_ns, t->unix_ns, &t->want, false, &t->local);
    } else {
        t->verdict = limiter_take(local, t->conf, ticket_model(t), now_ns, t->unix_ns, &t->want, &t->local, &t->why);
    }
    t->state = TICKET_REFUSED;
    if (t->verdict != FAILURE_NONE) return;
    ticket_hold(t, false);
    shared_changed(t->tenant, true);
}

/* Requests that were let in are not given back, so a full minute stays full until its oldest are forgotten, unless some
 * of it was only taken ahead. Who goes on asking meanwhile is refused here: a flood must not become Redis's. */
static void full_note(const struct limit_shared *s, struct shared_scope *scope, const struct take_reply *reply) {
    const struct limit_rows *rows = &reply->rows[reply->of_model];
    uint64_t now_ns = s->options.loop->now_ns;
    if (reply->kind != LIMIT_REQUESTS) return;
    for (unsigned i = 0; i < rows->count; i++)
        if (rows->rows[i].kind == LIMIT_REQUESTS && rows->rows[i].reserved > 0) return;
    scope->full.max = scope->limit.requests_per_minute;
    scope->full.until_ns = now_ns + reply->wait_ns;
    scope->full.ask_ns = now_ns + NS_PER_S;
}

static bool is_full(struct limit_ticket *t) {
    uint64_t now_ns = t->shared->options.loop->now_ns;
    for (unsigned i = 0; i < t->hold_count; i++) {
        const struct shared_scope *scope = t->holds[i].scope;
        if (now_ns >= scope->full.until_ns || now_ns >= scope->full.ask_ns) continue;
        if (scope->full.max != scope->limit.requests_per_minute) continue;
        t->why = (struct limit_refusal){LIMIT_REQUESTS, i > 0, scope->full.max, scope->full.until_ns - now_ns};
        return true;
    }
    return false;
}

static void take_told(struct limit_ticket *t, const struct take_reply *reply) {
    struct limit_shared *s = t->shared;
    shared_heard(s, true);
    shared_retell(t->tenant);
    shared_period_set(t->tenant, reply->day, reply->month);
    for (unsigned i = 0; i < t->hold_count; i++)
        shared_tell(t->tenant, t->holds[i].scope, t->asked_ns, &reply->rows[i]);
    if (reply->taken) {
        ticket_hold(t, true);
        if (!t->abandoned)
            limiter_note(s->options.local, t->conf, ticket_model(t), s->options.loop->now_ns, t->unix_ns, &t->want,
                         false, &t->local);
        return;
    }
    const struct config_limit *limit = &t->holds[reply->of_model].scope->limit;
    t->why = (struct limit_refusal){reply->kind, reply->of_model, limit_max(limit, reply->kind), reply->wait_ns};
    full_note(s, t->holds[reply->of_model].scope, reply);
    if (!t->abandoned) ticket_refuse(t, FAILURE_LIMIT_EXCEEDED);
}

static const char *trouble_of(const struct redis_result *r) {
    if (r->failure == REDIS_OK) return "what it answered is none";
    if (r->failure == REDIS_REFUSED && r->error != REDIS_ERROR_OTHER) return redis_error_word(r->error);
    return redis_failure_name(r->failure).p;
}

static void take_answered(void *context, const struct redis_result *r) {
    struct limit_ticket *t = context;
    struct take_reply reply;
    t->waited_ns = r->waited_ns;
    bool told = r->failure == REDIS_OK && take_reply_read(r->reply, t->hold_count, &reply);
    if (told)
        take_told(t, &reply);
    else if (!t->abandoned)
        decide_alone(t, trouble_of(r));
    if (!t->abandoned) {
        ticket_decided(t);
        return;
    }
    if (t->state == TICKET_HELD) ticket_release(t, 0, 0);
    ticket_free(t);
}

static bool take_ask(struct limit_ticket *t) {
    struct limit_shared *s = t->shared;
    struct words *w = &s->words;
    words_begin(w);
    for (unsigned i = 0; i < t->hold_count; i++) words_put(w, t->holds[i].scope->key);
    words_put(w, (struct slice){s->holder, s->holder_length});
    words_put_i64(w, HOLDER_TTL_NS / NS_PER_MS);
    for (unsigned i = 0; i < t->hold_count; i++) {
        const struct ticket_hold *h = &t->holds[i];
        words_put_limits(w, &h->scope->limit);
        words_put_i64(w, h->tokens);
        words_put_money(w, h->day_pico);
        words_put_money(w, h->month_pico);
    }
    return words_send(s, LIMIT_SCRIPT_TAKE, t->hold_count, take_answered, t);
}

struct limit_ticket *limit_shared_take(struct limit_shared *s, const struct tenant *tenant, struct slice model,
                                       int64_t unix_ns, const struct limit_request *want, limit_decided *done,
                                       void *context) {
    struct limit_ticket *t = ticket_new(s, tenant, unix_ns, done, context);
    t->want = *want;
    enum failure f = limit_size_judge(tenant, model, want, &t->why);
    if (f != FAILURE_NONE) {
        ticket_refuse(t, f);
        return t;
    }
    ticket_holds_find(t, model);
    if (s->options.lease && ahead_take(t)) {
        limiter_note(s->options.local, tenant, ticket_model(t), s->options.loop->now_ns, unix_ns, want, true,
                     &t->local);
        return t;
    }
    if (is_full(t)) {
        ticket_refuse(t, FAILURE_LIMIT_EXCEEDED);
        return t;
    }
    if (!take_ask(t)) decide_alone(t, "it is known not to answer");
    return t;
}

bool limit_ticket_waits(const struct limit_ticket *t) {
    return t->state == TICKET_WAITS;
}

enum failure limit_ticket_verdict(const struct limit_ticket *t, struct limit_refusal *why) {
    *why = t->why;
    return t->verdict;
}

uint64_t limit_ticket_waited_ns(const struct limit_ticket *t) {
    return t->state == TICKET_WAITS ? t->shared->options.loop->now_ns - t->asked_ns : t->waited_ns;
}

void limit_ticket_settle(struct limit_ticket *t, uint64_t tokens, uint64_t pico_usd, int64_t unix_ns) {
    if (t->state == TICKET_HELD) {
        limit_settle(&t->local, tokens, pico_usd, t->shared->options.loop->now_ns, unix_ns);
        ticket_release(t, tokens, pico_usd);
    }
    ticket_free(t);
}

void limit_ticket_abandon(struct limit_ticket *t) {
    if (t->state != TICKET_WAITS) {
        limit_ticket_settle(t, 0, 0, t->unix_ns);
        return;
    }
    t->abandoned = true;
    t->conf = NULL;
    t->done = NULL;
}

/* ---- showing ---- */

static void view_answered(void *context, const struct redis_result *r) {
    struct limit_ticket *t = context;
    struct limit_rows rows[VIEW_SCOPES_MAX];
    t->waited_ns = r->waited_ns;
    t->state = TICKET_SHOWN;
    if (t->abandoned) {
        ticket_free(t);
        return;
    }
    size_t models = t->conf->limits->models.count;
    unsigned count = 1 + (unsigned)(models < VIEW_SCOPES_MAX - 1 ? models : VIEW_SCOPES_MAX - 1);
    bool told = r->failure == REDIS_OK && view_reply_read(r->reply, count, rows);
    t->verdict = told ? FAILURE_NONE : FAILURE_LIMITER_DOWN;
    for (unsigned i = 0; told && i < count; i++)
        shared_tell(t->tenant,
                    i == 0 ? t->tenant->own
                           : shared_scope_find(t->tenant, t->conf->limits->models.items[i - 1].name.text),
                    t->asked_ns, &rows[i]);
    shared_heard(t->shared, told);
    ticket_decided(t);
}

struct limit_ticket *limit_shared_view(struct limit_shared *s, const struct tenant *tenant, int64_t unix_ns,
                                       limit_decided *done, void *context) {
    struct limit_ticket *t = ticket_new(s, tenant, unix_ns, done, context);
    const struct config_model_limits *models = &tenant->limits->models;
    unsigned count = 1;
    words_begin(&s->words);
    words_put(&s->words, t->tenant->own->key);
    for (size_t i = 0; i < models->count && count < VIEW_SCOPES_MAX; i++, count++)
        words_put(&s->words, shared_scope_find(t->tenant, models->items[i].name.text)->key);
    words_put_limits(&s->words, &tenant->limits->limit);
    for (unsigned i = 1; i < count; i++) words_put_limits(&s->words, &models->items[i - 1].limit);
    if (words_send(s, LIMIT_SCRIPT_VIEW, count, view_answered, t)) return t;
    shared_heard(s, false);
    t->state = TICKET_SHOWN;
    t->verdict = FAILURE_LIMITER_DOWN;
    t->conf = NULL;
    return t;
}
