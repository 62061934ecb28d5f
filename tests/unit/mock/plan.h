/* What the mock's tests share: a request from text, and its answer's plan taken apart by the gateway's own parsers. */
#pragma once
#include "unit.h"

/* Jansson's enumerators have the names of json/scan.h's; only its integers are asked for by type here. */
#define JSON_OBJECT JANSSON_OBJECT
#define JSON_ARRAY JANSSON_ARRAY
#define JSON_STRING JANSSON_STRING
#define JSON_TRUE JANSSON_TRUE
#define JSON_FALSE JANSSON_FALSE
#define JSON_NULL JANSSON_NULL
#include <jansson.h>
#undef JSON_OBJECT
#undef JSON_ARRAY
#undef JSON_STRING
#undef JSON_TRUE
#undef JSON_FALSE
#undef JSON_NULL
#undef JSON_STRICT
#include <stdio.h>

#include "base/mem.h"
#include "http/body.h"
#include "http/sse.h"
#include "script.h"

#define CHAT_BODY "{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"h\\u00e9llo\"}]}"
#define CHAT_STREAM "{\"model\":\"gpt-4o-mini\",\"stream\":true,\"messages\":[]}"
#define CHAT_STREAM_USAGE                                                                                              \
    "{\"model\":\"gpt-4o-mini\",\"stream\":true,\"stream_options\":{\"include_usage\":true},\"messages\":[]}"
#define CHAT_PATH "/v1/chat/completions"

static inline uint32_t next_random(uint32_t *seed) {
    return *seed = *seed * 1664525u + 1013904223u, *seed >> 8;
}

/* How a text is fed: whole (step 0), byte by byte (1), or in pieces of up to `step` bytes. */
static inline size_t next_piece(size_t step, size_t left, uint32_t *seed) {
    size_t n = step == 0 ? left : step == 1 ? 1 : 1 + next_random(seed) % step;
    return n < left ? n : left;
}

static const char *only_key; /* what the mock was started with; NULL: nothing */

/* Judges `METHOD PATH` with the given further field lines and body; the caller clears the request. */
static inline void judge(struct request *r, const char *start, const char *fields, const char *body, size_t step) {
    static const struct head_limits limits = {65536, 65536, HEAD_FIELDS_MAX};
    struct mock_knobs defaults;
    struct field list[HEAD_FIELDS_MAX];
    struct http_head head;
    struct buf text = {0};
    mock_knobs_init(&defaults);
    buf_printf(&text, "%s HTTP/1.1\r\nhost: mock\r\n%s", start, fields);
    if (body) buf_printf(&text, "content-length: %zu\r\n", strlen(body));
    buf_append_text(&text, "\r\n");
    assert_int_equal(head_parse_request(&head, buf_slice(&text), list, &limits), FAILURE_NONE);
    request_begin(r, &head, &defaults, only_key);
    uint32_t seed = 7;
    size_t n = body ? strlen(body) : 0;
    for (size_t at = 0; at < n;) {
        size_t piece = next_piece(step, n - at, &seed);
        char *exact = mem_strndup(body + at, piece);
        request_body(r, (struct slice){exact, piece});
        mem_free(exact);
        at += piece;
    }
    request_body_end(r);
    buf_clear(&text);
}

#define KEY "authorization: Bearer sk-test\r\n"
#define KEY_ANTHROPIC "x-api-key: sk-test\r\nanthropic-version: 2023-06-01\r\n"
#define KEY_GEMINI "x-goog-api-key: sk-test\r\n"

static inline struct script *plan_of(const char *start, const char *fields, const char *body) {
    struct request r;
    judge(&r, start, fields, body, 0);
    struct script *s = script_make(&r);
    request_clear(&r);
    return s;
}

struct taken { /* an answer taken apart */
    unsigned status;
    struct buf head, body;
    enum body_state state; /* BODY_MORE: it ended early */
};

static inline void take_clear(struct taken *t) {
    buf_clear(&t->head);
    buf_clear(&t->body);
}

/* Reads a plan's bytes as a client would, fed in pieces. A plan that closes ends the body where the framing allows
 * that. */
static inline struct taken take_plan(const struct script *s, size_t step) {
    static const struct head_limits limits = {65536, 65536, HEAD_FIELDS_MAX};
    struct taken t = {.state = BODY_MORE};
    struct slice all = buf_slice(&s->bytes);
    size_t scanned = 0, head_bytes = head_end(all.p, all.n, &scanned);
    struct field list[HEAD_FIELDS_MAX];
    struct http_head head;
    if (head_bytes == 0) return t;
    buf_append(&t.head, all.p, head_bytes);
    if (head_parse_answer(&head, buf_slice(&t.head), list, &limits, false) != FAILURE_NONE) {
        t.state = BODY_BAD;
        return t;
    }
    t.status = head.status;
    struct body_reader reader;
    body_reader_init(&reader, head.framing, head.content_length);
    uint32_t seed = 11;
    for (size_t at = head_bytes; at < all.n && t.state == BODY_MORE;) {
        size_t piece = next_piece(step, all.n - at, &seed), used = 0;
        while (used < piece && t.state == BODY_MORE) {
            struct slice data;
            used += body_reader_take(&reader, all.p + at + used, piece - used, &data, &t.state);
            buf_append_slice(&t.body, data);
        }
        at += piece;
    }
    if (t.state == BODY_MORE && s->end == END_CLOSE && body_reader_end(&reader) == BODY_DONE) t.state = BODY_DONE;
    return t;
}

typedef void event_fn(void *context, struct slice data);

/* Calls `each` with the data of every event of a body. */
static inline unsigned each_event(struct slice body, event_fn *each, void *context) {
    struct sse_reader reader = {0};
    struct buf data = {0};
    unsigned count = 0;
    for (size_t at = 0; at < body.n;) {
        enum sse_kind kind;
        struct slice text;
        at += sse_take(&reader, body.p + at, body.n - at, &kind, &text);
        if (kind == SSE_DATA) buf_append_slice(&data, text);
        if (kind != SSE_END) continue;
        count++;
        if (each) each(context, buf_slice(&data));
        buf_clear(&data);
    }
    assert_false(sse_inside_event(&reader));
    return count;
}

static inline json_t *json_of(struct slice text) {
    json_error_t error;
    json_t *value = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &error);
    if (!value) fail_msg("not JSON: %s at %d: %.*s", error.text, error.position, (int)text.n, text.p);
    return value;
}
