/* The tenant's limits: taken in one decision once the target is known (so that what it costs is known as well), settled
 * once when the exchange is over, whatever happened in between, and told to the client. The hard part is what to settle
 * when nobody said what was used: a client that leaves early must not have its input for free. */
#include "limiting.h"

#include "base/clock.h"
#include "base/json_text.h"
#include "http/write.h"
#include "llm/price.h"
#include "loss.h"
#include "queueing.h"
#include "steps.h"

enum { SHOULD_RETRY_MAX_S = 60 }; /* SDKs sleep for as long as they are told: longer than this they are told not to */

static int64_t wall_ns(const struct exchange *x) {
    return clock_wall_ns(x->worker->loop->now_ns);
}

static uint32_t fit(uint64_t tokens) {
    return tokens > UINT32_MAX ? UINT32_MAX : (uint32_t)tokens;
}

static uint64_t cost_of(const struct exchange *x, uint64_t input, uint64_t output) {
    if (x->target == NULL || x->target->price == NULL) return 0;
    int64_t cost = price_cost(x->target->price, &(struct usage){.input = fit(input), .output = fit(output)});
    return cost > 0 ? (uint64_t)cost : 0;
}

static struct limit_request wanted(const struct exchange *x) {
    struct token_estimate t = estimate_tokens(&x->worker->estimates, x->target->model_id, x->route.operation,
                                              x->body_received, x->max_tokens, x->choices);
    return (struct limit_request){.input_tokens = t.input,
                                  .output_tokens = t.output,
                                  .output_guessed = t.output_guessed,
                                  .pico_usd = cost_of(x, t.input, t.output),
                                  .uncounted = true};
}

static uint64_t seconds_up(uint64_t ns) {
    return ns / NS_PER_S + (ns % NS_PER_S != 0);
}

static uint64_t retry_after_s(const struct exchange *x) {
    uint64_t s = seconds_up(x->refusal.retry_after_ns);
    return s > 0 ? s : 1;
}

/* `tenant acme: requests_per_minute 600 reached, retry in 14 s` */
static struct slice refusal_text(struct exchange *x, enum failure f) {
    struct buf text = {0};
    buf_append_text(&text, "tenant ");
    buf_append_slice(&text, x->tenant->name);
    if (x->refusal.of_model) {
        buf_append_text(&text, ", model ");
        buf_append_slice(&text, x->model_requested);
    }
    buf_append_text(&text, ": ");
    buf_append_slice(&text, limit_name(x->refusal.kind));
    buf_append_text(&text, " ");
    if (limit_is_money(x->refusal.kind))
        json_text_usd(&text, (int64_t)x->refusal.max);
    else
        buf_append_u64(&text, x->refusal.max);
    if (f == FAILURE_LIMIT_EXCEEDED)
        buf_printf(&text, " reached, retry in %llu s", (unsigned long long)retry_after_s(x));
    struct slice kept = exchange_copy(x, buf_slice(&text));
    buf_clear(&text);
    return kept;
}

static void limits_decided(void *context) {
    struct exchange *x = context;
    exchange_callback_begin(x);
    stage_run(x);
    exchange_callback_end(x);
}

/* Where limits are shared: asks first, and is entered again when the answer is there. */
static enum step shared_enter(struct exchange *x) {
    if (x->ticket == NULL) {
        struct limit_request want = wanted(x);
        x->input_tokens_estimate = want.input_tokens;
        x->ticket =
            limit_shared_take(x->worker->shared, x->tenant, x->model_requested, wall_ns(x), &want, limits_decided, x);
    }
    if (limit_ticket_waits(x->ticket)) return STEP_WAIT;
    x->failure = limit_ticket_verdict(x->ticket, &x->refusal);
    uint64_t waited_ns = limit_ticket_waited_ns(x->ticket);
    if (waited_ns != TIME_UNKNOWN_NS) x->limiter_ns = waited_ns;
    return x->failure == FAILURE_NONE ? STEP_NEXT : STEP_FAIL;
}

static enum step own_enter(struct exchange *x) {
    struct worker *w = x->worker;
    struct limit_request want = wanted(x);
    x->input_tokens_estimate = want.input_tokens;
    x->failure = limiter_take(w->limiter, x->tenant, x->model_requested, w->loop->now_ns, wall_ns(x), &want, &x->hold,
                              &x->refusal);
    return x->failure == FAILURE_NONE ? STEP_NEXT : STEP_FAIL;
}

