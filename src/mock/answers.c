/* src/mock/answers.c: what answers of all dialects have in common: counts, text, errors, the echo. Text is made of
 * words that need no JSON escape. */
#include "answers.h"

#include "base/clock.h"
#include "base/json_text.h"

static const char *const words[] = {" The",  " water", " runs", " over", " the",  " low",  " wall",
                                    " and",  " every", " drop", " is",   " seen", " once", ",",
                                    " then", " it",    " goes", " on",   " to",   " sea",  "."};
static const char *const words_utf8[] = {" größer", "水は", "流れる", " é", "🌊", " здесь", " ναι", "、", " ñ", " שלום"};
enum { WORDS = sizeof words / sizeof words[0], WORDS_UTF8 = sizeof words_utf8 / sizeof words_utf8[0] };

const char *const tool_argument_parts[TOOL_ARGUMENT_PARTS] = {"{\\\"city\\\"", ": \\\"Basel\\\"", ", \\\"days\\\"",
                                                              ": 3}"};
const char tool_arguments[] = "{\"city\": \"Basel\", \"days\": 3}";

enum { TOKENS_MAX = 100000, TOKEN_BYTES_MAX = 1 << 20 }; /* a plan holds the whole answer */

static uint32_t tokens_of(const struct build *b, enum mock_knob k) {
    return knob(b, k) < TOKENS_MAX ? (uint32_t)knob(b, k) : TOKENS_MAX;
}

struct counts answer_counts(const struct build *b) {
    const struct request_facts *f = &b->request->facts;
    struct counts n = {.input = (uint32_t)knob(b, MOCK_INPUT_TOKENS),
                       .visible = tokens_of(b, MOCK_TOKENS),
                       .reasoning = tokens_of(b, MOCK_REASONING_TOKENS)};
    n.tool = knob(b, MOCK_TOOLS) && f->has_tools && f->tool[0];
    if (n.tool) n.visible = TOOL_ARGUMENT_PARTS;
    n.cut = f->max_tokens && n.visible > f->max_tokens;
    if (n.cut) n.visible = f->max_tokens;
    n.cached = (uint32_t)knob(b, MOCK_CACHED_TOKENS);
    n.cache_write = (uint32_t)knob(b, MOCK_CACHE_WRITE_TOKENS);
    if (n.input < n.cached + n.cache_write) n.input = n.cached + n.cache_write;
    n.output = n.visible + n.reasoning;
    return n;
}

int64_t answer_time_s(void) {
    return clock_wall_ns(clock_now_ns()) / (int64_t)NS_PER_S;
}

const char *answer_model(const struct build *b) {
    return b->request->facts.model[0] ? b->request->facts.model : "mock-model";
}

const char *answer_tool(const struct build *b) {
    return b->request->facts.tool;
}

static void put_token(const struct build *b, struct buf *out, uint32_t index) {
    uint64_t bytes = knob(b, MOCK_TOKEN_BYTES) < TOKEN_BYTES_MAX ? knob(b, MOCK_TOKEN_BYTES) : TOKEN_BYTES_MAX;
    const char *word = knob(b, MOCK_UTF8) ? words_utf8[index % WORDS_UTF8] : words[index % WORDS];
    size_t n = strlen(word);
    if (bytes && !knob(b, MOCK_UTF8) && n > bytes) n = bytes;
    buf_append(out, word, n);
    for (; n < bytes; n++) buf_append_text(out, "w");
}

void answer_tokens(const struct build *b, struct buf *out, uint32_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) put_token(b, out, first + i);
}

void answer_text(const struct build *b, struct buf *out, const struct counts *n, size_t bytes) {
    if (bytes > ANSWER_BYTES_MAX) bytes = ANSWER_BYTES_MAX;
    answer_tokens(b, out, 0, n->visible);
    size_t have = buf_length(out);
    while (have < bytes) {
        size_t part = bytes - have < 64 ? bytes - have : 64;
        buf_append(out, " the water runs over the low wall and every drop is seen at once.", part);
        have += part;
    }
}

/* --- errors */

static const struct error_row {
    unsigned status;
    const char *openai, *openai_code, *anthropic, *gemini;
} error_rows[] = {
    {400, "invalid_request_error", "invalid_value", "invalid_request_error", "INVALID_ARGUMENT"},
    {401, "invalid_request_error", "invalid_api_key", "authentication_error", "UNAUTHENTICATED"},
    {403, "invalid_request_error", "unsupported_country_region_territory", "permission_error", "PERMISSION_DENIED"},
    {404, "invalid_request_error", "model_not_found", "not_found_error", "NOT_FOUND"},
    {405, "invalid_request_error", "method_not_allowed", "invalid_request_error", "INVALID_ARGUMENT"},
    {413, "invalid_request_error", "too_large", "request_too_large", "INVALID_ARGUMENT"},
    {429, "requests", "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"},
    {500, "server_error", "server_error", "api_error", "INTERNAL"},
    {503, "server_error", "server_is_overloaded", "overloaded_error", "UNAVAILABLE"},
    {504, "server_error", "timeout", "timeout_error", "DEADLINE_EXCEEDED"},
    {529, "server_error", "server_is_overloaded", "overloaded_error", "UNAVAILABLE"},
};

