/* Anthropic's Messages and servers that copy them. Usage is cumulative and comes twice: what is in message_start is
 * overwritten field by field by message_delta. The output count of message_start is a placeholder and is not read, so
 * that a stream which is cut has no output count rather than a wrong one. */
#include "reading.h"

enum { OWN_TYPE, OWN_BLOCK_TYPE };

/* clang-format off */
#define USAGE_PATHS(usage)                                                                                            \
    {usage, READ_USAGE},                                                                                              \
    {usage ".input_tokens", READ_COUNT + COUNT_INPUT},                                                                \
    {usage ".cache_read_input_tokens", READ_COUNT + COUNT_CACHE_READ},                                                \
    {usage ".cache_creation_input_tokens", READ_COUNT + COUNT_CACHE_WRITE},                                           \
    {usage ".cache_creation.ephemeral_5m_input_tokens", READ_COUNT + COUNT_CACHE_WRITE_5M},                           \
    {usage ".cache_creation.ephemeral_1h_input_tokens", READ_COUNT + COUNT_CACHE_WRITE_1H}
/* clang-format on */

static const struct json_path paths[] = {
    {"type", READ_OWN + OWN_TYPE},
    {"delta.text", READ_TEXT},
    {"delta.partial_json", READ_TEXT},
    {"delta.thinking", READ_REASONING},
    {"delta.stop_reason", READ_FINISH_WHOLE},
    {"content_block.type", READ_OWN + OWN_BLOCK_TYPE},
    {"content_block.text", READ_TEXT},
    {"content_block.thinking", READ_REASONING},
    {"content_block.to", READ_MODEL_CHANGED},
    {"content_block.to.model", READ_MODEL_CHANGED},
    {"message.model", READ_MODEL},
    USAGE_PATHS("message.usage"),
    USAGE_PATHS("usage"),
    {"usage.output_tokens", READ_COUNT + COUNT_OUTPUT},
    {"usage.output_tokens_details.thinking_tokens", READ_COUNT + COUNT_REASONING},
    {"usage.iterations[].input_tokens", READ_COUNT + COUNT_SUM_INPUT},
    {"usage.iterations[].cache_read_input_tokens", READ_COUNT + COUNT_SUM_CACHE_READ},
    {"usage.iterations[].cache_creation_input_tokens", READ_COUNT + COUNT_SUM_CACHE_WRITE},
    {"usage.iterations[].output_tokens", READ_COUNT + COUNT_SUM_OUTPUT},
    {"error", READ_ERROR},
    {"model", READ_MODEL},
    {"stop_reason", READ_FINISH_WHOLE},
    {"content[].text", READ_TEXT},
    {"content[].thinking", READ_REASONING},
    {"content[].type", READ_OWN + OWN_BLOCK_TYPE},
    {"content[].name", READ_TEXT},
    {"content[].input", READ_THING},
    {"content[].to", READ_MODEL_CHANGED},
    {"content[].to.model", READ_MODEL_CHANGED},
};

/* Blocks that are generated when they begin: a tool's name, or reasoning that arrives whole and unreadable. */
static const struct {
    const char *type;
    uint32_t mark;
} blocks[] = {{"tool_use", MARK_VISIBLE},
              {"server_tool_use", MARK_VISIBLE},
              {"mcp_tool_use", MARK_VISIBLE},
              {"redacted_thinking", MARK_REASONING}};

static void value(struct reading *r, int own, const struct json_value *v) {
    if (own == OWN_TYPE) {
        if (value_is(v, "message_stop"))
            r->event.marks |= MARK_END;
        else if (value_is(v, "error"))
            r->event.marks |= MARK_ERROR;
        return;
    }
    for (size_t i = 0; i < sizeof blocks / sizeof *blocks; i++)
        if (value_is(v, blocks[i].type)) r->event.marks |= blocks[i].mark;
}

const struct dialect_table anthropic_table = {.paths = paths,
                                              .path_count = sizeof paths / sizeof *paths,
                                              .rule = COUNTS_ADDENDS,
                                              .own_in_event = 1u << OWN_TYPE | 1u << OWN_BLOCK_TYPE,
                                              .value = value};