static bool is_asked(const struct exchange *x) {
    return x->worker->shared != NULL && x->ticket != NULL;
}

static void ticket_drop(struct exchange *x) {
    if (is_asked(x)) limit_ticket_settle(x->ticket, 0, 0, wall_ns(x));
    if (x->worker->shared != NULL) x->ticket = NULL;
}

static void refusal_count(const struct exchange *x) {
    if (x->failure == FAILURE_LIMIT_EXCEEDED || x->failure == FAILURE_NEVER_FITS)
        limiter_refused(x->worker->limiter, x->tenant, x->refusal.kind);
}

void limits_explain(struct exchange *x, enum failure f) {
    if (x->source != SOURCE_NONE || f == FAILURE_LIMITER_DOWN) return;
    if (x->refusal.max == 0) { /* no limit was asked */
        x->detail = x->tenant->name;
        return;
    }
    x->detail = refusal_text(x, f);
    uint64_t after_s = retry_after_s(x);
    x->retry_after_s = after_s < UINT32_MAX ? (uint32_t)after_s : UINT32_MAX;
}

enum step limits_enter(struct exchange *x, struct attempt *a) {
    (void)a;
    if (x->worker->limiter == NULL || !tenant_is_limited(x->tenant)) return STEP_NEXT;
    if ((x->failure = admit_key_again(x)) != FAILURE_NONE) { /* it may have waited long */
        queue_leave(x);
        return STEP_FAIL;
    }
    enum step step = is_asked(x) ? STEP_NEXT : queue_before(x); /* an answer is looked at first */
    if (step == STEP_NEXT) {
        step = x->worker->shared != NULL ? shared_enter(x) : own_enter(x);
        bool refused = step == STEP_FAIL;
        step = queue_after(x, step);
        if (refused && step == STEP_WAIT) ticket_drop(x); /* another will be asked for */
        if (refused && step == STEP_FAIL) refusal_count(x);
    }
    if (step == STEP_FAIL) limits_explain(x, x->failure);
    return step;
}

/* What was taken is settled with the exchange; what has not been answered yet is given back when it is. */
void limits_cancel(struct exchange *x, struct attempt *a) {
    (void)a;
    queue_leave(x);
    if (x->worker->shared == NULL || x->ticket == NULL || !limit_ticket_waits(x->ticket)) return;
    x->limiter_ns = limit_ticket_waited_ns(x->ticket);
    limit_ticket_abandon(x->ticket);
    x->ticket = NULL;
}

void limits_settle(struct exchange *x, const struct record *r) {
    struct worker *w = x->worker;
    const struct usage *u = &r->usage;
    if (w->limiter == NULL) return;
    if (x->target != NULL && x->route.operation != OPERATION_PASSTHROUGH && (u->input_known || u->output_known))
        estimate_learn(&w->estimates, x->target->model_id, x->body_received, u);
    if (w->shared != NULL ? x->ticket == NULL : x->hold.tenant == NULL) return;
    uint64_t tokens = (uint64_t)u->input + u->output;
    uint64_t cost = (uint64_t)r->known_pico_usd;
    if (tokens == 0 && !u->input_known && !u->output_known && loss_unsaid(x)) {
        tokens = x->input_tokens_estimate;
        cost = cost_of(x, tokens, 0);
    }
    tokens += r->waste_tokens - (r->wasted ? (uint64_t)u->input + u->output : 0);
    if (w->shared != NULL) {
        limit_ticket_settle(x->ticket, tokens, cost, wall_ns(x));
        x->ticket = NULL;
    } else {
        limit_settle(&x->hold, tokens, cost, w->loop->now_ns, wall_ns(x));
    }
    queue_settled(x);
}

bool limits_shown(struct exchange *x) {
    struct worker *w = x->worker;
    if (w->shared == NULL || !tenant_is_limited(x->tenant)) return true;
    if (x->ticket == NULL) x->ticket = limit_shared_view(w->shared, x->tenant, wall_ns(x), limits_decided, x);
    return !limit_ticket_waits(x->ticket);
}

