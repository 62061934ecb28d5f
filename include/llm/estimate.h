/* llm/estimate.h: how many tokens a request is going to take, from what its model took so far: bytes a token of input,
 * and how long answers become. One per worker, of fixed size, integers only. */
#pragma once
#include "facts/usage.h"
#include "llm/operation.h"

#define ESTIMATE_OUTPUT_MIN 256 /* tokens expected of an answer at least, when the request sets no maximum */
enum { ESTIMATE_MODELS = 256, ESTIMATE_STEPS = 80 };

struct model_estimate {
    uint32_t model;                                 /* name id; 0: free */
    uint32_t token_bytes;                           /* of input, in 1/65536 */
    uint16_t output_count, outputs[ESTIMATE_STEPS]; /* answers by length, four steps an octave; halved when many */
};

struct estimates { /* zero-initialise */
    struct model_estimate models[ESTIMATE_MODELS];
    struct model_estimate others; /* models that found no place */
};

struct token_estimate {
    uint64_t input, output;
    bool output_guessed; /* the request sets no maximum */
};

/* `model` is a name id. max_tokens 0: not given; `choices` answers are asked for at once. Operations that generate no
 * tokens have no output, those that are never counted (count_tokens, pass-through) nothing at all. */
struct token_estimate estimate_tokens(const struct estimates *e, uint32_t model, enum operation operation,
                                      uint64_t body_bytes, uint64_t max_tokens, uint64_t choices);
/* An exchange has ended and the provider has told its usage. */
void estimate_learn(struct estimates *e, uint32_t model, uint64_t body_bytes, const struct usage *u);