static const struct error_row *error_row(unsigned status) {
    const struct error_row *generic = NULL;
    for (size_t i = 0; i < sizeof error_rows / sizeof error_rows[0]; i++) {
        if (error_rows[i].status == status) return &error_rows[i];
        if (error_rows[i].status == (status >= 500 ? 500u : 400u)) generic = &error_rows[i];
    }
    return generic;
}

/* The error object's text, as it stands alone, in an array, or after `data: `. */
static void put_error(const struct build *b, struct buf *out, unsigned status, struct slice message) {
    const struct error_row *row = error_row(status);
    struct buf text = {0};
    buf_append_slice(&text, message);
    if (knob(b, MOCK_LEAK)) buf_printf(&text, ": incorrect API key provided: %s.", b->request->key);
    if (b->request->facts.dialect == DIALECT_ANTHROPIC) {
        buf_printf(out, "{\"type\":\"error\",\"error\":{\"type\":\"%s\",\"message\":", row->anthropic);
        json_text_string(out, buf_slice(&text));
        buf_append_text(out, "},\"request_id\":\"req_mock\"}");
    } else if (b->request->facts.dialect == DIALECT_GEMINI) {
        buf_printf(out, "{\"error\":{\"code\":%u,\"message\":", status);
        json_text_string(out, buf_slice(&text));
        buf_printf(out, ",\"status\":\"%s\",\"details\":[", row->gemini);
        if (knob(b, MOCK_RETRY_AFTER))
            buf_printf(out, "{\"@type\":\"type.googleapis.com/google.rpc.RetryInfo\",\"retryDelay\":\"%llus\"}",
                       (unsigned long long)knob(b, MOCK_RETRY_AFTER));
        buf_append_text(out, "]}}");
    } else {
        buf_append_text(out, "{\"error\":{\"message\":");
        json_text_string(out, buf_slice(&text));
        buf_printf(out, ",\"type\":\"%s\",\"param\":null,\"code\":\"%s\"}}", row->openai, row->openai_code);
    }
    buf_clear(&text);
}

void answer_error(struct build *b, unsigned status, struct slice message) {
    enum { AS_JSON, AS_HTML, AS_NOTHING } form = (int)knob(b, MOCK_ERROR_BODY);
    const struct request_facts *f = &b->request->facts;
    struct buf body = {0};
    bool array = f->operation == OPERATION_STREAM_GENERATE && !f->gemini_sse;
    if (form == AS_HTML)
        buf_printf(&body, "<html><head><title>%u</title></head><body>%u</body></html>\r\n", status, status);
    if (form == AS_JSON) {
        if (array) buf_append_text(&body, "[");
        put_error(b, &body, status, message);
        if (array) buf_append_text(&body, "]");
    }
    build_answer(b, status, form == AS_HTML ? "text/html" : "application/json", buf_slice(&body));
    buf_clear(&body);
}

void answer_error_event(struct build *b) {
    const struct request_facts *f = &b->request->facts;
    struct slice message = SLICE("The server had an error while processing your request");
    if (f->operation == OPERATION_RESPONSES) {
        buf_printf(
            &b->event,
            "event: error\ndata: {\"type\":\"error\",\"code\":\"server_error\",\"message\":\"%.*s\",\"param\":null,"
            "\"sequence_number\":%u}\n\n",
            (int)message.n, message.p, b->events);
        return;
    }
    if (b->elements)
        buf_append_text(&b->event, b->events ? ",\r\n" : "[");
    else
        buf_append_text(&b->event, f->dialect == DIALECT_ANTHROPIC ? "event: error\ndata: " : "data: ");
    put_error(b, &b->event, f->dialect == DIALECT_OPENAI ? 500 : 503, message);
    if (b->elements)
        buf_append_text(&b->event, "]");
    else
        buf_append_text(&b->event, f->dialect == DIALECT_GEMINI ? "\r\n\r\n" : "\n\n");
}

void answer_echo(struct build *b) {
    struct buf body = {0};
    buf_append_text(&body, "{\"head\":");
    json_text_string(&body, buf_slice(&b->request->head));
    buf_append_text(&body, ",\"body\":");
    json_text_string(&body, buf_slice(&b->request->body));
    buf_printf(&body, ",\"body_bytes\":%llu}", (unsigned long long)b->request->body_bytes);
    build_answer(b, 200, "application/json", buf_slice(&body));
    buf_clear(&body);
}
