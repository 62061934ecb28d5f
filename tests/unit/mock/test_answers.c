/* The mock's answers are what the dialects' clients expect: every body and every event parses, texts and counts add up,
 * and no cut, framing or pace changes a byte of it. */
#include "plan.h"

#include "answers.h"
#include "cache.h"

#define MESSAGES_STREAM "{\"model\":\"claude-x\",\"max_tokens\":100,\"stream\":true,\"messages\":[]}"
#define RESPONSES_STREAM "{\"model\":\"gpt-5\",\"stream\":true,\"input\":\"hello\"}"
#define COMPLETIONS_STREAM "{\"model\":\"gpt-i\",\"stream\":true,\"prompt\":\"hello\"}"
#define CONTENTS "{\"contents\":[{\"parts\":[{\"text\":\"hello\"}]}]}"
#define GEMINI "/v1beta/models/gemini-x:"

static const struct stream_case {
    const char *start, *fields, *body, *text_path, *last; /* last: begins the last event's data */
} streams[] = {
    {"POST " CHAT_PATH, KEY, CHAT_STREAM, "choices.0.delta.content", "[DONE]"},
    {"POST " CHAT_PATH, KEY, CHAT_STREAM_USAGE, "choices.0.delta.content", "[DONE]"},
    {"POST /v1/completions", KEY, COMPLETIONS_STREAM, "choices.0.text", "[DONE]"},
    {"POST /v1/responses", KEY, RESPONSES_STREAM, "delta", "{\"type\":\"response.completed\""},
    {"POST /v1/messages", KEY_ANTHROPIC, MESSAGES_STREAM, "delta.text", "{\"type\":\"message_stop\"}"},
    {"POST " GEMINI "streamGenerateContent?alt=sse", KEY_GEMINI, CONTENTS, "candidates.0.content.parts.0.text",
     "{\"candidates\""},
};
enum { STREAMS = sizeof streams / sizeof streams[0] };

static json_t *at_path(json_t *v, const char *path) {
    struct slice rest = slice_of(path), name;
    while (v && slice_cut(&rest, '.', &name)) {
        uint64_t index;
        if (slice_to_u64(name, &index))
            v = json_array_get(v, (size_t)index);
        else
            v = json_object_getn(v, name.p, name.n);
    }
    return v;
}

struct gathered {
    const char *text_path;
    struct buf text, last;
    unsigned tokens;
};

static void gather(void *context, struct slice data) {
    struct gathered *g = context;
    buf_clear(&g->last);
    buf_append_slice(&g->last, data);
    if (slice_equal(data, SLICE("[DONE]"))) return;
    json_t *event = json_of(data);
    const char *text = json_string_value(at_path(event, g->text_path));
    if (text && text[0]) {
        buf_append_text(&g->text, text);
        g->tokens++;
    }
    json_decref(event);
}

static struct gathered gather_plan(const struct stream_case *c, const char *more, size_t step) {
    char fields[512];
    struct gathered g = {.text_path = c->text_path};
    snprintf(fields, sizeof fields, "%s%s", c->fields, more);
    struct script *s = plan_of(c->start, fields, c->body);
    struct taken t = take_plan(s, step);
    assert_int_equal(t.status, 200);
    assert_int_equal(t.state, BODY_DONE);
    each_event(buf_slice(&t.body), gather, &g);
    take_clear(&t);
    script_unref(s);
    return g;
}

static void gathered_clear(struct gathered *g) {
    buf_clear(&g->text);
    buf_clear(&g->last);
}

static void every_event_of_every_stream_is_json_and_the_last_one_ends_it(void **state) {
    (void)state;
    for (int i = 0; i < STREAMS; i++) {
        struct gathered g = gather_plan(&streams[i], "", 0);
        assert_int_equal(g.tokens, 20);
        assert_true(slice_starts(buf_slice(&g.text), SLICE(" The water runs")));
        assert_true(slice_starts(buf_slice(&g.last), slice_of(streams[i].last)));
        gathered_clear(&g);
    }
}

