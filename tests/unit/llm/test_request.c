/* What is found in request bodies, which are refused, and that edits change nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "llm/request.h"

static uint32_t next_random(uint32_t *state) {
    *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
    return *state;
}

static enum failure scan_cut(struct request_facts *f, enum dialect dialect, enum operation operation, const char *body,
                             uint32_t cut) {
    size_t n = strlen(body), at = 0;
    request_scan_begin(f, dialect, operation);
    while (at < n) {
        size_t piece = cut == 0 ? n - at : cut == 1 ? 1 : 1 + next_random(&cut) % 16;
        if (piece > n - at) piece = n - at;
        char *exact = malloc(piece);
        memcpy(exact, body + at, piece);
        enum failure failure = request_scan_feed(f, exact, piece);
        free(exact);
        if (failure != FAILURE_NONE) return failure;
        at += piece;
    }
    return request_scan_end(f);
}

/* However it is cut, the same is found. */
static enum failure scan_as(struct request_facts *f, enum dialect dialect, enum operation operation, const char *body) {
    enum failure whole = scan_cut(f, dialect, operation, body, 0);
    for (uint32_t seed = 1; seed < 40; seed++) {
        struct request_facts other;
        enum failure failure = scan_cut(&other, dialect, operation, body, seed == 1 ? 1 : seed * 2654435761u);
        if (failure != whole) fail_msg("cut %u of %s: %d, not %d", seed, body, failure, whole);
        if (whole != FAILURE_NONE) continue;
        size_t facts = offsetof(struct request_facts, dialect), rest = sizeof *f - facts;
        if (memcmp((char *)f + facts, (char *)&other + facts, rest))
            fail_msg("cut %u of %s finds something else", seed, body);
    }
    return whole;
}

static enum failure scan(struct request_facts *f, const char *body) {
    return scan_as(f, DIALECT_OPENAI, OPERATION_CHAT, body);
}

static void a_body_that_is_no_single_object_is_refused(void **state) {
    (void)state;
    static const char *const bodies[] = {"",
                                         " ",
                                         "{",
                                         "[]",
                                         "\"model\"",
                                         "1",
                                         "null",
                                         "{}{}",
                                         "{\"model\":\"m\"} x",
                                         "{\"model\":\"m\",}",
                                         "{'model':'m'}",
                                         "{\"model\":\"m\\ud800\"}",
                                         "{\"model\":\"m\",\"x\":01}",
                                         "{\"model\":\"m\",\"x\":\"\xff\"}",
                                         "{\"model\":\"m\"",
                                         "\xef\xbb\xbf{\"model\":\"m\"}",
                                         "[{\"model\":\"m\"}]"};
    struct request_facts f;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        if (scan(&f, bodies[i]) != FAILURE_BAD_JSON) fail_msg("taken: %s", bodies[i]);
}

static void a_decision_member_that_stands_twice_is_refused(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "{\"model\":\"a\",\"model\":\"a\"}",
        "{\"model\":\"a\",\"mod\\u0065l\":\"b\"}",
        "{\"\\u006dodel\":\"a\",\"messages\":[],\"model\":\"b\"}",
        "{\"model\":\"a\",\"stream\":true,\"stream\":false}",
        "{\"model\":\"a\",\"stre\\u0061m\":true,\"stream\":null}",
        "{\"model\":\"a\",\"max_tokens\":1,\"max_tokens\":2}",
        "{\"model\":\"a\",\"max_completion_tokens\":1,\"max_completion_tokens\":\"\"}",
        "{\"model\":\"a\",\"n\":1,\"n\":2}",
        "{\"model\":\"a\",\"stream_options\":{},\"stream_options\":null}",
        "{\"model\":\"a\",\"stream_options\":{\"include_usage\":true,\"include_\\u0075sage\":false}}",
        "{\"model\":7,\"model\":\"a\"}"};
    struct request_facts f;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        if (scan(&f, bodies[i]) != FAILURE_BAD_JSON) fail_msg("taken: %s", bodies[i]);
    assert_int_equal(scan_as(&f, DIALECT_GEMINI, OPERATION_GENERATE_CONTENT,
                             "{\"generationConfig\":{},\"generationConfig\":{\"maxOutputTokens\":5}}"),
                     FAILURE_BAD_JSON);
    assert_int_equal(
        scan_as(&f, DIALECT_ANTHROPIC, OPERATION_MESSAGES, "{\"model\":\"a\",\"max_tokens\":5,\"max_tokens\":5}"),
        FAILURE_BAD_JSON);
}

