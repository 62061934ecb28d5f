/* src/mock/openai_responses.c: the Responses API. Every event is named and numbered; the last repeats the whole
 * response. */
#include "answers.h"

struct response { /* one answer under way */
    struct build *b;
    struct counts n;
    int64_t created_s;
    unsigned sequence;
    struct buf output; /* the items of `output`, as they will stand in the last event */
};

static bool incomplete(const struct response *r) {
    return r->n.cut || knob(r->b, MOCK_FINISH) == 2;
}

static void put_usage(struct buf *out, const struct counts *n) {
    buf_printf(out,
               "{\"input_tokens\":%u,\"input_tokens_details\":{\"cached_tokens\":%u},\"output_tokens\":%u,"
               "\"output_tokens_details\":{\"reasoning_tokens\":%u},\"total_tokens\":%u}",
               n->input, n->cached, n->output, n->reasoning, n->input + n->output);
}

static void put_response(struct response *r, struct buf *out, bool over) {
    const char *status = !over ? "in_progress" : incomplete(r) ? "incomplete" : "completed";
    buf_printf(
        out,
        "{\"id\":\"resp_mock0000000000000001\",\"object\":\"response\",\"created_at\":%lld,\"status\":\"%s\",\"error\":"
        "null,"
        "\"incomplete_details\":%s,\"instructions\":null,\"max_output_tokens\":null,\"model\":\"%s\",\"output\":[",
        (long long)r->created_s, status, over && incomplete(r) ? "{\"reason\":\"max_output_tokens\"}" : "null",
        answer_model(r->b));
    if (over) buf_append_slice(out, buf_slice(&r->output));
    buf_append_text(out,
                    "],\"parallel_tool_calls\":true,\"previous_response_id\":null,\"store\":false,\"temperature\":1.0,"
                    "\"text\":{\"format\":{\"type\":\"text\"}},\"tool_choice\":\"auto\",\"tools\":[],\"top_p\":1.0,"
                    "\"truncation\":\"disabled\",\"usage\":");
    if (over && knob(r->b, MOCK_USAGE) != 2)
        put_usage(out, &r->n);
    else
        buf_append_text(out, "null");
    buf_append_text(out, ",\"user\":null,\"metadata\":{}}");
}

