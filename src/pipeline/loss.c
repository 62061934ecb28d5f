/* Waste: the losers of races and the tries that were given up. A provider that got the whole request and began to work
 * on it will bill the input at least, though it did not get to say how much: it is the same input that the winner
 * counted. What it refused, or never got, costs nothing. */
#include "loss.h"

#include "failover.h"
#include "llm/price.h"

/* Seen tokens where the provider gave no count: a client that left, a stream that was cut, a server that does not say.
 * Four bytes of text a token is the usual rule of thumb for English; a reasonable count beats none, and the record says
 * that it is an estimate. */
enum { BYTES_A_TOKEN = 4 };

struct loss {
    struct loss *next;
    const struct price *price;
    struct usage usage;
};

void attempt_usage(const struct attempt *a, struct usage *u) {
    const struct exchange *x = a->exchange;
    *u = (struct usage){0};
    if (a->observer == NULL) return;
    const struct observation *seen = observer_seen(a->observer);
    *u = seen->usage;
    if (x->route.operation == OPERATION_PASSTHROUGH || x->route.operation == OPERATION_MODELS) return;
    if (!u->output_known && (seen->chunks > 0 || seen->text_bytes > 0)) {
        uint64_t counted = (seen->text_bytes + BYTES_A_TOKEN - 1) / BYTES_A_TOKEN;
        if (counted < seen->chunks) counted = seen->chunks;
        if (counted > u->output) u->output = counted > UINT32_MAX ? UINT32_MAX : (uint32_t)counted;
        u->estimated = true;
    }
    if (!u->input_known && u->output > 0) {
        u->input = (uint32_t)(x->body_received / BYTES_A_TOKEN);
        u->estimated = true;
    }
}

bool loss_unsaid(const struct exchange *x) {
    static const bool unsaid[FAILURE_COUNT] = {
        [FAILURE_NONE] = true,
        [FAILURE_CLIENT_GONE] = true,
        [FAILURE_CLIENT_STALLED] = true,
        [FAILURE_IDLE_TIMEOUT] = true,
        [FAILURE_FIRST_TOKEN_TIMEOUT] = true,
        [FAILURE_TOTAL_TIMEOUT] = true,
        [FAILURE_TRUNCATED] = true,
        [FAILURE_DRAINING] = true,
        [FAILURE_STREAM_ERROR] = true,
    };
    return x->attempt->sent && unsaid[x->source == SOURCE_NONE ? FAILURE_NONE : x->failure] && x->attempt->status < 300;
}

/* What the limits took it for, where there are any: they learn from each model's answers. */
static uint32_t input_guess(const struct exchange *x) {
    uint64_t tokens = x->input_tokens_estimate > 0 ? x->input_tokens_estimate : x->body_received / BYTES_A_TOKEN;
    return tokens > UINT32_MAX ? UINT32_MAX : (uint32_t)tokens;
}

void exchange_usage(const struct exchange *x, struct usage *u) {
    attempt_usage(x->attempt, u);
    if (x->source == SOURCE_NONE || u->input_known || u->output_known || u->input + u->output > 0) return;
    if (x->route.operation == OPERATION_PASSTHROUGH || !loss_unsaid(x)) return;
    u->input = input_guess(x);
    u->estimated = true;
}

bool loss_is_all(const struct exchange *x, const struct usage *u) {
    if (exchange_abandoned(x)) return true;
    return x->source != SOURCE_NONE && u->output == 0 && loss_unsaid(x);
}

const struct price *attempt_price(const struct attempt *a) {
    if (a->target == NULL) return NULL; /* never begun */
    if (a->target->price != NULL || a->observer == NULL) return a->target->price;
    const struct observation *seen = observer_seen(a->observer);
    if (seen->model_length == 0) return NULL;
    struct slice model = {seen->model, seen->model_length};
    return price_find(a->exchange->conf->prices, a->target->provider->name, model);
}

/* Did it work for nothing? It got all of the request and neither refused it nor failed on its own account. */
static bool is_billed(const struct attempt *a, enum failure f) {
    static const bool ours[FAILURE_COUNT] = {[FAILURE_NONE] = true,
                                             [FAILURE_FIRST_TOKEN_TIMEOUT] = true,
                                             [FAILURE_IDLE_TIMEOUT] = true,
                                             [FAILURE_TRUNCATED] = true};
    return a->sent && ours[f] && a->status < 300;
}

void loss_note(const struct attempt *a, enum failure f) {
    struct exchange *x = a->exchange;
    if (x->failover == NULL || !is_billed(a, f)) return;
    struct loss *l = arena_alloc(&x->arena, sizeof *l);
    *l = (struct loss){x->failover->losses, attempt_price(a), {0}};
    attempt_usage(a, &l->usage);
    x->failover->losses = l;
}

static bool is_used(const struct usage *u) {
    return u->input > 0 || u->output > 0;
}

static int64_t sum(int64_t a, int64_t b) { /* neither is negative */
    return a > INT64_MAX - b ? INT64_MAX : a + b;
}

/* What one attempt used, for its price (NULL: not known) and as a part of the waste or not. */
static void cost_add(struct record *r, const struct price *price, const struct usage *u, bool wasted) {
    if (wasted) r->waste_tokens += (uint64_t)u->input + u->output;
    if (price == NULL) {
        r->cost_pico_usd = COST_UNKNOWN;
        return;
    }
    int64_t cost = price_cost(price, u);
    r->known_pico_usd = sum(r->known_pico_usd, cost);
    if (wasted) r->waste_pico_usd = sum(r->waste_pico_usd, cost);
    if (r->cost_pico_usd != COST_UNKNOWN) r->cost_pico_usd = r->known_pico_usd;
}

void costs_book(const struct exchange *x, struct record *r) {
    r->cost_pico_usd = r->known_pico_usd = r->waste_pico_usd = 0;
    r->waste_tokens = 0;
    r->wasted = loss_is_all(x, &r->usage);
    if (x->target != NULL && (is_used(&r->usage) || x->source == SOURCE_NONE))
        cost_add(r, attempt_price(x->attempt), &r->usage, r->wasted);
    for (const struct loss *l = x->failover != NULL ? x->failover->losses : NULL; l != NULL; l = l->next) {
        struct usage u = l->usage;
        if (!u.input_known)
            u.input = r->usage.input_known ? r->usage.input : (uint32_t)(x->body_received / BYTES_A_TOKEN);
        if (is_used(&u)) cost_add(r, l->price, &u, true);
    }
}
