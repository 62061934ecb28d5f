/* src/mock/request.c: reads what an answer depends on from head and body as they pass; the body itself is kept only for
 * an echo. A request must be valid in its dialect, or it is refused as the real provider would: tests of a gateway must
 * not pass because its mock takes anything. */
#include "request.h"

#include <pthread.h>
#include <stdio.h>

enum member {
    MEMBER_MODEL,
    MEMBER_STREAM,
    MEMBER_INCLUDE_USAGE,
    MEMBER_TOOLS,
    MEMBER_TOOL_NAME,
    MEMBER_MESSAGES,
    MEMBER_PROMPT,
    MEMBER_INPUT,
    MEMBER_CONTENTS,
    MEMBER_CONTENT,
    MEMBER_REQUESTS,
    MEMBER_MAX_TOKENS,
    MEMBER_ENCODING
};

static const struct json_path wanted[] = {
    {"model", MEMBER_MODEL},
    {"stream", MEMBER_STREAM},
    {"stream_options.include_usage", MEMBER_INCLUDE_USAGE},
    {"tools", MEMBER_TOOLS},
    {"tools[].name", MEMBER_TOOL_NAME},
    {"tools[].function.name", MEMBER_TOOL_NAME},
    {"tools[].functionDeclarations[].name", MEMBER_TOOL_NAME},
    {"messages", MEMBER_MESSAGES},
    {"prompt", MEMBER_PROMPT},
    {"input", MEMBER_INPUT},
    {"contents", MEMBER_CONTENTS},
    {"content", MEMBER_CONTENT},
    {"requests", MEMBER_REQUESTS},
    {"max_tokens", MEMBER_MAX_TOKENS},
    {"max_completion_tokens", MEMBER_MAX_TOKENS},
    {"max_output_tokens", MEMBER_MAX_TOKENS},
    {"generationConfig.maxOutputTokens", MEMBER_MAX_TOKENS},
    {"encoding_format", MEMBER_ENCODING},
};

static const struct { /* in the order of the NEED_ bits */
    unsigned bit;
    const char *name;
} needs[] = {{NEED_MODEL, "model"},     {NEED_MESSAGES, "messages"},     {NEED_PROMPT, "prompt"},
             {NEED_INPUT, "input"},     {NEED_MAX_TOKENS, "max_tokens"}, {NEED_CONTENTS, "contents"},
             {NEED_CONTENT, "content"}, {NEED_REQUESTS, "requests"}};

static struct json_paths *paths;
static pthread_once_t paths_once = PTHREAD_ONCE_INIT;
static void paths_make(void) {
    paths = json_paths_new(wanted, sizeof wanted / sizeof wanted[0]);
}

static void refuse(struct request *r, unsigned status, const char *why, struct slice what) {
    if (r->refused_status) return;
    r->refused_status = status;
    snprintf(r->refusal, sizeof r->refusal, "%s%.*s", why, (int)(what.n > 80 ? 80 : what.n), what.p ? what.p : "");
    for (char *c = r->refusal; *c; c++)
        if (*c == '"' || *c == '\\' || (unsigned char)*c < ' ' || (unsigned char)*c > '~') *c = '?';
}

static void keep_name(char out[REQUEST_NAME_MAX], struct slice text) {
    size_t n = text.n < REQUEST_NAME_MAX - 1 ? text.n : REQUEST_NAME_MAX - 1;
    memset(out, 0, REQUEST_NAME_MAX);
    if (n == text.n && n) memcpy(out, text.p, n);
}

