/* src/mock/openai.c: chat completions and legacy completions, streamed and not. Reasoning is hidden, as the provider
 * hides it, unless asked for; then it comes as `reasoning_content`, as compatible servers send it. */
#include "answers.h"

static const char *finish_reason(const struct build *b, const struct counts *n) {
    static const char *const forced[] = {NULL, "stop", "length", "content_filter"};
    const char *f = forced[knob(b, MOCK_FINISH)];
    return f ? f : n->cut ? "length" : n->tool ? "tool_calls" : "stop";
}

static void put_usage(const struct build *b, struct buf *out, const struct counts *n) {
    (void)b;
    buf_printf(out,
               "{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u,\"prompt_tokens_details\":{\"cached_"
               "tokens\":%u,"
               "\"audio_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":%u,\"audio_tokens\":0,"
               "\"accepted_prediction_tokens\":0,\"rejected_prediction_tokens\":0}}",
               n->input, n->output, n->input + n->output, n->cached, n->reasoning);
}

static bool wants_usage(const struct build *b) {
    enum { USAGE_AUTO, USAGE_ALWAYS, USAGE_NEVER } usage = (int)knob(b, MOCK_USAGE);
    return usage == USAGE_ALWAYS || (usage == USAGE_AUTO && b->request->facts.include_usage);
}

/* What every chunk of one stream begins and ends with. */
static void chunk_open(struct build *b) {
    bool chat = b->request->facts.operation == OPERATION_CHAT;
    buf_printf(&b->event,
               "data: "
               "{\"id\":\"%s\",\"object\":\"%s\",\"created\":%lld,\"model\":\"%s\",%s\"system_fingerprint\":\"fp_"
               "mock000001\",",
               chat ? "chatcmpl-mock00000000000000001" : "cmpl-mock00000000000000001",
               chat ? "chat.completion.chunk" : "text_completion", (long long)answer_time_s(), answer_model(b),
               chat ? "\"service_tier\":\"default\"," : "");
}

static void chunk_close(struct build *b, bool token) {
    buf_append_text(&b->event, wants_usage(b) ? ",\"usage\":null}\n\n" : "}\n\n");
    build_event(b, token);
}

static void chat_delta(struct build *b, const char *name, uint32_t first, uint32_t count) {
    chunk_open(b);
    buf_printf(&b->event, "\"choices\":[{\"index\":0,\"delta\":{\"%s\":\"", name);
    answer_tokens(b, &b->event, first, count);
    buf_append_text(&b->event, "\"},\"logprobs\":null,\"finish_reason\":null}]");
    chunk_close(b, true);
}

static void chat_tool_deltas(struct build *b, const struct counts *n) {
    chunk_open(b);
    buf_printf(
        &b->event,
        "\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"call_mock1\",\"type\":\"function\","
        "\"function\":{\"name\":\"%s\",\"arguments\":\"\"}}]},\"logprobs\":null,\"finish_reason\":null}]",
        answer_tool(b));
    chunk_close(b, true);
    for (uint32_t i = 0; i < n->visible; i++) {
        chunk_open(b);
        buf_printf(
            &b->event,
            "\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"%s\"}}]},"
            "\"logprobs\":null,\"finish_reason\":null}]",
            tool_argument_parts[i]);
        chunk_close(b, true);
    }
}

static void text_delta(struct build *b, uint32_t first, uint32_t count) {
    chunk_open(b);
    buf_append_text(&b->event, "\"choices\":[{\"text\":\"");
    answer_tokens(b, &b->event, first, count);
    buf_append_text(&b->event, "\",\"index\":0,\"logprobs\":null,\"finish_reason\":null}]");
    chunk_close(b, true);
}

static void stream_tokens(struct build *b, const struct counts *n) {
    bool chat = b->request->facts.operation == OPERATION_CHAT;
    uint32_t per_event = knob(b, MOCK_PER_EVENT) ? (uint32_t)knob(b, MOCK_PER_EVENT) : 1;
    for (uint32_t i = 0; chat && knob(b, MOCK_SHOW_REASONING) && i < n->reasoning && !b->over; i++)
        chat_delta(b, "reasoning_content", i, 1);
    if (chat && n->tool) {
        chat_tool_deltas(b, n);
        return;
    }
    for (uint32_t i = 0; i < n->visible && !b->over; i += per_event) {
        uint32_t count = n->visible - i < per_event ? n->visible - i : per_event;
        if (chat)
            chat_delta(b, "content", i, count);
        else
            text_delta(b, i, count);
    }
}