/* Parsers that do not look at capitals would take the other one. */
static void a_model_in_capitals_is_refused(void **state) {
    (void)state;
    struct request_facts f;
    char body[64];
    for (unsigned capitals = 1; capitals < 32; capitals++) {
        char name[] = "model";
        for (unsigned i = 0; i < 5; i++) name[i] = (char)(name[i] - (capitals >> i & 1 ? 32 : 0));
        snprintf(body, sizeof body, "{\"model\":\"a\",\"%s\":\"b\"}", name);
        if (scan(&f, body) != FAILURE_BAD_JSON) fail_msg("taken: %s", body);
        if (scan_as(&f, DIALECT_ANTHROPIC, OPERATION_MESSAGES, body) != FAILURE_BAD_JSON) fail_msg("taken: %s", body);
    }
    assert_int_equal(scan(&f, "{\"Mod\\u0065l\":\"b\",\"model\":\"a\"}"), FAILURE_BAD_JSON);
    assert_int_equal(scan(&f, "{\"model\":\"a\",\"Models\":[],\"x\":{\"Model\":\"b\"}}"), FAILURE_NONE);
}

static void what_decides_nothing_may_stand_twice(void **state) {
    (void)state;
    struct request_facts f;
    assert_int_equal(scan(&f, "{\"user\":1,\"user\":2,\"model\":\"a\",\"x\":{\"model\":\"b\",\"model\":3},\"messages\":"
                              "[{\"model\":\"c\"}]}"),
                     FAILURE_NONE);
    assert_string_equal(f.model, "a");
}

static void a_request_without_a_model_is_told_apart(void **state) {
    (void)state;
    static const char *const bodies[] = {"{}",
                                         "{\"model\":null}",
                                         "{\"model\":\"\"}",
                                         "{\"model\":5}",
                                         "{\"model\":[\"a\"]}",
                                         "{\"x\":{\"model\":\"a\"}}"};
    struct request_facts f;
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
        if (scan(&f, bodies[i]) != FAILURE_NO_MODEL) fail_msg("%s", bodies[i]);
    assert_int_equal(scan_as(&f, DIALECT_GEMINI, OPERATION_GENERATE_CONTENT, "{\"contents\":[]}"), FAILURE_NONE);
    assert_int_equal(scan(&f, "{\"model\":\"\"} x"), FAILURE_BAD_JSON);
}

static void a_model_longer_than_its_room_is_refused(void **state) {
    (void)state;
    char body[2000], name[1300];
    struct request_facts f;
    memset(name, 'a', sizeof name);
    snprintf(body, sizeof body, "{\"model\":\"%.*s\"}", REQUEST_MODEL_BYTES, name);
    assert_int_equal(scan(&f, body), FAILURE_NONE);
    assert_int_equal(f.model_length, REQUEST_MODEL_BYTES);
    snprintf(body, sizeof body, "{\"model\":\"%.*s\"}", REQUEST_MODEL_BYTES + 1, name);
    assert_int_equal(scan(&f, body), FAILURE_BAD_JSON);
    snprintf(body, sizeof body, "{\"model\":\"%.*s\"}", 1200, name);
    assert_int_equal(scan(&f, body), FAILURE_BAD_JSON);
    for (size_t i = 0; i < 300; i++) name[i] = "\\/"[i % 2]; /* 150 bytes, but written longer than what is kept */
    snprintf(body, sizeof body, "{\"model\":\"%.*s\"}", 300, name);
    assert_int_equal(scan(&f, body), FAILURE_BAD_JSON);
}

static void names_and_values_are_compared_unescaped(void **state) {
    (void)state;
    struct request_facts f;
    const char *body = " {\"mod\\u0065l\" : \"g\\u0070t\\/4\" , \"str\\u0065am\":true}";
    assert_int_equal(scan(&f, body), FAILURE_NONE);
    assert_true(slice_equal((struct slice){f.model, f.model_length}, SLICE("gpt/4")));
    assert_true(f.stream && f.stream_seen);
    assert_memory_equal(body + f.model_begin, "\"g\\u0070t\\/4\"", f.model_end - f.model_begin);
}

