/* Gemini's generateContent, as events, as one object, and as the array that it streams when nobody asks for events.
 * What a part's text is, is known at the part's end: `thought` may stand behind it. Usage is cumulative and a field
 * that is 0 is left out, so the last object replaces the one before it. */
#include "reading.h"

enum { OWN_TEXT, OWN_THOUGHT, OWN_PART, OWN_BLOCKED };
enum { PENDING_TEXT = 1, PENDING_THOUGHT = 2 };

/* clang-format off */
#define ANSWER_PATHS(answer)                                                                                          \
    {answer "candidates[].content.parts[]", READ_OWN + OWN_PART},                                                     \
    {answer "candidates[].content.parts[].text", READ_OWN + OWN_TEXT},                                                \
    {answer "candidates[].content.parts[].thought", READ_OWN + OWN_THOUGHT},                                          \
    {answer "candidates[].content.parts[].functionCall", READ_THING},                                                 \
    {answer "candidates[].content.parts[].executableCode", READ_THING},                                               \
    {answer "candidates[].content.parts[].inlineData", READ_SIGN},                                                    \
    {answer "candidates[].index", READ_INDEX},                                                                        \
    {answer "candidates[].finishReason", READ_FINISH},                                                                \
    {answer "candidates[]", READ_CHOICE},                                                                             \
    {answer "promptFeedback.blockReason", READ_OWN + OWN_BLOCKED},                                                    \
    {answer "modelVersion", READ_MODEL},                                                                              \
    {answer "error", READ_ERROR},                                                                                     \
    {answer "usageMetadata", READ_USAGE},                                                                             \
    {answer "usageMetadata.promptTokenCount", READ_COUNT + COUNT_INPUT},                                              \
    {answer "usageMetadata.candidatesTokenCount", READ_COUNT + COUNT_OUTPUT},                                         \
    {answer "usageMetadata.totalTokenCount", READ_COUNT + COUNT_TOTAL},                                               \
    {answer "usageMetadata.cachedContentTokenCount", READ_COUNT + COUNT_CACHE_READ},                                  \
    {answer "usageMetadata.thoughtsTokenCount", READ_COUNT + COUNT_REASONING},                                        \
    {answer "usageMetadata.toolUsePromptTokenCount", READ_COUNT + COUNT_TOOL_INPUT}
/* clang-format on */

static const struct json_path paths[] = {ANSWER_PATHS("")};
static const struct json_path array_paths[] = {ANSWER_PATHS("[]."), {"[]", READ_ELEMENT}};

static void part_end(struct reading *r) {
    struct event *e = &r->event;
    if (e->own & PENDING_TEXT) {
        bool thought = e->own & PENDING_THOUGHT;
        e->marks |= thought ? MARK_REASONING : MARK_VISIBLE;
        *(thought ? &e->reasoning_bytes[0] : &e->text_bytes) += e->own_bytes;
    }
    e->own = 0;
    e->own_bytes = 0;
}

static void value(struct reading *r, int own, const struct json_value *v) {
    switch (own) {
    case OWN_TEXT:
        if (v->type != JSON_STRING || v->length == 0) break;
        r->event.own |= PENDING_TEXT;
        r->event.own_bytes += value_text_bytes(v);
        break;
    case OWN_THOUGHT:
        r->event.own |= v->type == JSON_TRUE ? PENDING_THOUGHT : 0;
        break;
    case OWN_PART:
        part_end(r);
        break;
    default: /* a refused prompt has no candidates and is over */
        if (v->type != JSON_STRING || v->length == 0) break;
        reading_finish_note(r, v);
        reading_finish_commit(r, 0);
        break;
    }
}

const struct dialect_table gemini_table = {.paths = paths,
                                           .path_count = sizeof paths / sizeof *paths,
                                           .rule = COUNTS_GEMINI,
                                           .counts_replace = true,
                                           .value = value};
const struct dialect_table gemini_array_table = {.paths = array_paths,
                                                 .path_count = sizeof array_paths / sizeof *array_paths,
                                                 .rule = COUNTS_GEMINI,
                                                 .counts_replace = true,
                                                 .value = value};