static void no_cut_pace_or_framing_changes_the_text(void **state) {
    (void)state;
    static const char *const ways[] = {"x-mock-split: 1\r\n",       "x-mock-split: 7\r\n",
                                       "x-mock-gap-ms: 20\r\n",     "x-mock-framing: close\r\n",
                                       "x-mock-per-write: 3\r\n",   "x-mock-per-write: 1000\r\n",
                                       "x-mock-framing: length\r\n"};
    for (int i = 0; i < STREAMS; i++) {
        struct gathered whole = gather_plan(&streams[i], "x-mock-utf8: 1\r\n", 0);
        for (size_t w = 0; w < sizeof ways / sizeof ways[0]; w++) {
            char more[128];
            snprintf(more, sizeof more, "x-mock-utf8: 1\r\n%s", ways[w]);
            for (size_t step = 0; step <= 9; step += step ? 8 : 1) {
                struct gathered g = gather_plan(&streams[i], more, step);
                assert_true(slice_equal(buf_slice(&g.text), buf_slice(&whole.text)));
                gathered_clear(&g);
            }
        }
        gathered_clear(&whole);
    }
}

static void a_terminator_is_left_out_when_asked(void **state) {
    (void)state;
    for (int i = 0; i < STREAMS - 1; i++) {
        struct gathered g = gather_plan(&streams[i], "x-mock-done: 0\r\n", 0);
        assert_false(slice_starts(buf_slice(&g.last), slice_of(streams[i].last)));
        gathered_clear(&g);
    }
}

static void usage_comes_only_when_it_was_asked_for(void **state) {
    (void)state;
    struct {
        const char *body, *fields;
        bool usage;
    } cases[] = {{CHAT_STREAM, KEY, false},
                 {CHAT_STREAM_USAGE, KEY, true},
                 {CHAT_STREAM, KEY "x-mock-usage: always\r\n", true},
                 {CHAT_STREAM_USAGE, KEY "x-mock-usage: never\r\n", false}};
    for (size_t i = 0; i < 4; i++) {
        struct script *s = plan_of("POST " CHAT_PATH, cases[i].fields, cases[i].body);
        struct taken t = take_plan(s, 0);
        buf_append(&t.body, "", 1);
        assert_int_equal(strstr(t.body.data, "\"choices\":[],\"usage\":{") != NULL, cases[i].usage);
        assert_int_equal(strstr(t.body.data, "\"usage\"") != NULL, cases[i].usage);
        take_clear(&t);
        script_unref(s);
    }
}

static int64_t number_at(json_t *v, const char *path) {
    json_t *n = at_path(v, path);
    if (!json_is_integer(n)) fail_msg("no number at %s", path);
    return json_integer_value(n);
}

static void check_numbers(const char *start, const char *fields, const char *body, const char *const *paths,
                          const int64_t *values) {
    struct script *s = plan_of(start, fields, body);
    struct taken t = take_plan(s, 0);
    assert_int_equal(t.state, BODY_DONE);
    json_t *v = json_of(buf_slice(&t.body));
    for (size_t i = 0; paths[i]; i++) assert_int_equal(number_at(v, paths[i]), values[i]);
    json_decref(v);
    take_clear(&t);
    script_unref(s);
}

static void each_dialect_counts_cached_and_reasoning_tokens_its_own_way(void **state) {
    (void)state;
    static const char *const openai[] = {"usage.prompt_tokens",
                                         "usage.completion_tokens",
                                         "usage.total_tokens",
                                         "usage.prompt_tokens_details.cached_tokens",
                                         "usage.completion_tokens_details.reasoning_tokens",
                                         NULL};
    static const char *const responses[] = {"usage.input_tokens",
                                            "usage.output_tokens",
                                            "usage.total_tokens",
                                            "usage.input_tokens_details.cached_tokens",
                                            "usage.output_tokens_details.reasoning_tokens",
                                            NULL};
    static const char *const anthropic[] = {"usage.input_tokens", "usage.output_tokens",
                                            "usage.cache_read_input_tokens", "usage.cache_creation_input_tokens", NULL};
    static const char *const gemini[] = {"usageMetadata.promptTokenCount",   "usageMetadata.candidatesTokenCount",
                                         "usageMetadata.totalTokenCount",    "usageMetadata.cachedContentTokenCount",
                                         "usageMetadata.thoughtsTokenCount", NULL};
#define KNOBS                                                                                                          \
    "x-mock-input-tokens: 100\r\nX-Mock-Cached_Tokens: 64\r\nx-mock-tokens: 5\r\nx-mock-reasoning-tokens: 7\r\n"
    check_numbers("POST " CHAT_PATH, KEY KNOBS, CHAT_BODY, openai, (int64_t[]){100, 12, 112, 64, 7});
    check_numbers("POST /v1/responses", KEY KNOBS, "{\"model\":\"m\",\"input\":[]}", responses,
                  (int64_t[]){100, 12, 112, 64, 7});
    check_numbers("POST /v1/messages", KEY_ANTHROPIC KNOBS "x-mock-cache-write-tokens: 6\r\n",
                  "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[]}", anthropic, (int64_t[]){30, 12, 64, 6});
    check_numbers("POST " GEMINI "generateContent", KEY_GEMINI KNOBS, CONTENTS, gemini,
                  (int64_t[]){100, 5, 112, 64, 7});
}