static void limits_are_the_larger_of_what_is_given(void **state) {
    (void)state;
    struct request_facts f;
    assert_int_equal(scan(&f, "{\"model\":\"a\",\"max_tokens\":5,\"max_completion_tokens\":70,\"n\":3}"), FAILURE_NONE);
    assert_int_equal(f.max_tokens, 70);
    assert_int_equal(f.choices, 3);
    assert_int_equal(scan(&f, "{\"model\":\"a\",\"max_tokens\":null,\"n\":null}"), FAILURE_NONE);
    assert_int_equal(f.max_tokens, 0);
    assert_int_equal(f.choices, 1);
    assert_int_equal(scan(&f, "{\"model\":\"a\",\"max_tokens\":1e30,\"n\":0}"), FAILURE_NONE);
    assert_int_equal(f.max_tokens, UINT32_MAX);
    assert_int_equal(f.choices, 1);
    assert_int_equal(scan_as(&f, DIALECT_OPENAI, OPERATION_RESPONSES, "{\"model\":\"a\",\"max_output_tokens\":12}"),
                     FAILURE_NONE);
    assert_int_equal(f.max_tokens, 12);
    assert_int_equal(
        scan_as(&f, DIALECT_ANTHROPIC, OPERATION_MESSAGES, "{\"model\":\"a\",\"max_tokens\":8,\"stream\":true}"),
        FAILURE_NONE);
    assert_int_equal(f.max_tokens, 8);
    assert_int_equal(scan_as(&f, DIALECT_GEMINI, OPERATION_GENERATE_CONTENT,
                             "{\"generation_config\":{\"maxOutputTokens\":9,\"candidate_count\":2}}"),
                     FAILURE_NONE);
    assert_int_equal(f.max_tokens, 9);
    assert_int_equal(f.choices, 2);
}

static void a_stream_that_is_no_boolean_is_none(void **state) {
    (void)state;
    struct request_facts f;
    static const char *const bodies[] = {"{\"model\":\"a\",\"stream\":null}", "{\"model\":\"a\",\"stream\":\"true\"}",
                                         "{\"model\":\"a\",\"stream\":1}", "{\"model\":\"a\"}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) {
        assert_int_equal(scan(&f, bodies[i]), FAILURE_NONE);
        assert_false(f.stream);
    }
}

/* The edited body, NUL-terminated. */
static char *edited(const char *body, const struct splice *edits) {
    size_t n = strlen(body), total = splice_length(edits, n), at = 0;
    char *out = malloc(total + 1);
    unsigned cursor = 0;
    struct splice_run run;
    while (splice_next(edits, n, &cursor, &run)) {
        struct slice piece = run.literal.p ? run.literal : (struct slice){body + run.offset, run.n};
        if (piece.n > 0) memcpy(out + at, piece.p, piece.n);
        at += piece.n;
    }
    assert_int_equal(at, total);
    out[total] = '\0';
    return out;
}

static void expect_edit(const char *body, bool wanted, const char *result, const char *model) {
    struct request_facts f;
    struct splice edits = {0};
    struct arena arena;
    arena_init(&arena);
    assert_int_equal(scan(&f, body), FAILURE_NONE);
    if (model) request_replace_model(&f, slice_of(model), &edits, &arena);
    assert_int_equal(request_inject_usage(&f, &edits, &arena), wanted);
    char *out = edited(body, &edits);
    assert_string_equal(out, result);
    free(out);
    arena_clear(&arena);
}

static void usage_is_asked_for_in_every_shape_of_options(void **state) {
    (void)state;
#define B "{\"model\":\"m\",\"stream\":true"
    expect_edit(B "}", true, "{\"model\":\"m\",\"stream_options\":{\"include_usage\":true},\"stream\":true}", NULL);
    expect_edit(B ",\"stream_options\":null}", true, B ",\"stream_options\":{\"include_usage\":true}}", NULL);
    expect_edit(B ",\"stream_options\":{}}", true, B ",\"stream_options\":{\"include_usage\":true}}", NULL);
    expect_edit(B ",\"stream_options\" : { } }", true, B ",\"stream_options\" : {\"include_usage\":true } }", NULL);
    expect_edit(B ",\"stream_options\":{\"include_usage\":false}}", true,
                B ",\"stream_options\":{\"include_usage\":true}}", NULL);
    expect_edit(B ",\"stream_options\":{\"include_usage\": null ,\"x\":1}}", true,
                B ",\"stream_options\":{\"include_usage\": true ,\"x\":1}}", NULL);
    expect_edit(B ",\"stream_options\":{\"include_obfuscation\":false}}", true,
                B ",\"stream_options\":{\"include_usage\":true,\"include_obfuscation\":false}}", NULL);
#undef B
}

