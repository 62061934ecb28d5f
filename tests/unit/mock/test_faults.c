/* Requests the mock refuses, and answers that go wrong exactly where they are told to. */
#include "plan.h"

static void bad_requests_are_refused_whatever_the_cuts(void **state) {
    (void)state;
    static const struct {
        const char *start, *fields, *body;
        unsigned status;
    } cases[] = {
        {"POST /v1/chat/nothing", KEY, CHAT_BODY, 404},
        {"POST /v1/messages/batches", KEY_ANTHROPIC, "{}", 404},
        {"GET " CHAT_PATH, KEY, NULL, 405},
        {"DELETE /v1/models", KEY, NULL, 405},
        {"POST " CHAT_PATH, KEY, "{\"model\":\"m\",\"messages\":[]", 400},
        {"POST " CHAT_PATH, KEY, "{\"model\":\"m\",\"messages\":[]}}", 400},
        {"POST " CHAT_PATH, KEY, NULL, 400},
        {"POST " CHAT_PATH, KEY, "{\"messages\":[]}", 400},
        {"POST " CHAT_PATH, KEY, "{\"model\":7,\"messages\":[]}", 400},
        {"POST " CHAT_PATH, KEY, "{\"model\":\"m\",\"messages\":\"hello\"}", 400},
        {"POST /v1/messages", KEY_ANTHROPIC, "{\"model\":\"m\",\"messages\":[]}", 400},
        {"POST /v1beta/models/g:generateContent", KEY_GEMINI, "{}", 400},
        {"POST " CHAT_PATH, KEY "x-mock-no-such: 1\r\n", CHAT_BODY, 400},
        {"POST " CHAT_PATH, KEY "x-mock-tokens: many\r\n", CHAT_BODY, 400},
        {"POST " CHAT_PATH "?mock=fault:no", KEY, CHAT_BODY, 400},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (size_t step = 0; step <= 5; step += step ? 4 : 1) {
            struct request r;
            judge(&r, cases[i].start, cases[i].fields, cases[i].body, step);
            if (r.refused_status != cases[i].status)
                fail_msg("%s %s: %u", cases[i].start, cases[i].body ? cases[i].body : "", r.refused_status);
            struct script *s = script_make(&r);
            struct taken t = take_plan(s, step);
            assert_int_equal(t.status, cases[i].status);
            json_decref(json_of(buf_slice(&t.body)));
            take_clear(&t);
            script_unref(s);
            request_clear(&r);
        }
    }
}

