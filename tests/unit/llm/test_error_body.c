/* Errors in the words of the dialects, for bodies and for streams. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <jansson.h>

#include "llm/error_body.h"

#define TRACE SLICE("4bf92f3577b34da6a3ce929d0e0e4736")

static json_t *parse(struct slice text) {
    json_error_t error;
    json_t *tree = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &error);
    if (tree == NULL) fail_msg("%s in %.*s", error.text, (int)text.n, text.p);
    return tree;
}

static const char *text_at(json_t *tree, const char *outer, const char *inner) {
    json_t *object = outer ? json_object_get(tree, outer) : tree;
    const char *text = json_string_value(json_object_get(object, inner));
    return text ? text : "(none)";
}

static json_t *body(enum dialect dialect, enum failure failure, unsigned status, struct slice detail) {
    struct buf out = {0};
    error_body_write(&out, dialect, failure, status, detail, TRACE);
    json_t *tree = parse(buf_slice(&out));
    buf_clear(&out);
    return tree;
}

static void every_failure_is_valid_json_in_every_dialect(void **state) {
    (void)state;
    const struct slice hostile = SLICE("\"}],\\ \xff\xc0\x80 \r\n\t\x01 \xe2\x82\xac </script>");
    for (int failure = FAILURE_NONE + 1; failure < FAILURE_COUNT; failure++)
        for (int dialect = 0; dialect < DIALECT_COUNT; dialect++) {
            const struct failure_row *row = failure_row((enum failure)failure);
            json_t *tree = body((enum dialect)dialect, (enum failure)failure, row->status, hostile);
            if (failure != FAILURE_LIMIT_EXCEEDED) /* its detail says it all */
                assert_int_equal(strncmp(text_at(tree, "error", "message"), row->text, strlen(row->text)), 0);
            if (dialect != DIALECT_GEMINI) assert_string_equal(text_at(tree, "error", "code"), row->name);
            json_decref(tree);
        }
}

static void openai_has_type_param_and_code(void **state) {
    (void)state;
    json_t *tree = body(DIALECT_OPENAI, FAILURE_LIMIT_EXCEEDED, 429,
                        SLICE("tenant acme: requests_per_minute 600 reached, retry in 14 s"));
    assert_string_equal(text_at(tree, "error", "message"),
                        "tenant acme: requests_per_minute 600 reached, retry in 14 s");
    assert_string_equal(text_at(tree, "error", "type"), "rate_limit_exceeded");
    assert_string_equal(text_at(tree, "error", "code"), "limit_exceeded");
    assert_true(json_is_null(json_object_get(json_object_get(tree, "error"), "param")));
    json_decref(tree);
    tree = body(DIALECT_OPENAI, FAILURE_LIMIT_EXCEEDED, 429, SLICE("tenant acme: usd_per_day 25 reached"));
    assert_string_equal(text_at(tree, "error", "type"), "insufficient_quota");
    json_decref(tree);
}

static void anthropic_has_its_envelope_and_the_trace(void **state) {
    (void)state;
    json_t *tree = body(DIALECT_ANTHROPIC, FAILURE_UNKNOWN_MODEL, 404, (struct slice){0});
    assert_string_equal(text_at(tree, NULL, "type"), "error");
    assert_string_equal(text_at(tree, NULL, "request_id"), "4bf92f3577b34da6a3ce929d0e0e4736");
    assert_string_equal(text_at(tree, "error", "type"), "not_found_error");
    assert_string_equal(text_at(tree, "error", "message"), "no provider serves that model");
    json_decref(tree);
}

static void gemini_has_status_and_details(void **state) {
    (void)state;
    json_t *tree = body(DIALECT_GEMINI, FAILURE_LIMIT_EXCEEDED, 429, (struct slice){0});
    json_t *error = json_object_get(tree, "error");
    assert_int_equal(json_integer_value(json_object_get(error, "code")), 429);
    assert_string_equal(text_at(tree, "error", "status"), "RESOURCE_EXHAUSTED");
    json_t *detail = json_array_get(json_object_get(error, "details"), 0);
    assert_string_equal(text_at(detail, NULL, "@type"), "type.googleapis.com/google.rpc.ErrorInfo");
    assert_string_equal(text_at(detail, NULL, "reason"), "limit_exceeded");
    assert_string_equal(text_at(detail, NULL, "domain"), "weir");
    json_decref(tree);
}

