/* src/mock/anthropic.c: Messages. Its input count leaves out what the cache read or wrote, and the counts of the last
 * event are those of the whole message. */
#include "answers.h"

static void put_usage(struct buf *out, const struct counts *n, uint32_t output, bool first) {
    buf_printf(out, "{\"input_tokens\":%u,\"cache_creation_input_tokens\":%u,\"cache_read_input_tokens\":%u,",
               n->input - n->cached - n->cache_write, n->cache_write, n->cached);
    if (first)
        buf_printf(out, "\"cache_creation\":{\"ephemeral_5m_input_tokens\":%u,\"ephemeral_1h_input_tokens\":0},",
                   n->cache_write);
    buf_printf(out, "\"output_tokens\":%u%s}", output, first ? ",\"service_tier\":\"standard\"" : "");
}

static const char *stop_reason(const struct build *b, const struct counts *n) {
    static const char *const forced[] = {NULL, "end_turn", "max_tokens", "refusal"};
    const char *f = forced[knob(b, MOCK_FINISH)];
    return f ? f : n->cut ? "max_tokens" : n->tool ? "tool_use" : "end_turn";
}

static void open_event(struct build *b, const char *type) {
    buf_printf(&b->event, "event: %s\ndata: {\"type\":\"%s\"", type, type);
}

static void close_event(struct build *b, bool token) {
    buf_append_text(&b->event, "}\n\n");
    build_event(b, token);
}

static void message_start(struct build *b, const struct counts *n) {
    open_event(b, "message_start");
    buf_printf(&b->event,
               ",\"message\":{\"id\":\"msg_mock00000000000000001\",\"type\":\"message\",\"role\":\"assistant\","
               "\"model\":\"%s\","
               "\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":",
               answer_model(b));
    put_usage(&b->event, n, 1, true);
    buf_append_text(&b->event, "}");
    close_event(b, false);
}

static void block_start(struct build *b, unsigned index, const char *block, bool token) {
    open_event(b, "content_block_start");
    buf_printf(&b->event, ",\"index\":%u,\"content_block\":%s", index, block);
    close_event(b, token);
}

static void block_stop(struct build *b, unsigned index) {
    open_event(b, "content_block_stop");
    buf_printf(&b->event, ",\"index\":%u", index);
    close_event(b, false);
}

static void text_deltas(struct build *b, unsigned index, const char *type, const char *member, uint32_t count,
                        uint32_t per_event) {
    for (uint32_t i = 0; i < count && !b->over; i += per_event) {
        open_event(b, "content_block_delta");
        buf_printf(&b->event, ",\"index\":%u,\"delta\":{\"type\":\"%s\",\"%s\":\"", index, type, member);
        answer_tokens(b, &b->event, i, count - i < per_event ? count - i : per_event);
        buf_append_text(&b->event, "\"}");
        close_event(b, true);
    }
}

static void thinking_block(struct build *b, const struct counts *n) {
    block_start(b, 0, "{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}", false);
    text_deltas(b, 0, "thinking_delta", "thinking", n->reasoning, 1);
    open_event(b, "content_block_delta");
    buf_append_text(&b->event, ",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"bW9jaw==\"}");
    close_event(b, false);
    block_stop(b, 0);
}

static void tool_block(struct build *b, unsigned index, const struct counts *n) {
    struct buf block = {0};
    buf_printf(&block, "{\"type\":\"tool_use\",\"id\":\"toolu_mock1\",\"name\":\"%s\",\"input\":{}}", answer_tool(b));
    buf_append(&block, "", 1);
    block_start(b, index, block.data + block.start, true);
    buf_clear(&block);
    for (uint32_t i = 0; i <= n->visible && !b->over; i++) { /* the first part is empty, as the provider's is */
        open_event(b, "content_block_delta");
        buf_printf(&b->event, ",\"index\":%u,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"%s\"}", index,
                   i ? tool_argument_parts[i - 1] : "");
        close_event(b, i > 0);
    }
}

static void stream(struct build *b, const struct counts *n) {
    uint32_t per_event = knob(b, MOCK_PER_EVENT) ? (uint32_t)knob(b, MOCK_PER_EVENT) : 1;
    unsigned index = 0;
    build_stream(b, "text/event-stream; charset=utf-8");
    message_start(b, n);
    if (n->reasoning && knob(b, MOCK_SHOW_REASONING)) {
        thinking_block(b, n);
        index = 1;
    }
    if (!n->tool) block_start(b, index, "{\"type\":\"text\",\"text\":\"\"}", false);
    for (uint64_t i = 0; i < knob(b, MOCK_PING) && i < 1000; i++) {
        open_event(b, "ping");
        close_event(b, false);
    }
    if (n->tool)
        tool_block(b, index, n);
    else
        text_deltas(b, index, "text_delta", "text", n->visible, per_event);
    block_stop(b, index);
    open_event(b, "message_delta");
    buf_printf(&b->event, ",\"delta\":{\"stop_reason\":\"%s\",\"stop_sequence\":null},\"usage\":", stop_reason(b, n));
    put_usage(&b->event, n, n->output, false);
    close_event(b, false);
    if (knob(b, MOCK_DONE)) {
        open_event(b, "message_stop");
        close_event(b, false);
    }
    build_stream_end(b);
}

void anthropic_messages(struct build *b) {
    struct counts n = answer_counts(b);
    if (b->request->facts.stream) {
        stream(b, &n);
        return;
    }
    struct buf body = {0};
    buf_printf(&body,
               "{\"id\":\"msg_mock00000000000000001\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"%s\","
               "\"content\":[",
               answer_model(b));
    if (n.tool) {
        buf_printf(&body, "{\"type\":\"tool_use\",\"id\":\"toolu_mock1\",\"name\":\"%s\",\"input\":%s}", answer_tool(b),
                   tool_arguments);
    } else {
        struct buf text = {0};
        uint64_t target = knob(b, MOCK_BODY_BYTES);
        answer_text(b, &text, &n, target > 380 ? (size_t)target - 380 : 0);
        buf_append_text(&body, "{\"type\":\"text\",\"text\":\"");
        buf_append_slice(&body, buf_slice(&text));
        buf_append_text(&body, "\"}");
        buf_clear(&text);
    }
    buf_printf(&body, "],\"stop_reason\":\"%s\",\"stop_sequence\":null,\"usage\":", stop_reason(b, &n));
    put_usage(&body, &n, n.output, true);
    buf_append_text(&body, "}");
    build_answer(b, 200, "application/json", buf_slice(&body));
    buf_clear(&body);
}

void anthropic_count_tokens(struct build *b) {
    struct buf body = {0};
    buf_printf(&body, "{\"input_tokens\":%u}", answer_counts(b).input);
    build_answer(b, 200, "application/json", buf_slice(&body));
    buf_clear(&body);
}
