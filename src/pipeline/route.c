/* Routing: a model's name becomes a target, and the body the edits it needs for it. Order: alias, `provider/model`, the
 * first provider whose `models` match and that speaks the caller's dialect. */
#include "base/clock.h"
#include "facts/names.h"
#include "failover.h"
#include "head_facts.h"
#include "pipeline/exchange.h"
#include "route.h"
#include "steps.h"
#include "targets.h"

/* All that could be asked are left alone for now: how long is told, in whole seconds. */
static enum failure nobody_there(struct exchange *x, uint64_t until_ns) {
    uint64_t now = x->worker->loop->now_ns;
    if (until_ns == UINT64_MAX) return FAILURE_WRONG_DIALECT;
    x->retry_after_s = until_ns > now ? (uint32_t)((until_ns - now + NS_PER_S - 1) / NS_PER_S) : 1;
    return FAILURE_NO_TARGET;
}

/* Among the alias's targets that speak the caller's dialect and are not left alone. One that is all there is is asked
 * in any case: an error at once is no better than trying. */
static enum failure alias_pick(struct exchange *x, const struct alias *a) {
    if (a->persists) {
        x->failover = failover_new(x, a);
        x->target = failover_first(x);
        return x->target != NULL ? FAILURE_NONE : nobody_there(x, failover_until_ns(x));
    }
    if (a->target_count == 1) {
        x->target = a->targets[0].provider->dialect == x->route.dialect ? &a->targets[0] : NULL;
        return x->target != NULL ? FAILURE_NONE : FAILURE_WRONG_DIALECT;
    }
    struct choice c = {.alias = a, .dialect = x->route.dialect, .now_ns = x->worker->loop->now_ns};
    x->target = target_choose(&c, &x->probe);
    return x->target != NULL ? FAILURE_NONE : nobody_there(x, targets_until_ns(a, x->route.dialect));
}

static enum failure own_target(struct exchange *x, struct provider *p, struct slice model) {
    if (p->dialect != x->route.dialect) return FAILURE_WRONG_DIALECT;
    x->own_target = (struct target){.provider = p,
                                    .model = model,
                                    .model_id = name_known(model),
                                    .price = price_find(x->conf->prices, p->name, model),
                                    .rename = !slice_equal(model, x->model_requested)};
    x->target = &x->own_target;
    return FAILURE_NONE;
}

static enum failure target_find(struct exchange *x) {
    struct slice model = x->model_requested;
    const struct alias *alias = snapshot_alias(x->conf, model);
    if (alias != NULL) return alias_pick(x, alias);
    const char *slash = memchr(model.p, '/', model.n);
    if (slash != NULL) {
        size_t n = (size_t)(slash - model.p);
        struct provider *p = snapshot_provider(x->conf, (struct slice){model.p, n});
        if (p != NULL && n + 1 < model.n) return own_target(x, p, (struct slice){slash + 1, model.n - n - 1});
    }
    for (size_t i = 0; i < x->conf->provider_count; i++) {
        struct provider *p = x->conf->providers[i];
        if (p->dialect == x->route.dialect && provider_serves(p, model)) return own_target(x, p, model);
    }
    return FAILURE_UNKNOWN_MODEL;
}

static char *put(char *at, struct slice s) {
    memcpy(at, s.p, s.n);
    return at + s.n;
}

/* A model's name inside a path: what is not unreserved (RFC 3986 2.3) is escaped, so that it cannot end the segment. */
static char *put_segment(char *at, struct slice s) {
    static const char digits[] = "0123456789ABCDEF";
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        char lower = ascii_lower(s.p[i]);
        if ((lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~') {
            *at++ = (char)c;
        } else {
            *at++ = '%';
            *at++ = digits[c >> 4];
            *at++ = digits[c & 15];
        }
    }
    return at;
}

/* base_url's path and what the dialect puts behind it. base_url is what the dialect's SDK takes: OpenAI's has the /v1.
 */
static void path_compose(struct exchange *x, struct attempt *a) {
    const struct provider *p = a->target->provider;
    struct slice base = p->base_path, path = x->head.path, query = head_query_without_key(x);
    if (x->route.operation == OPERATION_PASSTHROUGH) {
        base = SLICE("");
        path = (struct slice){path.p + 1 + p->name.n, path.n - 1 - p->name.n};
    } else if (x->route.dialect == DIALECT_OPENAI) {
        path = (struct slice){path.p + 3, path.n - 3};
    }
    bool renamed = x->route.model_in_path && a->target->rename;
    char *out = arena_alloc(&x->arena, base.n + path.n + query.n + 3 * a->target->model.n + 2), *at = put(out, base);
    if (renamed) {
        at = put(at, (struct slice){path.p, (size_t)(x->route.model.p - path.p)});
        at = put_segment(at, a->target->model);
        const char *after = x->route.model.p + x->route.model.n;
        at = put(at, (struct slice){after, (size_t)(path.p + path.n - after)});
    } else {
        at = put(at, path);
    }
    if (query.n > 0) {
        *at++ = '?';
        at = put(at, query);
    }
    a->path_out = (struct slice){out, (size_t)(at - out)};
}

static void edits_make(struct exchange *x, struct attempt *a) {
    if (x->facts == NULL) return;
    if (a->target->rename && !x->route.model_in_path)
        request_replace_model(x->facts, a->target->model, &a->edits, &x->arena);
    if (x->stream && a->target->provider->conf->usage == CONFIG_USAGE_INJECT)
        a->usage_injected = request_inject_usage(x->facts, &a->edits, &x->arena);
    x->facts = NULL; /* its memory is the observer's from here on */
}

/* The same for one of several targets: from what was kept of the facts. */
static void edits_make_again(struct exchange *x, struct attempt *a) {
    const struct failover *o = x->failover;
    x->facts = NULL;
    if (a->target->rename && o->model_in_body)
        splice_add(&a->edits, o->model_begin, o->model_end - o->model_begin, a->target->model_json);
    if (o->inject.count == 0 || a->target->provider->conf->usage != CONFIG_USAGE_INJECT) return;
    const struct edit *e = &o->inject.edits[0];
    splice_add(&a->edits, e->offset, e->length, e->replacement);
    a->usage_injected = true;
}

void route_prepare(struct attempt *a) {
    path_compose(a->exchange, a);
    if (a->exchange->failover != NULL)
        edits_make_again(a->exchange, a);
    else
        edits_make(a->exchange, a);
}

void route_count(struct exchange *x) {
    const struct target *t = x->target;
    const struct traffic_key key = {x->tenant->name_id, t->provider->name_id, t->model_id, x->workload};
    if (x->flight != NULL) traffic_leave(x->flight);
    x->flight = traffic_enter(&x->worker->traffic, &key, operation_id(x->route.operation));
}

enum step route_enter(struct exchange *x, struct attempt *a) {
    (void)a;
    if (x->target == NULL) {
        x->failure = target_find(x);
        if (x->failure != FAILURE_NONE) {
            x->detail = x->model_requested;
            return STEP_FAIL;
        }
    }
    route_count(x);
    uint64_t total_ns = x->target->provider->conf->timeouts.total_ns;
    if (total_ns != CONF_NEVER) timer_set(&x->worker->loop->wheel, &x->total, x->worker->loop->now_ns + total_ns);
    return STEP_NEXT;
}

void route_cancel(struct exchange *x, struct attempt *a) {
    (void)a;
    x->facts = NULL;
}
