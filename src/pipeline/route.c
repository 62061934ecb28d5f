/* Routing: a model's name becomes a target, and the body the edits it needs for it. Order: alias, `provider/model`, the
 * first provider whose `models` match and that speaks the caller's dialect. */
#include "base/clock.h"
#include "facts/names.h"
#include "head_facts.h"
#include "pipeline/exchange.h"
#include "base/random.h"
#include "steps.h"

/* Among the alias's targets that speak the caller's dialect, one drawn by weight. */
static enum failure alias_pick(struct exchange *x, const struct alias *a) {
    uint64_t weights = 0;
    for (size_t i = 0; i < a->target_count; i++)
        if (a->targets[i].provider->dialect == x->route.dialect) weights += a->conf->targets.items[i].weight;
    if (weights == 0) return FAILURE_WRONG_DIALECT;
    uint64_t draw = random_u64() % weights;
    for (size_t i = 0; i < a->target_count; i++) {
        if (a->targets[i].provider->dialect != x->route.dialect) continue;
        if (draw < a->conf->targets.items[i].weight) {
            x->target = &a->targets[i];
            return FAILURE_NONE;
        }
        draw -= a->conf->targets.items[i].weight;
    }
    return FAILURE_WRONG_DIALECT;
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
static void path_compose(struct exchange *x) {
    const struct provider *p = x->target->provider;
    struct slice base = p->base_path, path = x->head.path, query = head_query_without_key(x);
    if (x->route.operation == OPERATION_PASSTHROUGH) {
        base = SLICE("");
        path = (struct slice){path.p + 1 + p->name.n, path.n - 1 - p->name.n};
    } else if (x->route.dialect == DIALECT_OPENAI) {
        path = (struct slice){path.p + 3, path.n - 3};
    }
    bool renamed = x->route.model_in_path && x->target->rename;
    char *out = arena_alloc(&x->arena, base.n + path.n + query.n + 3 * x->target->model.n + 2), *at = put(out, base);
    if (renamed) {
        at = put(at, (struct slice){path.p, (size_t)(x->route.model.p - path.p)});
        at = put_segment(at, x->target->model);
        const char *after = x->route.model.p + x->route.model.n;
        at = put(at, (struct slice){after, (size_t)(path.p + path.n - after)});
    } else {
        at = put(at, path);
    }
    if (query.n > 0) {
        *at++ = '?';
        at = put(at, query);
    }
    x->path_out = (struct slice){out, (size_t)(at - out)};
}

static void edits_make(struct exchange *x) {
    if (x->facts == NULL) return;
    if (x->target->rename && !x->route.model_in_path)
        request_replace_model(x->facts, x->target->model, &x->edits, &x->arena);
    if (x->stream && x->target->provider->conf->usage == CONFIG_USAGE_INJECT)
        x->usage_injected = request_inject_usage(x->facts, &x->edits, &x->arena);
    x->facts = NULL; /* its memory is the observer's from here on */
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
    path_compose(x);
    edits_make(x);
    uint64_t total_ns = x->target->provider->conf->timeouts.total_ns;
    if (total_ns != CONF_NEVER) timer_set(&x->worker->loop->wheel, &x->total, x->worker->loop->now_ns + total_ns);
    return STEP_NEXT;
}

void route_cancel(struct exchange *x, struct attempt *a) {
    (void)a;
    x->facts = NULL;
}
