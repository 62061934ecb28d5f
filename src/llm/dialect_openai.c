/* OpenAI's chat and text completions (also Azure, Groq, DeepSeek, Mistral, xAI, OpenRouter, vLLM, SGLang, llama.cpp and
 * others that copy them), embeddings and moderations, as a table. The same message stands under `delta` in a stream and
 * under `message` in a whole answer. */
#include "reading.h"

/* clang-format off */
#define MESSAGE_PATHS(message)                                                                                        \
    {"choices[]." message ".content", READ_TEXT},                                                                     \
    {"choices[]." message ".content[].text", READ_TEXT},                                                              \
    {"choices[]." message ".content[].thinking", READ_REASONING},                                                     \
    {"choices[]." message ".content[].thinking[].text", READ_REASONING},                                              \
    {"choices[]." message ".reasoning_content", READ_REASONING},                                                      \
    {"choices[]." message ".reasoning", READ_REASONING_SECOND},                                                       \
    {"choices[]." message ".reasoning_details[].text", READ_REASONING_THIRD},                                         \
    {"choices[]." message ".reasoning_details[].summary", READ_REASONING_THIRD},                                      \
    {"choices[]." message ".reasoning_details[].data", READ_REASONING_SIGN},                                          \
    {"choices[]." message ".refusal", READ_TEXT},                                                                     \
    {"choices[]." message ".tool_calls[].function.name", READ_TEXT},                                                  \
    {"choices[]." message ".tool_calls[].function.arguments", READ_TEXT},                                             \
    {"choices[]." message ".tool_calls[].custom.name", READ_TEXT},                                                    \
    {"choices[]." message ".tool_calls[].custom.input", READ_TEXT},                                                   \
    {"choices[]." message ".function_call.name", READ_TEXT},                                                          \
    {"choices[]." message ".function_call.arguments", READ_TEXT},                                                     \
    {"choices[]." message ".audio.data", READ_SIGN},                                                                  \
    {"choices[]." message ".audio.transcript", READ_TEXT}

#define USAGE_PATHS(usage)                                                                                            \
    {usage ".prompt_tokens", READ_COUNT + COUNT_INPUT},                                                               \
    {usage ".completion_tokens", READ_COUNT + COUNT_OUTPUT},                                                          \
    {usage ".total_tokens", READ_COUNT + COUNT_TOTAL},                                                                \
    {usage ".prompt_tokens_details.cached_tokens", READ_COUNT + COUNT_CACHE_READ},                                    \
    {usage ".prompt_token_details.cached_tokens", READ_COUNT + COUNT_CACHE_READ_ALSO},                                \
    {usage ".prompt_cache_hit_tokens", READ_COUNT + COUNT_CACHE_READ_ALSO},                                           \
    {usage ".num_cached_tokens", READ_COUNT + COUNT_CACHE_READ_ALSO},                                                 \
    {usage ".cached_tokens", READ_COUNT + COUNT_CACHE_READ_ALSO},                                                     \
    {usage ".prompt_tokens_details.cache_write_tokens", READ_COUNT + COUNT_CACHE_WRITE},                              \
    {usage ".completion_tokens_details.reasoning_tokens", READ_COUNT + COUNT_REASONING},                              \
    {usage ".reasoning_tokens", READ_COUNT + COUNT_REASONING_ALSO},                                                   \
    {usage ".total_time", READ_SECONDS}
/* clang-format on */

enum { OWN_OBJECT };

static const struct json_path paths[] = {
    {"model", READ_MODEL},
    {"object", READ_OWN + OWN_OBJECT},
    {"error", READ_ERROR},
    {"choices", READ_CHOICES},
    {"choices[]", READ_CHOICE},
    {"choices[].index", READ_INDEX},
    {"choices[].finish_reason", READ_FINISH},
    {"choices[].error", READ_ERROR},
    {"choices[].text", READ_TEXT},
    MESSAGE_PATHS("delta"),
    MESSAGE_PATHS("message"),
    {"usage", READ_USAGE},
    USAGE_PATHS("usage"),
    USAGE_PATHS("x_groq.usage"),
    {"x_groq.error", READ_ERROR},
    {"timings.prompt_ms", READ_PROMPT_MS},
    {"timings.predicted_ms", READ_PREDICTED_MS},
};

/* Some servers send their error flat: {"object":"error","message":…}. */
static void value(struct reading *r, int own, const struct json_value *v) {
    if (own == OWN_OBJECT && value_is(v, "error")) r->event.marks |= MARK_ERROR;
}

static enum event_verdict verdict(const struct reading *r) {
    const uint32_t looked_at = MARK_USAGE | MARK_NO_CHOICES | MARK_CHOICES;
    return (r->event.marks & looked_at) == (MARK_USAGE | MARK_NO_CHOICES) ? EVENT_USAGE_ONLY : EVENT_PASS;
}

const struct dialect_table openai_table = {.paths = paths,
                                           .path_count = sizeof paths / sizeof *paths,
                                           .rule = COUNTS_INCLUSIVE,
                                           .done_text = true,
                                           .own_in_event = 1u << OWN_OBJECT,
                                           .value = value,
                                           .verdict = verdict};

/* What is read where nothing counts as use: lists, and the counting of tokens itself. */
static const struct json_path plain_paths[] = {{"model", READ_MODEL}, {"error", READ_ERROR}};

const struct dialect_table plain_table = {.paths = plain_paths,
                                          .path_count = sizeof plain_paths / sizeof *plain_paths,
                                          .rule = COUNTS_INCLUSIVE,
                                          .done_text = true};
