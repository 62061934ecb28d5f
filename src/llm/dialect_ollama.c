/* Ollama's own API: one JSON object a line, the last one with `done: true` and the counts. Reached by pass-through. */
#include "reading.h"

static const struct json_path paths[] = {
    {"model", READ_MODEL},
    {"message.content", READ_TEXT},
    {"message.thinking", READ_REASONING},
    {"message.tool_calls", READ_THING},
    {"response", READ_TEXT},
    {"thinking", READ_REASONING},
    {"done", READ_DONE},
    {"done_reason", READ_FINISH_WHOLE},
    {"error", READ_ERROR},
    {"prompt_eval_count", READ_COUNT + COUNT_INPUT},
    {"eval_count", READ_COUNT + COUNT_OUTPUT},
    {"total_duration", READ_NANOSECONDS},
};

const struct dialect_table ollama_table = {
    .paths = paths, .path_count = sizeof paths / sizeof *paths, .rule = COUNTS_INCLUSIVE};
