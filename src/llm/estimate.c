/* Estimates of tokens. Input: bytes a token as a moving average over sixteen requests, which starts at 3.5 (English
 * text in JSON). Output: the 90th percentile of a small histogram that forgets by halving. Does not read the text
 * itself: a tokenizer per model would be slower than all else a request goes through. */
#include "llm/estimate.h"

#include <string.h>

enum { SHARE = 16, ANSWERS_MAX = 1024 };
#define ONE UINT64_C(65536)
#define START (ONE * 7 / 2)
#define LEAST (ONE / 4) /* of what is learnt from: a body of images has few bytes a token, or very many */
#define MOST (ONE * 64)

static const bool generates[OPERATION_COUNT] = {
    [OPERATION_CHAT] = true,     [OPERATION_TEXT_COMPLETION] = true,  [OPERATION_RESPONSES] = true,
    [OPERATION_MESSAGES] = true, [OPERATION_GENERATE_CONTENT] = true,
};
static const bool uncounted[OPERATION_COUNT] = {
    [OPERATION_NONE] = true,        [OPERATION_MODELS] = true, [OPERATION_COUNT_TOKENS] = true,
    [OPERATION_PASSTHROUGH] = true, [OPERATION_USAGE] = true,
};

static size_t place_of(uint32_t model) {
    return model * UINT32_C(2654435761) >> 24;
}

static const struct model_estimate *model_find(const struct estimates *e, uint32_t model) {
    for (size_t i = 0, at = place_of(model); i < ESTIMATE_MODELS; i++, at = (at + 1) % ESTIMATE_MODELS) {
        if (e->models[at].model == model && model != 0) return &e->models[at];
        if (e->models[at].model == 0) break;
    }
    return &e->others;
}

/* The model's own place, made when there is one: three quarters are filled at most, so that a search ends soon. */
static struct model_estimate *model_add(struct estimates *e, uint32_t model) {
    struct model_estimate *found = (struct model_estimate *)(uintptr_t)model_find(e, model);
    if (found != &e->others || model == 0) return found;
    for (size_t i = 0, at = place_of(model); i < 16; i++, at = (at + 1) % ESTIMATE_MODELS) {
        if (e->models[at].model != 0) continue;
        e->models[at].model = model;
        return &e->models[at];
    }
    return found;
}

/* Steps 0 to 3 are the numbers themselves, then four to an octave. */
static unsigned step_of(uint32_t tokens) {
    if (tokens < 4) return tokens;
    unsigned octave = 31u - (unsigned)__builtin_clz(tokens);
    unsigned step = (octave - 1) * 4 + (tokens >> (octave - 2) & 3);
    return step < ESTIMATE_STEPS ? step : ESTIMATE_STEPS - 1;
}

/* The largest number of a step. */
static uint64_t step_top(unsigned step) {
    if (step < 4) return step;
    return ((UINT64_C(5) + step % 4) << (step / 4 - 1)) - 1;
}

static uint64_t output_guess(const struct model_estimate *m) {
    unsigned seen = 0;
    for (unsigned i = 0; i < ESTIMATE_STEPS && m->output_count > 0; i++) {
        seen += m->outputs[i];
        if (seen * 10u < m->output_count * 9u) continue;
        return step_top(i) > ESTIMATE_OUTPUT_MIN ? step_top(i) : ESTIMATE_OUTPUT_MIN;
    }
    return ESTIMATE_OUTPUT_MIN;
}

static uint64_t times(uint64_t tokens, uint64_t choices) {
    return choices > 1 && tokens > UINT32_MAX * ONE / choices ? UINT32_MAX * ONE : tokens * (choices > 1 ? choices : 1);
}

struct token_estimate estimate_tokens(const struct estimates *e, uint32_t model, enum operation operation,
                                      uint64_t body_bytes, uint64_t max_tokens, uint64_t choices) {
    const struct model_estimate *m = model_find(e, model);
    uint64_t token_bytes = m->token_bytes != 0 ? m->token_bytes : START;
    if (uncounted[operation]) return (struct token_estimate){0};
    uint64_t bytes = body_bytes < UINT64_C(1) << 40 ? body_bytes : UINT64_C(1) << 40;
    struct token_estimate t = {.input = (bytes * ONE + token_bytes - 1) / token_bytes};
    if (!generates[operation]) return t;
    t.output_guessed = max_tokens == 0;
    t.output = times(max_tokens != 0 ? max_tokens : output_guess(m), choices);
    return t;
}

void estimate_learn(struct estimates *e, uint32_t model, uint64_t body_bytes, const struct usage *u) {
    struct model_estimate *m = model_add(e, model);
    if (u->input_known && u->input > 0 && body_bytes < UINT64_C(1) << 40) {
        uint64_t seen = body_bytes * ONE / u->input, now = m->token_bytes != 0 ? m->token_bytes : START;
        seen = seen < LEAST ? LEAST : seen > MOST ? MOST : seen;
        m->token_bytes = (uint32_t)(seen >= now ? now + (seen - now) / SHARE : now - (now - seen) / SHARE);
    }
    if (!u->output_known || u->output == 0) return;
    m->outputs[step_of(u->output)]++;
    if (++m->output_count < ANSWERS_MAX) return;
    m->output_count = 0;
    for (unsigned i = 0; i < ESTIMATE_STEPS; i++) m->output_count += m->outputs[i] /= 2;
}
