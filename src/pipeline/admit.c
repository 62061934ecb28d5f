/* Admission: what the body says. Who calls was decided at the head; here the body must be valid, the model allowed. */
#include "base/clock.h"
#include "facts/names.h"
#include "limiting.h"
#include "pipeline/exchange.h"
#include "respond.h"
#include "steps.h"
#include "usage_sums.h"

static bool workload_matches(const struct exchange *x, const struct config_workload *w) {
    return (w->match.path.text.p == NULL || slice_matches(x->head.path, w->match.path.text)) &&
           (w->match.model.text.p == NULL || slice_matches(x->model_requested, w->match.model.text));
}

/* The client's own word for it when it is a configured name, else the first that matches, else none. */
static uint32_t workload_find(const struct exchange *x) {
    const struct config *c = x->conf->config;
    for (size_t i = 0; i < c->workloads.count; i++)
        if (x->workload_name.n > 0 ? slice_equal(c->workloads.items[i].name.text, x->workload_name)
                                   : workload_matches(x, &c->workloads.items[i]))
            return x->conf->workload_ids[i];
    return NAME_NONE;
}

static enum failure body_read_facts(struct exchange *x) {
    struct request_facts *facts = x->facts;
    if (facts == NULL) return FAILURE_NONE;
    enum failure f = request_scan_end(facts);
    if (f != FAILURE_NONE) return f;
    x->stream = x->route.stream_in_path || facts->stream;
    x->max_tokens = facts->max_tokens;
    x->choices = facts->choices;
    if (!x->route.model_in_path)
        x->model_requested = exchange_copy(x, (struct slice){facts->model, facts->model_length});
    return FAILURE_NONE;
}

/* A name with control bytes in it is no model's, and must not get into a head. */
static bool model_is_printable(struct slice model) {
    for (size_t i = 0; i < model.n; i++)
        if ((unsigned char)model.p[i] < 0x20 || model.p[i] == 0x7f) return false;
    return true;
}

static enum failure model_judge(struct exchange *x) {
    if (!model_is_printable(x->model_requested)) {
        x->model_requested = SLICE("");
        return FAILURE_UNKNOWN_MODEL;
    }
    if (x->model_requested.n == 0 || tenant_may_use(x->tenant, x->model_requested)) return FAILURE_NONE;
    x->detail = x->model_requested;
    return FAILURE_MODEL_NOT_ALLOWED;
}

static enum failure own_answer(struct exchange *x) {
    if (x->route.operation == OPERATION_LIVE) return respond_live(x);
    if (x->route.operation == OPERATION_MODELS)
        respond_models(x);
    else
        respond_usage(x);
    return FAILURE_NONE;
}

/* The configuration has changed since the head was judged: a key that was taken out meanwhile gets nothing any more. */
enum failure admit_key_again(const struct exchange *x) {
    const struct worker *w = x->worker;
    if (x->conf == w->conf) return FAILURE_NONE;
    int64_t now_s = clock_wall_ns(w->loop->now_ns) / (int64_t)NS_PER_S;
    return tenants_still_allow(w->conf->tenants, x->key != NULL ? x->key->digest : NULL, now_s);
}

/* Both are asked at the same time, where there is somebody to ask. */
static bool usage_is_shown(struct exchange *x) {
    bool limits = limits_shown(x), sums = usage_sums_shown(x);
    return limits && sums;
}

enum step admit_enter(struct exchange *x, struct attempt *a) {
    (void)a;
    if (operation_is_own(x->route.operation)) {
        if (x->route.operation == OPERATION_USAGE && !usage_is_shown(x)) return STEP_WAIT;
        x->failure = own_answer(x);
        if (x->failure != FAILURE_NONE) return STEP_FAIL;
        exchange_answered(x);
        return STEP_WAIT;
    }
    if (x->route.model_in_path) x->model_requested = x->route.model;
    x->failure = body_read_facts(x);
    if (x->failure == FAILURE_NONE) x->failure = model_judge(x);
    if (x->failure == FAILURE_NONE) x->failure = admit_key_again(x);
    x->workload = workload_find(x);
    return x->failure == FAILURE_NONE ? STEP_NEXT : STEP_FAIL;
}

void admit_cancel(struct exchange *x, struct attempt *a) {
    usage_sums_cancel(x);
    limits_cancel(x, a);
    x->facts = NULL;
}