static void take_value(void *context, const struct json_value *v) {
    struct request *r = context;
    uint32_t number = 0;
    bool array = v->type == JSON_ARRAY;
    switch ((enum member)v->id) {
    case MEMBER_MODEL:
        if (v->type != JSON_STRING || v->length == 0) return;
        r->members |= NEED_MODEL;
        if (r->facts.dialect != DIALECT_GEMINI) keep_name(r->facts.model, v->text);
        break;
    case MEMBER_STREAM:
        r->facts.stream = v->type == JSON_TRUE;
        break;
    case MEMBER_INCLUDE_USAGE:
        r->facts.include_usage = v->type == JSON_TRUE;
        break;
    case MEMBER_TOOLS:
        r->facts.has_tools = array && v->length > 0;
        break;
    case MEMBER_TOOL_NAME:
        if (v->type == JSON_STRING && r->facts.tool[0] == 0) keep_name(r->facts.tool, v->text);
        break;
    case MEMBER_MESSAGES:
        r->members |= array ? NEED_MESSAGES : 0;
        break;
    case MEMBER_PROMPT:
        r->members |= NEED_PROMPT;
        break;
    case MEMBER_INPUT:
        r->members |= NEED_INPUT;
        r->facts.inputs = array && v->length < 2048 ? (uint32_t)v->length : 1;
        break;
    case MEMBER_CONTENTS:
        r->members |= NEED_CONTENTS;
        break;
    case MEMBER_CONTENT:
        r->members |= NEED_CONTENT;
        break;
    case MEMBER_REQUESTS:
        r->members |= NEED_REQUESTS;
        r->facts.inputs = v->length < 2048 ? (uint32_t)v->length : 2048;
        break;
    case MEMBER_MAX_TOKENS:
        if (v->type == JSON_NUMBER && json_number_u32(v->text, &number)) {
            r->members |= NEED_MAX_TOKENS;
            r->facts.max_tokens = number;
        }
        break;
    case MEMBER_ENCODING:
        r->facts.base64 = v->type == JSON_STRING && slice_equal(v->text, SLICE("base64"));
        break;
    }
}

static char percent_decoded(struct slice s, size_t *i) {
    uint8_t byte;
    if (s.p[*i] == '%' && *i + 2 < s.n && hex_decode((struct slice){s.p + *i + 1, 2}, &byte, 1)) {
        *i += 3;
        return (char)byte;
    }
    return s.p[(*i)++];
}

/* `mock=NAME:VALUE,…`, where `=` does for `:`. */
static void take_query_knobs(struct request *r, struct slice text) {
    char plain[512];
    size_t n = 0;
    for (size_t i = 0; i < text.n && n < sizeof plain;) plain[n++] = percent_decoded(text, &i);
    struct slice rest = {plain, n}, item;
    while (slice_cut(&rest, ',', &item)) {
        size_t at = 0;
        while (at < item.n && item.p[at] != ':' && item.p[at] != '=') at++;
        struct slice value = at < item.n ? (struct slice){item.p + at + 1, item.n - at - 1} : (struct slice){0};
        if (!mock_knob_set(&r->facts.knobs, (struct slice){item.p, at}, value))
            refuse(r, 400, "not a knob of the mock: ", item);
    }
}

static void take_query(struct request *r, struct slice query) {
    struct slice rest = query, item;
    while (slice_cut(&rest, '&', &item)) {
        if (slice_starts(item, SLICE("mock=")))
            take_query_knobs(r, (struct slice){item.p + 5, item.n - 5});
        else if (slice_equal(item, SLICE("alt=sse")))
            r->facts.gemini_sse = 1;
        else if (slice_starts(item, SLICE("key=")) && r->facts.dialect == DIALECT_GEMINI)
            snprintf(r->key, sizeof r->key, "%.*s", (int)item.n - 4, item.p + 4);
    }
}

static void take_fields(struct request *r, const struct http_head *head) {
    static const struct slice prefix = SLICE_INIT("x-mock-");
    for (unsigned i = 0; i < head->field_count; i++) {
        const struct field *f = &head->fields[i];
        if (f->id != FIELD_OTHER || f->name.n <= prefix.n) continue;
        if (!slice_equal_nocase((struct slice){f->name.p, prefix.n}, prefix)) continue;
        struct slice name = {f->name.p + prefix.n, f->name.n - prefix.n};
        if (!mock_knob_set(&r->facts.knobs, name, f->value)) refuse(r, 400, "not a knob of the mock: ", f->name);
    }
}

