/* src/mock/gemini.c: generateContent whole, as events (CRLF, no terminator) or as one JSON array sent element by
 * element; embeddings; counts. Members that would be zero are left out, as the provider leaves them out. */
#include "answers.h"

static const char *finish_reason(const struct build *b, const struct counts *n) {
    static const char *const forced[] = {NULL, "STOP", "MAX_TOKENS", "SAFETY"};
    const char *f = forced[knob(b, MOCK_FINISH)];
    return f ? f : n->cut ? "MAX_TOKENS" : "STOP";
}

static void put_usage(struct buf *out, const struct counts *n, uint32_t visible, uint32_t reasoning) {
    buf_printf(out, "{\"promptTokenCount\":%u,", n->input);
    if (visible) buf_printf(out, "\"candidatesTokenCount\":%u,", visible);
    if (n->cached) buf_printf(out, "\"cachedContentTokenCount\":%u,", n->cached);
    if (reasoning) buf_printf(out, "\"thoughtsTokenCount\":%u,", reasoning);
    buf_printf(out, "\"totalTokenCount\":%u,\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":%u}]}",
               n->input + visible + reasoning, n->input);
}

/* One GenerateContentResponse around a part that is already text. */
static void put_answer(const struct build *b, struct buf *out, struct slice part, const struct counts *n,
                       const char *finish, uint32_t visible, uint32_t reasoning) {
    buf_append_text(out, "{\"candidates\":[{\"content\":{\"parts\":[");
    buf_append_slice(out, part);
    buf_append_text(out, "],\"role\":\"model\"},");
    if (finish) buf_printf(out, "\"finishReason\":\"%s\",", finish);
    buf_append_text(out, "\"index\":0}]");
    if (knob(b, MOCK_USAGE) != 2) {
        buf_append_text(out, ",\"usageMetadata\":");
        put_usage(out, n, visible, reasoning);
    }
    buf_printf(out, ",\"modelVersion\":\"%s\",\"responseId\":\"mock0001\"}", answer_model(b));
}

static void put_call(const struct build *b, struct buf *out) {
    buf_printf(out, "{\"functionCall\":{\"name\":\"%s\",\"args\":%s}}", answer_tool(b), tool_arguments);
}

static void emit(struct build *b, struct buf *part, const struct counts *n, const char *finish, uint32_t visible,
                 uint32_t reasoning) {
    buf_append_text(&b->event, !b->elements ? "data: " : b->events ? ",\r\n" : "[");
    put_answer(b, &b->event, buf_slice(part), n, finish, visible, reasoning);
    buf_clear(part);
    if (!b->elements)
        buf_append_text(&b->event, "\r\n\r\n");
    else if (finish && knob(b, MOCK_DONE))
        buf_append_text(&b->event, "]");
    build_event(b, true);
}

static void stream(struct build *b, const struct counts *n) {
    uint32_t per_event = knob(b, MOCK_PER_EVENT) ? (uint32_t)knob(b, MOCK_PER_EVENT) : 1;
    struct buf part = {0};
    b->elements = !b->request->facts.gemini_sse;
    build_stream(b, b->elements ? "application/json; charset=UTF-8" : "text/event-stream");
    for (uint32_t i = 0; knob(b, MOCK_SHOW_REASONING) && i < n->reasoning && !b->over; i++) {
        buf_append_text(&part, "{\"text\":\"");
        answer_tokens(b, &part, i, 1);
        buf_append_text(&part, "\",\"thought\":true}");
        emit(b, &part, n, NULL, 0, i + 1);
    }
    const char *finish = knob(b, MOCK_DONE) || b->elements ? finish_reason(b, n) : NULL;
    if (n->tool || n->visible == 0) {
        if (n->tool)
            put_call(b, &part);
        else
            buf_append_text(&part, "{\"text\":\"\"}");
        emit(b, &part, n, finish, n->visible, n->reasoning);
        build_stream_end(b);
        return;
    }
    for (uint32_t i = 0; i < n->visible && !b->over; i += per_event) {
        uint32_t count = n->visible - i < per_event ? n->visible - i : per_event;
        buf_append_text(&part, "{\"text\":\"");
        answer_tokens(b, &part, i, count);
        buf_append_text(&part, "\"}");
        emit(b, &part, n, i + count == n->visible ? finish : NULL, i + count, n->reasoning);
    }
    build_stream_end(b);
}

void gemini_generate(struct build *b) {
    struct counts n = answer_counts(b);
    if (b->request->facts.stream) {
        stream(b, &n);
        return;
    }
    struct buf part = {0}, body = {0};
    if (n.tool) {
        put_call(b, &part);
    } else {
        struct buf text = {0};
        uint64_t target = knob(b, MOCK_BODY_BYTES);
        answer_text(b, &text, &n, target > 290 ? (size_t)target - 290 : 0);
        buf_append_text(&part, "{\"text\":\"");
        buf_append_slice(&part, buf_slice(&text));
        buf_append_text(&part, "\"}");
        buf_clear(&text);
    }
    put_answer(b, &body, buf_slice(&part), &n, finish_reason(b, &n), n.visible, n.reasoning);
    build_answer(b, 200, "application/json; charset=UTF-8", buf_slice(&body));
    buf_clear(&part);
    buf_clear(&body);
}

void gemini_embed(struct build *b) {
    static const char values[] = "{\"values\":[0.5,0.5,0.5,0.5,0.5,0.5,0.5,0.5]}";
    struct buf body = {0};
    if (b->request->facts.operation == OPERATION_EMBED) {
        buf_printf(&body, "{\"embedding\":%s}", values);
    } else {
        buf_append_text(&body, "{\"embeddings\":[");
        for (uint32_t i = 0; i < b->request->facts.inputs; i++) buf_printf(&body, "%s%s", i ? "," : "", values);
        buf_append_text(&body, "]}");
    }
    build_answer(b, 200, "application/json; charset=UTF-8", buf_slice(&body));
    buf_clear(&body);
}

void gemini_count_tokens(struct build *b) {
    uint32_t input = answer_counts(b).input;
    struct buf body = {0};
    buf_printf(&body, "{\"totalTokens\":%u,\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":%u}]}", input,
               input);
    build_answer(b, 200, "application/json; charset=UTF-8", buf_slice(&body));
    buf_clear(&body);
}