static void usage_is_not_asked_for_where_it_is_or_cannot_be(void **state) {
    (void)state;
    static const char *const bodies[] = {
        "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":true}}",
        "{\"model\":\"m\",\"stream\":false}",
        "{\"model\":\"m\"}",
        "{\"model\":\"m\",\"stream\":true,\"stream_options\":\"x\"}",
        "{\"model\":\"m\",\"stream\":true,\"stream_options\":[{}]}",
        "{\"model\":\"m\",\"stream\":true,\"stream_options\":false}",
        "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":1}}",
        "{\"model\":\"m\",\"stream\":true,\"stream_options\":{\"include_usage\":{}}}"};
    for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++) expect_edit(bodies[i], false, bodies[i], NULL);
    struct request_facts f;
    struct splice edits = {0};
    struct arena arena;
    arena_init(&arena);
    assert_int_equal(scan_as(&f, DIALECT_OPENAI, OPERATION_RESPONSES, "{\"model\":\"m\",\"stream\":true}"),
                     FAILURE_NONE);
    assert_false(request_inject_usage(&f, &edits, &arena));
    assert_int_equal(scan_as(&f, DIALECT_ANTHROPIC, OPERATION_MESSAGES, "{\"model\":\"m\",\"stream\":true}"),
                     FAILURE_NONE);
    assert_false(request_inject_usage(&f, &edits, &arena));
    assert_int_equal(scan_as(&f, DIALECT_GEMINI, OPERATION_GENERATE_CONTENT, "{\"stream\":true}"), FAILURE_NONE);
    assert_false(request_inject_usage(&f, &edits, &arena));
    assert_int_equal(edits.count, 0);
    arena_clear(&arena);
}

static void a_model_is_replaced_and_nothing_else(void **state) {
    (void)state;
    expect_edit("{\"messages\":[] , \"model\" : \"fa\\u0073t\"}", false,
                "{\"messages\":[] , \"model\" : \"a\\\"b\\\\c\"}", "a\"b\\c");
    expect_edit("{\"model\":\"m\",\"stream\":true}", true,
                "{\"model\":\"longer\",\"stream_options\":{\"include_usage\":true},\"stream\":true}", "longer");
    expect_edit("{\"stream_options\":{},\"stream\":true,\"model\":\"m\"}", true,
                "{\"stream_options\":{\"include_usage\":true},\"stream\":true,\"model\":\"x\"}", "x");
}

static void facts_may_be_moved_between_calls(void **state) {
    (void)state;
    struct request_facts f, moved;
    request_scan_begin(&f, DIALECT_OPENAI, OPERATION_CHAT);
    assert_int_equal(request_scan_feed(&f, "{\"mod", 5), FAILURE_NONE);
    moved = f;
    memset(&f, 0xff, sizeof f);
    assert_int_equal(request_scan_feed(&moved, "el\":\"m\"}", 8), FAILURE_NONE);
    assert_int_equal(request_scan_end(&moved), FAILURE_NONE);
    assert_string_equal(moved.model, "m");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_body_that_is_no_single_object_is_refused),
        cmocka_unit_test(a_decision_member_that_stands_twice_is_refused),
        cmocka_unit_test(a_model_in_capitals_is_refused),
        cmocka_unit_test(what_decides_nothing_may_stand_twice),
        cmocka_unit_test(a_request_without_a_model_is_told_apart),
        cmocka_unit_test(a_model_longer_than_its_room_is_refused),
        cmocka_unit_test(names_and_values_are_compared_unescaped),
        cmocka_unit_test(limits_are_the_larger_of_what_is_given),
        cmocka_unit_test(a_stream_that_is_no_boolean_is_none),
        cmocka_unit_test(usage_is_asked_for_in_every_shape_of_options),
        cmocka_unit_test(usage_is_not_asked_for_where_it_is_or_cannot_be),
        cmocka_unit_test(a_model_is_replaced_and_nothing_else),
        cmocka_unit_test(facts_may_be_moved_between_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