bool limits_are_fleets(struct exchange *x) {
    struct limit_refusal why;
    if (x->worker->shared == NULL || x->ticket == NULL) return false;
    bool told = limit_ticket_verdict(x->ticket, &why) == FAILURE_NONE;
    limit_ticket_settle(x->ticket, 0, 0, wall_ns(x));
    x->ticket = NULL;
    return told;
}

uint64_t limits_waited_ns(const struct exchange *x) {
    return x->worker->shared != NULL && x->limiter_ns != 0 ? x->limiter_ns : TIME_UNKNOWN_NS;
}

struct slice limits_refused_by(const struct exchange *x) {
    return x->source == SOURCE_POLICY && x->failure == FAILURE_LIMIT_EXCEEDED ? limit_name(x->refusal.kind) : SLICE("");
}

void limits_refusal_fields(const struct exchange *x, struct buf *out, enum failure f) {
    write_field(out, SLICE("x-weir-limit"), limit_name(x->refusal.kind));
    if (f != FAILURE_LIMIT_EXCEEDED) return;
    buf_printf(out, "retry-after: %llu\r\n", (unsigned long long)retry_after_s(x));
    if (retry_after_s(x) > SHOULD_RETRY_MAX_S) write_field(out, SLICE("x-should-retry"), SLICE("false"));
}

/* ---- what is left, on every answer ---- */

static const struct limit_row *row_scarcest(const struct limit_row *rows, unsigned count, enum limit_kind kind) {
    const struct limit_row *found = NULL;
    for (unsigned i = 0; i < count; i++) {
        if (rows[i].kind != kind) continue;
        if (found == NULL ||
            (unsigned __int128)rows[i].remaining * found->max < (unsigned __int128)found->remaining * rows[i].max)
            found = &rows[i];
    }
    return found;
}

static void field_u64(struct buf *out, const char *name, uint64_t value) {
    buf_append_text(out, name);
    buf_append_u64(out, value);
    buf_append(out, "\r\n", 2);
}

static void fields_openai(struct buf *out, const struct limit_row *row) {
    bool requests = row->kind == LIMIT_REQUESTS;
    field_u64(out, requests ? "x-ratelimit-limit-requests: " : "x-ratelimit-limit-tokens: ", row->max);
    field_u64(out, requests ? "x-ratelimit-remaining-requests: " : "x-ratelimit-remaining-tokens: ", row->remaining);
    buf_append_text(out, requests ? "x-ratelimit-reset-requests: " : "x-ratelimit-reset-tokens: ");
    buf_append_u64(out, seconds_up(row->reset_ns));
    buf_append(out, "s\r\n", 3);
}

static void fields_anthropic(struct buf *out, const struct limit_row *row, int64_t unix_ns) {
    char reset[CLOCK_RFC3339_BYTES];
    bool requests = row->kind == LIMIT_REQUESTS;
    clock_format_rfc3339(unix_ns + (int64_t)row->reset_ns, reset);
    field_u64(out, requests ? "anthropic-ratelimit-requests-limit: " : "anthropic-ratelimit-tokens-limit: ", row->max);
    field_u64(out, requests ? "anthropic-ratelimit-requests-remaining: " : "anthropic-ratelimit-tokens-remaining: ",
              row->remaining);
    write_field(out, requests ? SLICE("anthropic-ratelimit-requests-reset") : SLICE("anthropic-ratelimit-tokens-reset"),
                slice_of(reset));
}

void limits_fields(const struct exchange *x, struct buf *out) {
    static const enum limit_kind kinds[] = {LIMIT_REQUESTS, LIMIT_TOKENS};
    struct limit_row rows[2 * LIMIT_COUNT];
    struct worker *w = x->worker;
    bool refused =
        x->failure == FAILURE_EXPIRED_KEY || x->failure == FAILURE_TENANT_DISABLED; /* no friend of the house */
    if (w->limiter == NULL || x->tenant == NULL || refused || !tenant_is_limited(x->tenant)) return;
    unsigned count = limit_view(w->limiter, x->tenant, x->model_requested, w->loop->now_ns, wall_ns(x), rows);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        const struct limit_row *row = row_scarcest(rows, count, kinds[i]);
        if (row == NULL) continue;
        if (x->route.dialect == DIALECT_ANTHROPIC)
            fields_anthropic(out, row, wall_ns(x));
        else
            fields_openai(out, row);
    }
}