static void answers_that_are_not_streamed_are_json_of_about_the_size_asked_for(void **state) {
    (void)state;
    static const struct {
        const char *start, *fields, *body, *path;
        bool padded;
    } cases[] = {
        {"POST " CHAT_PATH, KEY, CHAT_BODY, "choices.0.message.content", true},
        {"POST /v1/completions", KEY, "{\"model\":\"m\",\"prompt\":\"x\"}", "choices.0.text", false},
        {"POST /v1/responses", KEY, "{\"model\":\"m\",\"input\":\"x\"}", "output.0.content.0.text", true},
        {"POST /v1/embeddings", KEY, "{\"model\":\"m\",\"input\":[\"a\",\"b\",\"c\"]}", "data.2.embedding.7", false},
        {"POST /v1/embeddings", KEY, "{\"model\":\"m\",\"input\":\"a\",\"encoding_format\":\"base64\"}",
         "data.0.embedding", false},
        {"POST /v1/moderations", KEY, "{\"input\":\"x\"}", "results.0.categories.hate", false},
        {"POST /v1/images/generations", KEY, "{\"prompt\":\"x\"}", "data.0.b64_json", false},
        {"GET /v1/models", KEY, NULL, "data.0.id", false},
        {"GET /v1/models", KEY_ANTHROPIC, NULL, "data.0.display_name", false},
        {"GET /v1/models/gpt-4o", KEY, NULL, "id", false},
        {"POST /v1/messages", KEY_ANTHROPIC, "{\"model\":\"m\",\"max_tokens\":99,\"messages\":[]}", "content.0.text",
         true},
        {"POST /v1/messages/count_tokens", KEY_ANTHROPIC, "{\"model\":\"m\",\"messages\":[]}", "input_tokens", false},
        {"POST " GEMINI "generateContent", KEY_GEMINI, CONTENTS, "candidates.0.content.parts.0.text", true},
        {"POST " GEMINI "embedContent", KEY_GEMINI, "{\"content\":{}}", "embedding.values.7", false},
        {"POST " GEMINI "batchEmbedContents", KEY_GEMINI, "{\"requests\":[{},{}]}", "embeddings.1.values.7", false},
        {"POST " GEMINI "countTokens?key=sk-test", "", CONTENTS, "totalTokens", false},
        {"POST /v1/files", KEY, "multipart", "bytes", false},
        {"GET /v1/files", KEY, NULL, "data", false},
        {"GET /v1/files/file-1", KEY, NULL, "id", false},
        {"DELETE /v1/files/file-1", KEY, NULL, "deleted", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct script *s = plan_of(cases[i].start, cases[i].fields, cases[i].body);
        struct taken t = take_plan(s, i % 3);
        assert_int_equal(t.status, 200);
        assert_int_equal(t.state, BODY_DONE);
        json_t *v = json_of(buf_slice(&t.body));
        if (!at_path(v, cases[i].path)) fail_msg("%s: nothing at %s", cases[i].start, cases[i].path);
        if (cases[i].padded) assert_in_range(buf_length(&t.body), 900, 1100);
        json_decref(v);
        take_clear(&t);
        script_unref(s);
    }
}

static void a_gemini_stream_without_sse_is_one_json_array(void **state) {
    (void)state;
    struct script *s = plan_of("POST " GEMINI "streamGenerateContent", KEY_GEMINI "x-mock-tokens: 7\r\n", CONTENTS);
    struct taken t = take_plan(s, 1);
    assert_int_equal(t.state, BODY_DONE);
    json_t *v = json_of(buf_slice(&t.body));
    assert_int_equal(json_array_size(v), 7);
    assert_string_equal(json_string_value(at_path(v, "6.candidates.0.finishReason")), "STOP");
    assert_null(at_path(v, "5.candidates.0.finishReason"));
    json_decref(v);
    take_clear(&t);
    script_unref(s);
}

static void tool_calls_are_made_of_the_requests_first_tool(void **state) {
    (void)state;
    static const struct {
        const char *start, *fields, *body, *path;
    } cases[] = {
        {"POST " CHAT_PATH, KEY,
         "{\"model\":\"m\",\"messages\":[],\"tools\":[{\"type\":\"function\",\"function\":{\"name\":\"rain\"}}]}",
         "choices.0.message.tool_calls.0.function.name"},
        {"POST /v1/responses", KEY,
         "{\"model\":\"m\",\"input\":\"x\",\"tools\":[{\"type\":\"function\",\"name\":\"rain\"}]}", "output.0.name"},
        {"POST /v1/messages", KEY_ANTHROPIC,
         "{\"model\":\"m\",\"max_tokens\":9,\"messages\":[],\"tools\":[{\"name\":\"rain\"},{\"name\":\"sun\"}]}",
         "content.0.name"},
        {"POST " GEMINI "generateContent", KEY_GEMINI,
         "{\"contents\":[],\"tools\":[{\"functionDeclarations\":[{\"name\":\"rain\"}]}]}",
         "candidates.0.content.parts.0.functionCall.name"},
    };
    for (size_t i = 0; i < 4; i++) {
        char fields[256];
        snprintf(fields, sizeof fields, "%sx-mock-tools: 1\r\n", cases[i].fields);
        struct script *s = plan_of(cases[i].start, fields, cases[i].body);
        struct taken t = take_plan(s, 0);
        json_t *v = json_of(buf_slice(&t.body));
        assert_string_equal(json_string_value(at_path(v, cases[i].path)), "rain");
        json_decref(v);
        take_clear(&t);
        script_unref(s);
    }
}

static void streamed_tool_arguments_join_to_json(void **state) {
    (void)state;
    static const struct stream_case cases[] = {
        {"POST " CHAT_PATH, KEY "x-mock-tools: 1\r\n",
         "{\"model\":\"m\",\"stream\":true,\"messages\":[],\"tools\":[{\"function\":{\"name\":\"f\"}}]}",
         "choices.0.delta.tool_calls.0.function.arguments", NULL},
        {"POST /v1/responses", KEY "x-mock-tools: 1\r\n",
         "{\"model\":\"m\",\"stream\":true,\"input\":\"\",\"tools\":[{\"name\":\"f\"}]}", "delta", NULL},
        {"POST /v1/messages", KEY_ANTHROPIC "x-mock-tools: 1\r\n",
         "{\"model\":\"m\",\"max_tokens\":9,\"stream\":true,\"messages\":[],\"tools\":[{\"name\":\"f\"}]}",
         "delta.partial_json", NULL},
    };
    for (size_t i = 0; i < 3; i++) {
        struct gathered g = gather_plan(&cases[i], "", 0);
        assert_true(slice_equal(buf_slice(&g.text), slice_of(tool_arguments)));
        gathered_clear(&g);
    }
}

static void reasoning_is_streamed_only_when_it_is_to_be_shown(void **state) {
    (void)state;
    static const char *const paths[STREAMS] = {
        "choices.0.delta.reasoning_content", NULL, NULL, NULL, "delta.thinking", NULL};
    for (int i = 0; i < STREAMS; i++) {
        if (!paths[i]) continue;
        struct stream_case c = streams[i];
        c.text_path = paths[i];
        struct gathered hidden = gather_plan(&c, "x-mock-reasoning-tokens: 9\r\n", 0);
        struct gathered shown = gather_plan(&c, "x-mock-reasoning-tokens: 9\r\nx-mock-show-reasoning: 1\r\n", 0);
        assert_int_equal(hidden.tokens, 0);
        assert_int_equal(shown.tokens, 9);
        gathered_clear(&hidden);
        gathered_clear(&shown);
    }
}

static void the_requests_maximum_cuts_the_answer(void **state) {
    (void)state;
    struct script *s = plan_of("POST " CHAT_PATH, KEY, "{\"model\":\"m\",\"max_completion_tokens\":3,\"messages\":[]}");
    struct taken t = take_plan(s, 0);
    json_t *v = json_of(buf_slice(&t.body));
    assert_int_equal(number_at(v, "usage.completion_tokens"), 3);
    assert_string_equal(json_string_value(at_path(v, "choices.0.finish_reason")), "length");
    json_decref(v);
    take_clear(&t);
    script_unref(s);
}

static void tokens_are_due_at_the_pace_asked_for(void **state) {
    (void)state;
    struct script *s = plan_of(
        "POST " CHAT_PATH, KEY "x-mock-head-ms: 5\r\nx-mock-ttft-ms: 100\r\nx-mock-gap-ms: 20\r\nx-mock-tokens: 4\r\n",
        CHAT_STREAM);
    /* head, role, four tokens, finish, [DONE] */
    static const uint32_t due[] = {5, 5, 105, 125, 145, 165, 165, 165};
    assert_int_equal(s->piece_count, 8);
    for (size_t i = 0; i < 8; i++) assert_int_equal(s->pieces[i].due_ms, due[i]);
    script_unref(s);
    s = plan_of("POST " CHAT_PATH, KEY "x-mock-ttft-ms: 100\r\nx-mock-gap-ms: 20\r\nx-mock-tokens: 4\r\n", CHAT_BODY);
    for (size_t i = 0; i < s->piece_count; i++) assert_int_equal(s->pieces[i].due_ms, 160);
    script_unref(s);
}

static void pieces_are_never_larger_than_the_split(void **state) {
    (void)state;
    struct script *whole = plan_of("POST " CHAT_PATH, KEY "x-mock-utf8: 1\r\n", CHAT_STREAM);
    for (unsigned split = 1; split < 20; split += 3) {
        char fields[128];
        snprintf(fields, sizeof fields, KEY "x-mock-utf8: 1\r\nx-mock-split: %u\r\n", split);
        struct script *s = plan_of("POST " CHAT_PATH, fields, CHAT_STREAM);
        assert_true(s->apart);
        assert_int_equal(buf_length(&s->bytes), buf_length(&whole->bytes));
        for (size_t i = 0; i < s->piece_count; i++)
            assert_in_range(s->pieces[i].end - (i ? s->pieces[i - 1].end : 0), 1, split);
        assert_int_equal(s->pieces[s->piece_count - 1].end, buf_length(&s->bytes));
        script_unref(s);
    }
    script_unref(whole);
}

static void alike_requests_share_one_plan_and_others_do_not(void **state) {
    (void)state;
    static struct script_cache cache;
    struct request a, b, c;
    judge(&a, "POST " CHAT_PATH, KEY, CHAT_STREAM, 0);
    judge(&b, "POST " CHAT_PATH, KEY "x-other: 1\r\n", CHAT_STREAM, 1);
    judge(&c, "POST " CHAT_PATH, KEY "x-mock-tokens: 21\r\n", CHAT_STREAM, 0);
    struct script *first = cache_answer(&cache, &a), *second = cache_answer(&cache, &b),
                  *third = cache_answer(&cache, &c);
    assert_ptr_equal(first, second);
    assert_ptr_not_equal(first, third);
    script_unref(second);
    for (unsigned i = 0; i < 1500;
         i++) { /* more kinds than it keeps: a plan in use must outlive its place in the cache */
        a.facts.knobs.value[MOCK_INPUT_TOKENS] = 1000 + i;
        script_unref(cache_answer(&cache, &a));
    }
    struct taken t = take_plan(first, 0);
    assert_int_equal(t.state, BODY_DONE);
    take_clear(&t);
    cache_clear(&cache);
    script_unref(first);
    script_unref(third);
    request_clear(&a);
    request_clear(&b);
    request_clear(&c);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_event_of_every_stream_is_json_and_the_last_one_ends_it),
        cmocka_unit_test(no_cut_pace_or_framing_changes_the_text),
        cmocka_unit_test(a_terminator_is_left_out_when_asked),
        cmocka_unit_test(usage_comes_only_when_it_was_asked_for),
        cmocka_unit_test(each_dialect_counts_cached_and_reasoning_tokens_its_own_way),
        cmocka_unit_test(answers_that_are_not_streamed_are_json_of_about_the_size_asked_for),
        cmocka_unit_test(a_gemini_stream_without_sse_is_one_json_array),
        cmocka_unit_test(tool_calls_are_made_of_the_requests_first_tool),
        cmocka_unit_test(streamed_tool_arguments_join_to_json),
        cmocka_unit_test(reasoning_is_streamed_only_when_it_is_to_be_shown),
        cmocka_unit_test(the_requests_maximum_cuts_the_answer),
        cmocka_unit_test(tokens_are_due_at_the_pace_asked_for),
        cmocka_unit_test(pieces_are_never_larger_than_the_split),
        cmocka_unit_test(alike_requests_share_one_plan_and_others_do_not),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
