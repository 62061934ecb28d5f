/* Which request lines weir understands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "llm/operation.h"

static enum failure match(enum http_method method, const char *path, struct route *route) {
    return route_match(method, slice_of(path), route);
}

static void only_paths_of_the_list_match_byte_for_byte(void **state) {
    (void)state;
    static const char *const strangers[] = {"",
                                            "/",
                                            "/v1",
                                            "/v1/",
                                            "/v1/chat/completions/",
                                            "/v1//chat/completions",
                                            "/V1/chat/completions",
                                            "/v1/chat/completions?x",
                                            "/v1/chat/./completions",
                                            "/v1/chat%2Fcompletions",
                                            "/v1/files",
                                            "/v1/batches",
                                            "/v1/responses/resp_1",
                                            "/v1/messages/batches",
                                            "/v1/models/gpt",
                                            "/v1/chat",
                                            "/openai/v1/chat/completions",
                                            "/weir/usage",
                                            "/healthz",
                                            "/v1beta/models",
                                            "/v1beta/models/",
                                            "/v1beta/models/g",
                                            "/v1beta/models/g:",
                                            "/v1beta/models/:generateContent",
                                            "/v1beta/models/a/b:generateContent",
                                            "/v1beta/models/g:generatecontent",
                                            "/v1beta/models/g:generateContent/",
                                            "/v1beta/models/g%3AgenerateContent",
                                            "/v1beta/models/%67:generateContent",
                                            "/v1beta/models/g%40001:generateContent",
                                            "/v1beta/models/g%3a1:generateContent",
                                            "/v1beta/models/g%2B:generateContent",
                                            "/v1beta/models/gemini-2%2E5:generateContent",
                                            "/v1beta/models/gemini%2d2.5:generateContent",
                                            "/v1/models/team%20gemini%5F2:generateContent",
                                            "/v1beta/tunedModels/g:generateContent",
                                            "/v1/models/a/b:generateContent",
                                            "/v1/models/g"};
    struct route route;
    for (size_t i = 0; i < sizeof strangers / sizeof *strangers; i++) {
        assert_int_equal(match(HTTP_POST, strangers[i], &route), FAILURE_NOT_FOUND);
        assert_int_equal(match(HTTP_GET, strangers[i], &route), FAILURE_NOT_FOUND);
        assert_int_equal(route.operation, OPERATION_NONE);
    }
}

static void a_wrong_method_is_told_apart(void **state) {
    (void)state;
    struct route route;
    assert_int_equal(match(HTTP_GET, "/v1/chat/completions", &route), FAILURE_METHOD_NOT_ALLOWED);
    assert_int_equal(route.dialect, DIALECT_OPENAI);
    assert_int_equal(match(HTTP_DELETE, "/v1/messages", &route), FAILURE_METHOD_NOT_ALLOWED);
    assert_int_equal(route.dialect, DIALECT_ANTHROPIC); /* so that the refusal is in its words */
    assert_int_equal(match(HTTP_POST, "/v1/models", &route), FAILURE_METHOD_NOT_ALLOWED);
    assert_int_equal(match(HTTP_GET, "/v1beta/models/g:countTokens", &route), FAILURE_METHOD_NOT_ALLOWED);
    assert_int_equal(route.dialect, DIALECT_GEMINI);
}

static void every_endpoint_has_its_dialect_and_operation(void **state) {
    (void)state;
    static const struct {
        const char *path;
        enum http_method method;
        enum dialect dialect;
        enum operation operation;
        const char *name;
    } rows[] = {{"/v1/chat/completions", HTTP_POST, DIALECT_OPENAI, OPERATION_CHAT, "chat"},
                {"/v1/completions", HTTP_POST, DIALECT_OPENAI, OPERATION_TEXT_COMPLETION, "text_completion"},
                {"/v1/responses", HTTP_POST, DIALECT_OPENAI, OPERATION_RESPONSES, "responses"},
                {"/v1/embeddings", HTTP_POST, DIALECT_OPENAI, OPERATION_EMBEDDINGS, "embeddings"},
                {"/v1/moderations", HTTP_POST, DIALECT_OPENAI, OPERATION_MODERATIONS, "moderations"},
                {"/v1/images/generations", HTTP_POST, DIALECT_OPENAI, OPERATION_IMAGE, "image_generation"},
                {"/v1/audio/speech", HTTP_POST, DIALECT_OPENAI, OPERATION_SPEECH, "speech"},
                {"/v1/messages", HTTP_POST, DIALECT_ANTHROPIC, OPERATION_MESSAGES, "chat"},
                {"/v1/messages/count_tokens", HTTP_POST, DIALECT_ANTHROPIC, OPERATION_COUNT_TOKENS, "count_tokens"},
                {"/v1/models", HTTP_GET, DIALECT_OPENAI, OPERATION_MODELS, "models"}};
    struct route route;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(match(rows[i].method, rows[i].path, &route), FAILURE_NONE);
        assert_int_equal(route.dialect, rows[i].dialect);
        assert_int_equal(route.operation, rows[i].operation);
        assert_false(route.model_in_path || route.stream_in_path);
        assert_string_equal(operation_name(route.operation), rows[i].name);
    }
    assert_null(operation_name(OPERATION_NONE));
}

static void gemini_names_model_and_verb_in_the_path(void **state) {
    (void)state;
    static const struct {
        const char *path, *model, *verb;
        enum operation operation;
        bool stream;
    } rows[] = {
        {"/v1beta/models/gemini-x:generateContent", "gemini-x", "generateContent", OPERATION_GENERATE_CONTENT, false},
        {"/v1beta/models/gemini-x:streamGenerateContent", "gemini-x", "streamGenerateContent",
         OPERATION_GENERATE_CONTENT, true},
        {"/v1/models/gemini-x:generateContent", "gemini-x", "generateContent", OPERATION_GENERATE_CONTENT, false},
        {"/v1beta/models/e:batchEmbedContents", "e", "batchEmbedContents", OPERATION_EMBEDDINGS, false},
        {"/v1beta/models/e:embedContent", "e", "embedContent", OPERATION_EMBEDDINGS, false},
        {"/v1beta/models/a%20b%:embedContent", "a%20b%", "embedContent", OPERATION_EMBEDDINGS, false},
        {"/v1beta/models/a:b:countTokens", "a:b", "countTokens", OPERATION_COUNT_TOKENS, false}};
    struct route route;
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        assert_int_equal(match(HTTP_POST, rows[i].path, &route), FAILURE_NONE);
        assert_int_equal(route.dialect, DIALECT_GEMINI);
        assert_int_equal(route.operation, rows[i].operation);
        assert_true(route.model_in_path);
        assert_int_equal(route.stream_in_path, rows[i].stream);
        assert_true(slice_equal(route.model, slice_of(rows[i].model)));
        assert_true(slice_equal(route.verb, slice_of(rows[i].verb)));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(only_paths_of_the_list_match_byte_for_byte),
                                       cmocka_unit_test(a_wrong_method_is_told_apart),
                                       cmocka_unit_test(every_endpoint_has_its_dialect_and_operation),
                                       cmocka_unit_test(gemini_names_model_and_verb_in_the_path)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
