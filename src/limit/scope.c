/* All limits of one scope: judged, taken, settled and shown. Judging changes nothing, so that of several limits all or
 * none are taken. */
#include "scope.h"

#include <stddef.h>

#define LIMIT_NAME(id, name) [LIMIT_##id] = SLICE_INIT(#name),
static const struct slice names[LIMIT_COUNT] = {LIMITS(LIMIT_NAME)};
#undef LIMIT_NAME

static const size_t offsets[LIMIT_COUNT] = {
    [LIMIT_REQUESTS] = offsetof(struct config_limit, requests_per_minute),
    [LIMIT_TOKENS] = offsetof(struct config_limit, tokens_per_minute),
    [LIMIT_CONCURRENT] = offsetof(struct config_limit, concurrent_requests),
    [LIMIT_DAY] = offsetof(struct config_limit, pico_usd_per_day),
    [LIMIT_MONTH] = offsetof(struct config_limit, pico_usd_per_month),
};

struct slice limit_name(enum limit_kind k) {
    return names[k];
}

uint64_t limit_max(const struct config_limit *limit, enum limit_kind k) {
    return *(const uint64_t *)((const char *)limit + offsets[k]);
}

static uint64_t sum(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

/* A guess is no reason to refuse a request for ever, so it gives way to the limit. */
uint64_t limit_tokens_wanted(const struct limit_request *want, uint64_t max) {
    uint64_t tokens = sum(want->input_tokens, want->output_tokens);
    return want->output_guessed && tokens > max && want->input_tokens <= max ? max : tokens;
}

uint64_t limit_money_wanted(const struct limit_request *want, uint64_t max) {
    return want->output_guessed && want->pico_usd > max ? max : want->pico_usd;
}

static uint64_t scope_max(const struct scope *s, enum limit_kind k) {
    uint64_t max = limit_max(s->limit, k);
    if (s->share <= 1 || max == CONF_UNLIMITED) return max;
    return max / s->share > 0 ? max / s->share : 1;
}

void scope_advance(const struct scope *s) {
    window_advance(&s->state->requests, s->now_ns);
    if (s->limit->tokens_per_minute != CONF_UNLIMITED)
        bucket_advance(&s->state->tokens, scope_max(s, LIMIT_TOKENS), s->now_ns);
}

static uint64_t left_ns(const struct period *p, uint64_t now_ns) {
    return p->ends_ns > now_ns ? p->ends_ns - now_ns : 0;
}

/* Is there room? If not, for how long not: 0 for ever. */
static bool kind_fits(const struct scope *s, enum limit_kind k, uint64_t max, const struct limit_request *want,
                      uint64_t *retry_ns) {
    const struct limit_state *state = s->state;
    uint64_t tokens = limit_tokens_wanted(want, max), pico_usd = limit_money_wanted(want, max);
    switch (k) {
    case LIMIT_REQUESTS:
        if (window_fits(&state->requests, max)) return true;
        *retry_ns = window_retry_ns(&state->requests, max, s->now_ns);
        return false;
    case LIMIT_TOKENS:
        if (bucket_fits(&state->tokens, max, tokens)) return true;
        *retry_ns = tokens > max ? 0 : bucket_retry_ns(&state->tokens, max, tokens);
        return false;
    case LIMIT_CONCURRENT:
        *retry_ns = NS_PER_S; /* when one of them ends nobody knows */
        return state->concurrent < max;
    case LIMIT_DAY:
    case LIMIT_MONTH:
        if (budget_fits(k == LIMIT_DAY ? &state->day : &state->month, max, pico_usd)) return true;
        *retry_ns = pico_usd > max ? 0 : left_ns(k == LIMIT_DAY ? s->day : s->month, s->now_ns);
        return false;
    case LIMIT_COUNT:
        break;
    }
    return true;
}

enum failure scope_judge(const struct scope *s, const struct limit_request *want, struct limit_refusal *why) {
    enum failure worst = FAILURE_NONE;
    *why = (struct limit_refusal){0};
    for (enum limit_kind k = 0; k < LIMIT_COUNT; k++) {
        uint64_t max = scope_max(s, k), retry_ns = 0;
        if (max == CONF_UNLIMITED || kind_fits(s, k, max, want, &retry_ns)) continue;
        if (worst != FAILURE_NONE && retry_ns != 0 && retry_ns <= why->retry_after_ns) continue;
        *why = (struct limit_refusal){k, s->model.n > 0, max, retry_ns};
        if (retry_ns == 0) return FAILURE_NEVER_FITS;
        worst = FAILURE_LIMIT_EXCEEDED;
    }
    return worst;
}

void scope_take(const struct scope *s, const struct limit_request *want, struct limit_hold *hold) {
    const struct config_limit *limit = s->limit;
    struct limit_state *state = s->state;
    *hold = (struct limit_hold){state, UINT64_MAX};
    window_add(&state->requests);
    state->concurrent++;
    budget_reserve(&state->day, want->pico_usd);
    budget_reserve(&state->month, want->pico_usd);
    if (limit->tokens_per_minute == CONF_UNLIMITED) return;
    hold->tokens = limit_tokens_wanted(want, limit->tokens_per_minute);
    bucket_reserve(&state->tokens, hold->tokens);
}

void scope_settle(const struct limit_hold *hold, uint64_t reserved_pico_usd, uint64_t tokens, uint64_t pico_usd,
                  bool same_day, bool same_month) {
    struct limit_state *state = hold->state;
    state->concurrent--;
    if (hold->tokens != UINT64_MAX) bucket_settle(&state->tokens, hold->tokens, tokens);
    if (same_day) budget_settle(&state->day, reserved_pico_usd, pico_usd);
    if (same_month) budget_settle(&state->month, reserved_pico_usd, pico_usd);
}

static void row_finish(struct limit_row *row) {
    uint64_t gone = sum(row->used, row->reserved);
    row->remaining = gone < row->max ? row->max - gone : 0;
}

static void row_fill(const struct scope *s, struct limit_row *row) {
    const struct limit_state *state = s->state;
    const struct budget *money = row->kind == LIMIT_DAY ? &state->day : &state->month;
    switch (row->kind) {
    case LIMIT_REQUESTS:
        row->used = state->requests.sum;
        row->reset_ns = window_reset_ns(&state->requests, s->now_ns);
        break;
    case LIMIT_TOKENS: {
        uint64_t missing = bucket_missing(&state->tokens);
        row->reserved = state->tokens.reserved < missing ? state->tokens.reserved : missing;
        row->used = missing - row->reserved;
        row->reset_ns = bucket_reset_ns(&state->tokens, row->max);
        break;
    }
    case LIMIT_CONCURRENT:
        row->used = state->concurrent;
        break;
    case LIMIT_DAY:
    case LIMIT_MONTH:
        row->used = money->used;
        row->reserved = money->reserved;
        row->reset_ns = left_ns(row->kind == LIMIT_DAY ? s->day : s->month, s->now_ns);
        break;
    case LIMIT_COUNT:
        break;
    }
    row_finish(row);
}

unsigned scope_view(const struct scope *s, struct limit_row rows[LIMIT_COUNT]) {
    unsigned count = 0;
    for (enum limit_kind k = 0; k < LIMIT_COUNT; k++) {
        uint64_t max = scope_max(s, k);
        if (max == CONF_UNLIMITED) continue;
        rows[count] = (struct limit_row){.kind = k, .model = s->model, .max = max};
        row_fill(s, &rows[count++]);
    }
    return count;
}

/* ---- what others have told ---- */

/* Told a while ago: a bucket has refilled since, what is to be free again by then is. */
static void told_age(const struct limit_told *told, uint64_t age_ns, struct limit_row *row) {
    row->used = told->used;
    row->reserved = told->reserved;
    row->reset_ns = told->reset_ns > age_ns ? told->reset_ns - age_ns : 0;
    if (row->kind == LIMIT_CONCURRENT) return;
    if (row->reset_ns == 0) row->used = 0;
    if (row->kind != LIMIT_TOKENS) return;
    uint64_t back = (uint64_t)((unsigned __int128)row->max * (age_ns < BUCKET_PERIOD_NS ? age_ns : BUCKET_PERIOD_NS) /
                               BUCKET_PERIOD_NS);
    row->used = row->used > back ? row->used - back : 0;
}

unsigned scope_view_told(const struct scope *s, struct limit_row rows[LIMIT_COUNT]) {
    const struct limit_state *state = s->state;
    uint64_t age_ns = s->now_ns > state->told_ns ? s->now_ns - state->told_ns : 0;
    unsigned count = 0;
    for (enum limit_kind k = 0; k < LIMIT_COUNT; k++) {
        uint64_t max = limit_max(s->limit, k);
        if (max == CONF_UNLIMITED) continue;
        rows[count] = (struct limit_row){.kind = k, .model = s->model, .max = max};
        told_age(&state->told[k], age_ns, &rows[count]);
        row_finish(&rows[count++]);
    }
    return count;
}

/* Workers hear from Redis on connections of their own: an answer may be looked at after one to a later question. */
void state_tell(struct limit_state *state, uint64_t asked_ns, uint64_t now_ns, const struct limit_told *rows,
                unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        if (asked_ns < state->asked_ns[rows[i].kind]) continue;
        state->told[rows[i].kind] = rows[i];
        state->asked_ns[rows[i].kind] = asked_ns;
        state->told_ns = now_ns;
    }
}

void state_tell_ahead(struct limit_state *state) {
    struct limit_told *requests = &state->told[LIMIT_REQUESTS];
    requests->used++;
    if (requests->reserved > 0) requests->reserved--;
}