static void only_the_key_it_was_started_with_is_taken(void **state) {
    (void)state;
    static const struct {
        const char *start, *fields;
        unsigned status;
    } cases[] = {
        {"POST " CHAT_PATH, "", 401},
        {"POST " CHAT_PATH, "authorization: Bearer sk-tes\r\n", 401},
        {"POST " CHAT_PATH, KEY, 0},
        {"POST " CHAT_PATH, "x-api-key: sk-test\r\n", 0},
        {"POST /v1beta/models/g:generateContent?key=sk-test", "", 0},
        {"POST /v1beta/models/g:generateContent?key=sk-other", "", 401},
        {"POST /v1/models/g:generateContent", KEY_GEMINI, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct request r;
        only_key = "sk-test";
        judge(&r, cases[i].start, cases[i].fields, "{\"model\":\"m\",\"messages\":[],\"contents\":[]}", 0);
        only_key = NULL;
        assert_int_equal(r.refused_status, cases[i].status);
        request_clear(&r);
    }
}

static void good_requests_are_read_the_same_whatever_the_cuts(void **state) {
    (void)state;
    static const char body[] =
        "{\"stream_options\":{\"include_usage\":true},\"max_tokens\":77,\"tools\":[{\"function\":{\"name\":"
        "\"caf\\u00e9\"}}],"
        "\"messages\":[{\"role\":\"user\",\"content\":\"\xe6\xb0\xb4\"}],\"stream\":true,\"model\":\"a/b\"}";
    struct request whole;
    judge(&whole, "POST " CHAT_PATH "?mock=tokens:3%2Cgap_ms=4", KEY "X-MOCK-TTFT_ms: 9\r\n", body, 0);
    assert_int_equal(whole.refused_status, 0);
    assert_string_equal(whole.facts.model, "a/b");
    assert_string_equal(whole.facts.tool, "caf\\u00e9");
    assert_true(whole.facts.stream && whole.facts.include_usage && whole.facts.has_tools);
    assert_int_equal(whole.facts.max_tokens, 77);
    assert_int_equal(whole.facts.knobs.value[MOCK_TOKENS], 3);
    assert_int_equal(whole.facts.knobs.value[MOCK_GAP_MS], 4);
    assert_int_equal(whole.facts.knobs.value[MOCK_TTFT_MS], 9);
    for (size_t step = 1; step < 12; step++) {
        struct request r;
        judge(&r, "POST " CHAT_PATH "?mock=tokens:3%2Cgap_ms=4", KEY "X-MOCK-TTFT_ms: 9\r\n", body, step);
        assert_memory_equal(&r.facts, &whole.facts, sizeof r.facts);
        request_clear(&r);
    }
    request_clear(&whole);
}

static void a_knob_that_cannot_be_set_stays_as_it_was(void **state) {
    (void)state;
    struct mock_knobs k, before;
    mock_knobs_init(&k);
    before = k;
    assert_false(mock_knob_set(&k, SLICE("token"), SLICE("3")));
    assert_false(mock_knob_set(&k, SLICE("tokenss"), SLICE("3")));
    assert_false(mock_knob_set(&k, SLICE(""), SLICE("3")));
    assert_false(mock_knob_set(&k, SLICE("tokens"), SLICE("")));
    assert_false(mock_knob_set(&k, SLICE("tokens"), SLICE("-1")));
    assert_false(mock_knob_set(&k, SLICE("tokens"), SLICE("1000000001")));
    assert_false(mock_knob_set(&k, SLICE("fault"), SLICE("1")));
    assert_memory_equal(&k, &before, sizeof k);
    assert_true(mock_knob_set(&k, SLICE("Fault-After"), SLICE("8")));
    assert_true(mock_knob_set(&k, SLICE("fault"), SLICE("stall")));
    assert_int_equal(k.value[MOCK_FAULT_AFTER], 8);
    assert_int_equal(k.value[MOCK_FAULT], 4);
}

static unsigned count_events(const struct taken *t) {
    return each_event(buf_slice(&t->body), NULL, NULL);
}

static void streams_break_after_the_event_they_are_told_to(void **state) {
    (void)state;
    static const struct {
        const char *fault;
        enum script_end end;
        unsigned more;
        enum body_state body;
    } cases[] = {
        {"reset", END_RESET, 0, BODY_MORE},      {"truncate", END_CLOSE, 0, BODY_MORE},
        {"stall", END_STALL, 0, BODY_MORE},      {"garbage", END_CLOSE, 0, BODY_BAD},
        {"error_event", END_KEEP, 1, BODY_DONE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        for (unsigned after = 0; after < 20; after += 3) {
            char fields[160];
            snprintf(fields, sizeof fields, KEY "x-mock-fault: %s\r\nx-mock-fault-after: %u\r\n", cases[i].fault,
                     after);
            struct script *s = plan_of("POST " CHAT_PATH, fields, CHAT_STREAM);
            struct taken t = take_plan(s, after % 3);
            assert_int_equal(s->end, cases[i].end);
            assert_int_equal(t.state, cases[i].body);
            assert_int_equal(count_events(&t), after + cases[i].more);
            buf_append(&t.body, "", 1);
            assert_null(strstr(t.body.data, "[DONE]"));
            take_clear(&t);
            script_unref(s);
        }
    }
}

static void bodies_break_at_the_byte_they_are_told_to(void **state) {
    (void)state;
    static const char *const framings[] = {"chunked", "length", "close"};
    for (size_t f = 0; f < 3; f++) {
        for (unsigned at = 1; at < 1000; at += 83) {
            char fields[200];
            snprintf(fields, sizeof fields,
                     KEY "x-mock-fault: truncate\r\nx-mock-fault-bytes: %u\r\nx-mock-framing: %s\r\n", at, framings[f]);
            for (int streamed = 0; streamed < 2; streamed++) {
                struct script *s = plan_of("POST " CHAT_PATH, fields, streamed ? CHAT_STREAM : CHAT_BODY);
                struct taken t = take_plan(s, 0);
                assert_int_equal(buf_length(&t.body), at);
                assert_int_equal(s->end, END_CLOSE);
                assert_int_equal(t.state,
                                 f == 2 ? BODY_DONE : BODY_MORE); /* only without framing can a cut not be seen */
                take_clear(&t);
                script_unref(s);
            }
        }
    }
}

static void an_answer_with_a_bad_event_in_it_still_ends(void **state) {
    (void)state;
    static const char *const framings[] = {"chunked", "length", "close"};
    for (size_t f = 0; f < 3; f++) {
        for (int streamed = 0; streamed < 2; streamed++) {
            char fields[200];
            snprintf(fields, sizeof fields, KEY "x-mock-fault: bad_event\r\nx-mock-framing: %s\r\n", framings[f]);
            struct script *s = plan_of("POST " CHAT_PATH, fields, streamed ? CHAT_STREAM : CHAT_BODY);
            struct taken t = take_plan(s, 0);
            assert_int_equal(t.state, BODY_DONE);
            buf_append(&t.body, "", 1);
            assert_non_null(strstr(t.body.data, streamed ? "[DONE]" : "\"usage\""));
            take_clear(&t);
            script_unref(s);
        }
    }
}

static void heads_break_before_a_byte_of_the_answer(void **state) {
    (void)state;
    struct script *s = plan_of("POST " CHAT_PATH, KEY "x-mock-fault: reset_head\r\n", CHAT_STREAM);
    assert_int_equal(buf_length(&s->bytes), 0);
    assert_int_equal(s->end, END_RESET);
    script_unref(s);
    s = plan_of("POST " CHAT_PATH, KEY "x-mock-fault: bad_head\r\n", CHAT_BODY);
    struct taken t = take_plan(s, 0);
    assert_int_equal(t.state, BODY_BAD);
    take_clear(&t);
    script_unref(s);
}

static void errors_have_the_dialects_shape_status_and_retry_after(void **state) {
    (void)state;
    static const struct {
        const char *start, *fields, *body, *type;
    } cases[] = {
        {"POST " CHAT_PATH, KEY, CHAT_STREAM, "\"type\":\"requests\""},
        {"POST /v1/messages", KEY_ANTHROPIC, "{\"model\":\"m\",\"max_tokens\":1,\"messages\":[]}",
         "\"type\":\"rate_limit_error\""},
        {"POST /v1beta/models/g:generateContent", KEY_GEMINI, "{\"contents\":[]}", "\"retryDelay\":\"3s\""},
        {"POST /v1beta/models/g:streamGenerateContent", KEY_GEMINI, "{\"contents\":[]}", "[{\"error\":{\"code\":429"},
    };
    for (size_t i = 0; i < 4; i++) {
        char fields[200];
        snprintf(fields, sizeof fields, "%sx-mock-error: 429\r\nx-mock-retry-after: 3\r\nx-mock-leak: 1\r\n",
                 cases[i].fields);
        struct script *s = plan_of(cases[i].start, fields, cases[i].body);
        struct taken t = take_plan(s, 1);
        assert_int_equal(t.status, 429);
        json_decref(json_of(buf_slice(&t.body)));
        buf_append(&t.body, "", 1);
        buf_append(&t.head, "", 1);
        assert_non_null(strstr(t.body.data, cases[i].type));
        assert_non_null(strstr(t.body.data, "sk-test"));
        assert_non_null(strstr(t.head.data, "\r\nretry-after: 3\r\n"));
        take_clear(&t);
        script_unref(s);
    }
}

static void an_echo_gives_back_the_request_as_it_came(void **state) {
    (void)state;
    struct script *s = plan_of("POST /v1/anything?x=%20", "X-Odd:  \"q\"\r\nx-mock-echo: 1\r\n", "{not json\n");
    struct taken t = take_plan(s, 0);
    assert_int_equal(t.status, 200);
    json_t *v = json_of(buf_slice(&t.body));
    assert_string_equal(json_string_value(json_object_get(v, "body")), "{not json\n");
    const char *head = json_string_value(json_object_get(v, "head"));
    assert_non_null(strstr(head, "POST /v1/anything?x=%20 HTTP/1.1\r\n"));
    assert_non_null(strstr(head, "\r\nX-Odd:  \"q\"\r\n"));
    json_decref(v);
    take_clear(&t);
    script_unref(s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bad_requests_are_refused_whatever_the_cuts),
        cmocka_unit_test(only_the_key_it_was_started_with_is_taken),
        cmocka_unit_test(good_requests_are_read_the_same_whatever_the_cuts),
        cmocka_unit_test(a_knob_that_cannot_be_set_stays_as_it_was),
        cmocka_unit_test(streams_break_after_the_event_they_are_told_to),
        cmocka_unit_test(bodies_break_at_the_byte_they_are_told_to),
        cmocka_unit_test(an_answer_with_a_bad_event_in_it_still_ends),
        cmocka_unit_test(heads_break_before_a_byte_of_the_answer),
        cmocka_unit_test(errors_have_the_dialects_shape_status_and_retry_after),
        cmocka_unit_test(an_echo_gives_back_the_request_as_it_came),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