static void take_key(struct request *r, const struct http_head *head, const char *only) {
    static const enum field_id holders[] = {FIELD_AUTHORIZATION, FIELD_X_API_KEY, FIELD_API_KEY, FIELD_X_GOOG_API_KEY};
    for (size_t i = 0; i < sizeof holders / sizeof holders[0]; i++) {
        struct slice v = head_value(head, holders[i]);
        if (holders[i] == FIELD_AUTHORIZATION && slice_starts(v, SLICE("Bearer ")))
            v = slice_trim((struct slice){v.p + 7, v.n - 7});
        if (v.n == 0) continue;
        snprintf(r->key, sizeof r->key, "%.*s", (int)v.n, v.p);
    }
    if (only && strcmp(only, r->key) != 0)
        refuse(r, 401, "the key is not the one this mock was started with", (struct slice){0});
}

void request_begin(struct request *r, const struct http_head *head, const struct mock_knobs *defaults,
                   const char *key) {
    memset(r, 0, sizeof *r);
    struct request_facts *f = &r->facts;
    f->knobs = *defaults;
    f->operation = operation_of(head->path);
    f->dialect = f->operation < OPERATION_COUNT ? operation_row(f->operation)->dialect : dialect_of_path(head->path);
    bool models = f->operation == OPERATION_MODELS || f->operation == OPERATION_MODEL;
    if (models && head_value(head, FIELD_ANTHROPIC_VERSION).n) f->dialect = DIALECT_ANTHROPIC;
    take_fields(r, head);
    take_query(r, head->query);
    if (f->knobs.value[MOCK_ECHO]) buf_append_slice(&r->head, head->raw);
    if (f->operation == OPERATION_COUNT) {
        if (!f->knobs.value[MOCK_ECHO]) refuse(r, 404, "no such endpoint: ", head->path);
        return;
    }
    if (!operation_takes(f->operation, head->method))
        refuse(r, 405, "not for this endpoint: ", http_method_name(head->method));
    if (f->operation != OPERATION_STATS) take_key(r, head, key);
    keep_name(f->model, operation_path_model(f->operation, head->path));
    if (strpbrk(f->model, "\"\\")) refuse(r, 400, "the model's name is malformed", (struct slice){0});
    f->stream = f->operation == OPERATION_STREAM_GENERATE;
    f->deletes = head->method == HTTP_DELETE;
    r->json = operation_reads_json(f->operation, head->method);
    if (r->json) {
        pthread_once(&paths_once, paths_make);
        json_scan_init(&r->scan, paths, JSON_STRICT, take_value, r);
        r->json_state = JSON_MORE;
    }
    r->checksum = UINT64_C(0xcbf29ce484222325);
}

void request_body(struct request *r, struct slice piece) {
    r->body_bytes += piece.n;
    if (r->facts.knobs.value[MOCK_ECHO] && buf_length(&r->body) + piece.n <= REQUEST_KEPT_MAX)
        buf_append_slice(&r->body, piece);
    for (size_t at = 0; r->json && at < piece.n && r->json_state != JSON_BAD; at += 65536) {
        size_t n = piece.n - at < 65536 ? piece.n - at : 65536;
        r->json_state = json_scan_feed(&r->scan, piece.p + at, n);
    }
    if (r->facts.operation == OPERATION_FILES)
        for (size_t i = 0; i < piece.n; i++)
            r->checksum = (r->checksum ^ (uint8_t)piece.p[i]) * UINT64_C(0x100000001b3);
}

void request_body_end(struct request *r) {
    if (!r->json || r->refused_status || r->facts.knobs.value[MOCK_ECHO]) return;
    if (r->json_state != JSON_BAD) r->json_state = json_scan_end(&r->scan);
    if (r->json_state != JSON_DONE) {
        refuse(r, 400, "the body is not one valid JSON object", (struct slice){0});
        return;
    }
    unsigned missing = operation_row(r->facts.operation)->needs & ~r->members;
    for (size_t i = 0; i < sizeof needs / sizeof needs[0]; i++)
        if (missing & needs[i].bit) refuse(r, 400, "missing or malformed: ", slice_of(needs[i].name));
}

void request_clear(struct request *r) {
    buf_clear(&r->head);
    buf_clear(&r->body);
}