static void stream(struct build *b, const struct counts *n) {
    bool chat = b->request->facts.operation == OPERATION_CHAT;
    build_stream(b, "text/event-stream; charset=utf-8");
    for (uint64_t i = 0; i < knob(b, MOCK_PING) && i < 1000; i++) {
        buf_append_text(&b->event, ": keep-alive\n\n");
        build_event(b, false);
    }
    if (chat) {
        chunk_open(b);
        buf_append_text(
            &b->event, "\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null},"
                       "\"logprobs\":null,\"finish_reason\":null}]");
        chunk_close(b, false);
    }
    stream_tokens(b, n);
    chunk_open(b);
    buf_printf(&b->event, "\"choices\":[{%s\"index\":0,\"logprobs\":null,\"finish_reason\":\"%s\"}]",
               chat ? "\"delta\":{}," : "\"text\":\"\",", finish_reason(b, n));
    chunk_close(b, false);
    if (wants_usage(b)) {
        chunk_open(b);
        buf_append_text(&b->event, "\"choices\":[],\"usage\":");
        put_usage(b, &b->event, n);
        buf_append_text(&b->event, "}\n\n");
        build_event(b, false);
    }
    if (knob(b, MOCK_DONE)) {
        buf_append_text(&b->event, "data: [DONE]\n\n");
        build_event(b, false);
    }
    build_stream_end(b);
}

static void put_message(struct build *b, struct buf *out, const struct counts *n) {
    size_t target = knob(b, MOCK_BODY_BYTES), around = buf_length(out) + 440; /* about what follows the text */
    struct buf text = {0};
    answer_text(b, &text, n, target > around ? target - around : 0);
    buf_append_text(out, "\"message\":{\"role\":\"assistant\",");
    if (n->tool) {
        buf_printf(out,
                   "\"content\":null,\"refusal\":null,\"tool_calls\":[{\"id\":\"call_mock1\",\"type\":\"function\","
                   "\"function\":{\"name\":\"%s\",\"arguments\":\"",
                   answer_tool(b));
        for (uint32_t i = 0; i < n->visible; i++) buf_append_text(out, tool_argument_parts[i]);
        buf_append_text(out, "\"}}]");
    } else {
        buf_append_text(out, "\"content\":\"");
        buf_append_slice(out, buf_slice(&text));
        buf_append_text(out, "\",\"refusal\":null,\"annotations\":[]");
    }
    buf_append_text(out, "},");
    buf_clear(&text);
}

void openai_chat(struct build *b) {
    struct counts n = answer_counts(b);
    if (b->request->facts.stream) {
        stream(b, &n);
        return;
    }
    struct buf body = {0};
    buf_printf(
        &body,
        "{\"id\":\"chatcmpl-mock00000000000000001\",\"object\":\"chat.completion\",\"created\":%lld,\"model\":\"%s\","
        "\"choices\":[{\"index\":0,",
        (long long)answer_time_s(), answer_model(b));
    put_message(b, &body, &n);
    buf_printf(&body, "\"logprobs\":null,\"finish_reason\":\"%s\"}],\"usage\":", finish_reason(b, &n));
    put_usage(b, &body, &n);
    buf_append_text(&body, ",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_mock000001\"}");
    build_answer(b, 200, "application/json", buf_slice(&body));
    buf_clear(&body);
}

void openai_completions(struct build *b) {
    struct counts n = answer_counts(b);
    n.tool = false;
    if (b->request->facts.stream) {
        stream(b, &n);
        return;
    }
    struct buf body = {0};
    buf_printf(
        &body,
        "{\"id\":\"cmpl-mock00000000000000001\",\"object\":\"text_completion\",\"created\":%lld,\"model\":\"%s\","
        "\"choices\":[{\"text\":\"",
        (long long)answer_time_s(), answer_model(b));
    answer_tokens(b, &body, 0, n.visible);
    buf_printf(&body, "\",\"index\":0,\"logprobs\":null,\"finish_reason\":\"%s\"}],\"usage\":", finish_reason(b, &n));
    put_usage(b, &body, &n);
    buf_append_text(&body, "}");
    build_answer(b, 200, "application/json", buf_slice(&body));
    buf_clear(&body);
}
