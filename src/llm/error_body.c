/* Errors of weir's own, written as the caller's SDK expects them: by its dialect for a body, and by what it is in the
 * middle of reading for the end of a stream. The failure's name is always in the body, so that a program can tell
 * weir's errors from a provider's. Says nothing that is not in the failure table or in `detail`. */
#include "llm/error_body.h"

#include <assert.h>

#include "base/json_text.h"

/* What a status is called; the last row is for all others. */
static const struct words {
    unsigned status;
    const char *openai, *anthropic, *gemini;
} words[] = {
    {401, "authentication_error", "authentication_error", "UNAUTHENTICATED"},
    {403, "permission_error", "permission_error", "PERMISSION_DENIED"},
    {404, "invalid_request_error", "not_found_error", "NOT_FOUND"},
    {405, "invalid_request_error", "not_found_error", "NOT_FOUND"},
    {408, "server_error", "timeout_error", "DEADLINE_EXCEEDED"},
    {413, "invalid_request_error", "request_too_large", "INVALID_ARGUMENT"},
    {429, "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"},
    {500, "server_error", "api_error", "INTERNAL"},
    {501, "server_error", "api_error", "UNIMPLEMENTED"},
    {503, "server_error", "overloaded_error", "UNAVAILABLE"},
    {504, "server_error", "timeout_error", "DEADLINE_EXCEEDED"},
    {529, "server_error", "overloaded_error", "UNAVAILABLE"},
};
static const struct words other_client = {400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"};
static const struct words other_server = {500, "server_error", "api_error", "INTERNAL"};

static const struct words *words_of(unsigned status) {
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (words[i].status == status) return &words[i];
    return status >= 400 && status < 500 ? &other_client : &other_server;
}

struct fault { /* what is said, before it is known in which words */
    const struct failure_row *row;
    unsigned status;
    const struct words *words;
    struct slice detail, trace_id;
};

static void message_write(struct buf *out, const struct fault *e) {
    struct buf text = {0};
    bool detail_says_all = e->row == failure_row(FAILURE_LIMIT_EXCEEDED) && e->detail.n > 0;
    if (!detail_says_all) buf_append_text(&text, e->row->text);
    if (!detail_says_all && e->detail.n > 0) buf_append_text(&text, ": ");
    buf_append_slice(&text, e->detail);
    json_text_string(out, buf_slice(&text));
    buf_clear(&text);
}

static void member(struct buf *out, const char *before, const char *text) {
    buf_append_text(out, before);
    json_text_string(out, slice_of(text));
}

static const char *openai_type(const struct fault *e) {
    static const char money[] = "usd_per_";
    bool money_limit = e->status == 429 && e->detail.n > 0 && memmem(e->detail.p, e->detail.n, money, sizeof money - 1);
    return money_limit ? "insufficient_quota" : e->words->openai;
}

static void openai_write(struct buf *out, const struct fault *e) {
    buf_append_text(out, "{\"error\":{\"message\":");
    message_write(out, e);
    member(out, ",\"type\":", openai_type(e));
    member(out, ",\"param\":null,\"code\":", e->row->name);
    buf_append_text(out, "}}");
}

static void responses_write(struct buf *out, const struct fault *e) {
    member(out, "{\"type\":\"error\",\"code\":", e->row->name);
    buf_append_text(out, ",\"message\":");
    message_write(out, e);
    buf_append_text(out, ",\"param\":null,\"sequence_number\":0}");
}

static void anthropic_write(struct buf *out, const struct fault *e) {
    member(out, "{\"type\":\"error\",\"error\":{\"type\":", e->words->anthropic);
    buf_append_text(out, ",\"message\":");
    message_write(out, e);
    member(out, ",\"code\":", e->row->name);
    buf_append_text(out, "}");
    if (e->trace_id.n > 0) {
        buf_append_text(out, ",\"request_id\":");
        json_text_string(out, e->trace_id);
    }
    buf_append_text(out, "}");
}

static void gemini_write(struct buf *out, const struct fault *e) {
    buf_append_text(out, "{\"error\":{\"code\":");
    buf_append_u64(out, e->status);
    buf_append_text(out, ",\"message\":");
    message_write(out, e);
    member(out, ",\"status\":", e->words->gemini);
    member(out, ",\"details\":[{\"@type\":\"type.googleapis.com/google.rpc.ErrorInfo\",\"reason\":", e->row->name);
    buf_append_text(out, ",\"domain\":\"weir\"}]}}");
}

static struct fault fault_of(enum failure failure, unsigned status, struct slice detail, struct slice trace_id) {
    assert(failure > FAILURE_NONE && failure < FAILURE_COUNT);
    return (struct fault){failure_row(failure), status, words_of(status), detail, trace_id};
}

void error_body_write(struct buf *out, enum dialect dialect, enum failure failure, unsigned status, struct slice detail,
                      struct slice trace_id) {
    static void (*const writers[DIALECT_COUNT])(struct buf *, const struct fault *) = {
        [DIALECT_OPENAI] = openai_write, [DIALECT_ANTHROPIC] = anthropic_write, [DIALECT_GEMINI] = gemini_write};
    assert(dialect < DIALECT_COUNT);
    struct fault e = fault_of(failure, status, detail, trace_id);
    writers[dialect](out, &e);
}

static void event_write(struct buf *out, enum dialect dialect, enum operation operation, const struct fault *e,
                        bool anything_sent) {
    /* The stream may have been cut within a line: an empty line ends what was begun, and is nothing between events. */
    if (anything_sent) buf_append_text(out, "\n\n");
    if (dialect == DIALECT_ANTHROPIC) {
        buf_append_text(out, "event: error\ndata: ");
        anthropic_write(out, e);
    } else if (dialect == DIALECT_GEMINI) {
        buf_append_text(out, "data: ");
        gemini_write(out, e);
    } else if (operation == OPERATION_RESPONSES) {
        buf_append_text(out, "event: error\ndata: ");
        responses_write(out, e);
    } else {
        buf_append_text(out, "data: ");
        openai_write(out, e);
    }
    buf_append_text(out, "\n\n");
}

void error_event_write(struct buf *out, enum dialect dialect, enum operation operation, enum answer_shape shape,
                       enum failure failure, bool anything_sent) {
    unsigned status = failure_row(failure)->status;
    struct slice nothing = {0};
    struct fault e = fault_of(failure, status < 400 ? 502 : status, nothing, nothing);
    switch (shape) {
    case ANSWER_SSE:
        event_write(out, dialect, operation, &e, anything_sent);
        break;
    case ANSWER_JSON_ARRAY:
        buf_append_text(out, anything_sent ? ",\r\n" : "[");
        gemini_write(out, &e);
        break;
    case ANSWER_NDJSON:
        buf_append_text(out, anything_sent ? "\n{\"error\":" : "{\"error\":");
        message_write(out, &e);
        buf_append_text(out, "}\n");
        break;
    case ANSWER_JSON:
    case ANSWER_OPAQUE:
        break; /* nothing that is added would be read: cutting the connection says it */
    }
}