static void statuses_have_the_words_of_the_dialects(void **state) {
    (void)state;
    static const struct {
        unsigned status;
        const char *openai, *anthropic, *gemini;
    } rows[] = {
        {400, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"},
        {413, "invalid_request_error", "request_too_large", "INVALID_ARGUMENT"},
        {414, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"},
        {415, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"},
        {417, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"},
        {431, "invalid_request_error", "invalid_request_error", "INVALID_ARGUMENT"},
        {401, "authentication_error", "authentication_error", "UNAUTHENTICATED"},
        {403, "permission_error", "permission_error", "PERMISSION_DENIED"},
        {404, "invalid_request_error", "not_found_error", "NOT_FOUND"},
        {405, "invalid_request_error", "not_found_error", "NOT_FOUND"},
        {408, "server_error", "timeout_error", "DEADLINE_EXCEEDED"},
        {429, "rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"},
        {500, "server_error", "api_error", "INTERNAL"},
        {501, "server_error", "api_error", "UNIMPLEMENTED"},
        {502, "server_error", "api_error", "INTERNAL"},
        {503, "server_error", "overloaded_error", "UNAVAILABLE"},
        {504, "server_error", "timeout_error", "DEADLINE_EXCEEDED"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        json_t *openai = body(DIALECT_OPENAI, FAILURE_INTERNAL, rows[i].status, (struct slice){0});
        json_t *anthropic = body(DIALECT_ANTHROPIC, FAILURE_INTERNAL, rows[i].status, (struct slice){0});
        json_t *gemini = body(DIALECT_GEMINI, FAILURE_INTERNAL, rows[i].status, (struct slice){0});
        assert_string_equal(text_at(openai, "error", "type"), rows[i].openai);
        assert_string_equal(text_at(anthropic, "error", "type"), rows[i].anthropic);
        assert_string_equal(text_at(gemini, "error", "status"), rows[i].gemini);
        json_decref(openai), json_decref(anthropic), json_decref(gemini);
    }
}

/* What the client has read so far, then the error: the same observer that reads providers must find the stream failed.
 */
static bool seen_as_failed(enum dialect dialect, enum operation operation, enum answer_shape shape,
                           const char *before) {
    static const char *const types[] = {"text/event-stream", "application/json", "application/json",
                                        "application/x-ndjson", "audio/mpeg"};
    struct buf text = {0};
    buf_append_text(&text, before);
    error_event_write(&text, dialect, operation, shape, FAILURE_IDLE_TIMEOUT, *before != '\0');
    uint64_t memory[512];
    assert_true(observer_bytes() <= sizeof memory);
    struct observer *o = observer_init(memory, dialect, operation, true, slice_of(types[shape]), 200);
    bool ended;
    enum event_verdict verdict;
    for (size_t at = 0, n = buf_length(&text); at < n;)
        at += observer_take(o, text.data + at, n - at, 1, &ended, &verdict);
    observer_end(o, 2);
    buf_clear(&text);
    return observer_seen(o)->failed && observer_shape(o) == shape;
}

static void a_broken_stream_ends_with_an_error_its_reader_knows(void **state) {
    (void)state;
    assert_true(seen_as_failed(DIALECT_OPENAI, OPERATION_CHAT, ANSWER_SSE, ""));
    assert_true(seen_as_failed(DIALECT_OPENAI, OPERATION_CHAT, ANSWER_SSE, "data: {\"choices\":[]}\n\n"));
    assert_true(seen_as_failed(DIALECT_OPENAI, OPERATION_CHAT, ANSWER_SSE, "data: {\"choi"));
    assert_true(seen_as_failed(DIALECT_OPENAI, OPERATION_RESPONSES, ANSWER_SSE, "event: response.cr"));
    assert_true(
        seen_as_failed(DIALECT_ANTHROPIC, OPERATION_MESSAGES, ANSWER_SSE, "event: ping\ndata: {\"type\":\"ping\"}\n"));
    assert_true(seen_as_failed(DIALECT_GEMINI, OPERATION_GENERATE_CONTENT, ANSWER_SSE, "data: {}\r\n\r\n"));
    assert_true(seen_as_failed(DIALECT_GEMINI, OPERATION_GENERATE_CONTENT, ANSWER_JSON_ARRAY, ""));
    assert_true(seen_as_failed(DIALECT_GEMINI, OPERATION_GENERATE_CONTENT, ANSWER_JSON_ARRAY, "[{\"candidates\":[]}"));
    assert_true(seen_as_failed(DIALECT_OPENAI, OPERATION_PASSTHROUGH, ANSWER_NDJSON, "{\"response\":\"a\"}\n{\"re"));
}

static void events_of_a_broken_stream_are_exactly_these(void **state) {
    (void)state;
    static const struct {
        enum dialect dialect;
        enum operation operation;
        enum answer_shape shape;
        const char *text;
    } rows[] = {
        {DIALECT_OPENAI, OPERATION_CHAT, ANSWER_SSE,
         "data: {\"error\":{\"message\":\"the provider fell "
         "silent\",\"type\":\"server_error\",\"param\":null,\"code\":\"idle_timeout\"}}\n\n"},
        {DIALECT_OPENAI, OPERATION_RESPONSES, ANSWER_SSE,
         "event: error\ndata: {\"type\":\"error\",\"code\":\"idle_timeout\",\"message\":\"the provider fell "
         "silent\",\"param\":null,\"sequence_number\":0}\n\n"},
        {DIALECT_ANTHROPIC, OPERATION_MESSAGES, ANSWER_SSE,
         "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"timeout_error\",\"message\":\"the provider "
         "fell silent\",\"code\":\"idle_timeout\"}}\n\n"},
        {DIALECT_OPENAI, OPERATION_PASSTHROUGH, ANSWER_NDJSON, "{\"error\":\"the provider fell silent\"}\n"},
        {DIALECT_OPENAI, OPERATION_CHAT, ANSWER_JSON, ""},
        {DIALECT_OPENAI, OPERATION_SPEECH, ANSWER_OPAQUE, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct buf out = {0};
        error_event_write(&out, rows[i].dialect, rows[i].operation, rows[i].shape, FAILURE_IDLE_TIMEOUT, false);
        assert_int_equal(buf_length(&out), strlen(rows[i].text));
        if (buf_length(&out)) assert_memory_equal(out.data + out.start, rows[i].text, buf_length(&out));
        buf_clear(&out);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_failure_is_valid_json_in_every_dialect),
        cmocka_unit_test(openai_has_type_param_and_code),
        cmocka_unit_test(anthropic_has_its_envelope_and_the_trace),
        cmocka_unit_test(gemini_has_status_and_details),
        cmocka_unit_test(statuses_have_the_words_of_the_dialects),
        cmocka_unit_test(a_broken_stream_ends_with_an_error_its_reader_knows),
        cmocka_unit_test(events_of_a_broken_stream_are_exactly_these),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