static void put_text_item(struct response *r, struct buf *out, size_t pad_bytes) {
    buf_printf(out,
               "{\"id\":\"msg_mock1\",\"type\":\"message\",\"status\":\"completed\",\"role\":\"assistant\",\"content\":"
               "[{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"");
    struct buf text = {0};
    answer_text(r->b, &text, &r->n, pad_bytes);
    buf_append_slice(out, buf_slice(&text));
    buf_clear(&text);
    buf_append_text(out, "\"}]}");
}

static void put_call_item(struct response *r, struct buf *out, bool whole) {
    buf_printf(out,
               "{\"id\":\"fc_mock1\",\"type\":\"function_call\",\"status\":\"%s\",\"call_id\":\"call_mock1\",\"name\":"
               "\"%s\",\"arguments\":\"",
               whole ? "completed" : "in_progress", answer_tool(r->b));
    for (uint32_t i = 0; whole && i < r->n.visible; i++) buf_append_text(out, tool_argument_parts[i]);
    buf_append_text(out, "\"}");
}

static void open_event(struct response *r, const char *type) {
    buf_printf(&r->b->event, "event: %s\ndata: {\"type\":\"%s\",\"sequence_number\":%u,", type, type, r->sequence++);
}

static void close_event(struct response *r, bool token) {
    buf_append_text(&r->b->event, "}\n\n");
    build_event(r->b, token);
}

static void response_event(struct response *r, const char *type, bool over) {
    open_event(r, type);
    buf_append_text(&r->b->event, "\"response\":");
    put_response(r, &r->b->event, over);
    close_event(r, false);
}

static void stream_reasoning(struct response *r) {
    for (uint32_t i = 0; i < r->n.reasoning && !r->b->over; i++) {
        open_event(r, "response.reasoning_summary_text.delta");
        buf_append_text(&r->b->event, "\"item_id\":\"rs_mock1\",\"output_index\":0,\"summary_index\":0,\"delta\":\"");
        answer_tokens(r->b, &r->b->event, i, 1);
        buf_append_text(&r->b->event, "\"");
        close_event(r, true);
    }
}

static void stream_text(struct response *r) {
    static const char place[] = "\"item_id\":\"msg_mock1\",\"output_index\":0,\"content_index\":0,";
    struct buf *e = &r->b->event;
    uint32_t per_event = knob(r->b, MOCK_PER_EVENT) ? (uint32_t)knob(r->b, MOCK_PER_EVENT) : 1;
    open_event(r, "response.output_item.added");
    buf_append_text(e, "\"output_index\":0,\"item\":{\"id\":\"msg_mock1\",\"type\":\"message\",\"status\":\"in_"
                       "progress\",\"role\":\"assistant\",\"content\":[]}");
    close_event(r, false);
    open_event(r, "response.content_part.added");
    buf_printf(e, "%s\"part\":{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"\"}", place);
    close_event(r, false);
    for (uint32_t i = 0; i < r->n.visible && !r->b->over; i += per_event) {
        open_event(r, "response.output_text.delta");
        buf_printf(e, "%s\"delta\":\"", place);
        answer_tokens(r->b, e, i, r->n.visible - i < per_event ? r->n.visible - i : per_event);
        buf_append_text(e, "\",\"logprobs\":[]");
        close_event(r, true);
    }
    open_event(r, "response.output_text.done");
    buf_printf(e, "%s\"text\":\"", place);
    answer_tokens(r->b, e, 0, r->n.visible);
    buf_append_text(e, "\",\"logprobs\":[]");
    close_event(r, false);
    open_event(r, "response.content_part.done");
    buf_printf(e, "%s\"part\":{\"type\":\"output_text\",\"annotations\":[],\"logprobs\":[],\"text\":\"", place);
    answer_tokens(r->b, e, 0, r->n.visible);
    buf_append_text(e, "\"}");
    close_event(r, false);
}

static void stream_call(struct response *r) {
    struct buf *e = &r->b->event;
    open_event(r, "response.output_item.added");
    buf_append_text(e, "\"output_index\":0,\"item\":");
    put_call_item(r, e, false);
    close_event(r, true);
    for (uint32_t i = 0; i < r->n.visible && !r->b->over; i++) {
        open_event(r, "response.function_call_arguments.delta");
        buf_printf(e, "\"item_id\":\"fc_mock1\",\"output_index\":0,\"delta\":\"%s\"", tool_argument_parts[i]);
        close_event(r, true);
    }
    open_event(r, "response.function_call_arguments.done");
    buf_printf(e, "\"item_id\":\"fc_mock1\",\"output_index\":0,\"name\":\"%s\",\"arguments\":\"", answer_tool(r->b));
    for (uint32_t i = 0; i < r->n.visible; i++) buf_append_text(e, tool_argument_parts[i]);
    buf_append_text(e, "\"");
    close_event(r, false);
}

static void stream(struct response *r) {
    build_stream(r->b, "text/event-stream; charset=utf-8");
    response_event(r, "response.created", false);
    response_event(r, "response.in_progress", false);
    for (uint64_t i = 0; i < knob(r->b, MOCK_PING) && i < 1000; i++) {
        open_event(r, "keepalive");
        r->b->event.end--; /* no more members: the comma goes */
        close_event(r, false);
    }
    if (knob(r->b, MOCK_SHOW_REASONING)) stream_reasoning(r);
    if (r->n.tool)
        stream_call(r);
    else
        stream_text(r);
    open_event(r, "response.output_item.done");
    buf_append_text(&r->b->event, "\"output_index\":0,\"item\":");
    buf_append_slice(&r->b->event, buf_slice(&r->output));
    close_event(r, false);
    if (knob(r->b, MOCK_DONE)) response_event(r, incomplete(r) ? "response.incomplete" : "response.completed", true);
    build_stream_end(r->b);
}

void openai_responses(struct build *b) {
    struct response r = {.b = b, .n = answer_counts(b), .created_s = answer_time_s()};
    bool streamed = b->request->facts.stream;
    uint64_t target = knob(b, MOCK_BODY_BYTES);
    if (r.n.tool)
        put_call_item(&r, &r.output, true);
    else
        put_text_item(&r, &r.output, !streamed && target > 740 ? (size_t)target - 740 : 0);
    if (streamed) {
        stream(&r);
    } else {
        struct buf body = {0};
        put_response(&r, &body, true);
        build_answer(b, 200, "application/json", buf_slice(&body));
        buf_clear(&body);
    }
    buf_clear(&r.output);
}
