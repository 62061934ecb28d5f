/* mock/answers.h: the bodies of answers, dialect by dialect, and what they have in common. */
#pragma once
#include "script.h"

struct counts {                                                      /* what an answer reports */
    uint32_t input, cached, cache_write, visible, reasoning, output; /* output = visible + reasoning */
    bool cut;                                                        /* the request's own maximum ended it */
    bool tool;                                                       /* it is a tool call */
};
struct counts answer_counts(const struct build *b);
int64_t answer_time_s(void);
const char *answer_model(const struct build *b);
const char *answer_tool(const struct build *b);
/* Appends the text of `count` tokens, the first of them number `first`; JSON-safe. */
void answer_tokens(const struct build *b, struct buf *out, uint32_t first, uint32_t count);
/* Appends the whole text, padded with words until `out` has reached `bytes`. */
void answer_text(const struct build *b, struct buf *out, const struct counts *n, size_t bytes);
#define ANSWER_BYTES_MAX ((size_t)64 * 1024 * 1024)
#define TOOL_ARGUMENT_PARTS 4
extern const char *const tool_argument_parts[TOOL_ARGUMENT_PARTS]; /* JSON text, escaped for a JSON string */
extern const char tool_arguments[];                                /* the same as a JSON object */

void openai_chat(struct build *b);
void openai_completions(struct build *b);
void openai_responses(struct build *b);
void openai_embeddings(struct build *b);
void openai_moderations(struct build *b);
void openai_images(struct build *b);
void openai_speech(struct build *b);
void openai_models(struct build *b);
void openai_model(struct build *b);
void openai_files(struct build *b);
void anthropic_messages(struct build *b);
void anthropic_count_tokens(struct build *b);
void gemini_generate(struct build *b);
void gemini_embed(struct build *b);
void gemini_count_tokens(struct build *b);

void answer_error(struct build *b, unsigned status, struct slice message); /* a whole answer */
void answer_error_event(struct build *b);                                  /* into b->event: an error inside a stream */
void answer_echo(struct build *b);
