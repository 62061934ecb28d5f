/* What is observed in answers of Gemini: as events, as a streamed array, as one object. */
#include "replay.h"

#define SSE "text/event-stream"
#define ANSWER DIALECT_GEMINI, OPERATION_GENERATE_CONTENT
#define CRLF_DATA(json) "data: {" json "}\r\n\r\n"
#define PARTS(parts) "\"candidates\":[{\"content\":{\"parts\":[" parts "],\"role\":\"model\"},\"index\":0}]"
#define LAST(parts, word)                                                                                              \
    "\"candidates\":[{\"content\":{\"parts\":[" parts "],\"role\":\"model\"},\"finishReason\":\"" word                 \
    "\",\"index\":0}]"
#define USAGE(usage) ",\"usageMetadata\":{" usage "},\"modelVersion\":\"gemini-x\",\"responseId\":\"r\""
#define THOUGHT PARTS("{\"text\":\"plan\",\"thought\":true}") USAGE("\"promptTokenCount\":8,\"totalTokenCount\":8")
#define FINAL                                                                                                          \
    LAST("{\"text\":\"Hi\"}", "STOP")                                                                                  \
    USAGE("\"promptTokenCount\":8,\"candidatesTokenCount\":1,\"thoughtsTokenCount\":20,\"totalTokenCount\":29,"        \
          "\"promptTokensDetails\":[{\"modality\":\"TEXT\",\"tokenCount\":8}]")
#define X .model = "gemini-x"
#define UNTIMED .first_token = -1, .first_visible = -1
#define NO_USAGE .input_unknown = true, .output_unknown = true

static const struct fixture streams[] = {
    {"events with CRLF",
     ANSWER,
     SSE,
     CRLF_DATA(THOUGHT) CRLF_DATA(FINAL),
     ANSWER_SSE,
     {"TT", .input = 8, .output = 21, .reasoning = 20, .chunks = 2, .first_token = 1, .first_visible = 2,
      .text_bytes = 6, .finish = "STOP", X}},
    {"an array",
     ANSWER,
     "application/json; charset=UTF-8",
     "[{" THOUGHT "}\r\n,\r\n{" FINAL "}\r\n]\r\n",
     ANSWER_JSON_ARRAY,
     {"", .input = 8, .output = 21, .reasoning = 20, .chunks = 2, UNTIMED, .text_bytes = 6, .finish = "STOP", X}},
    {"an array that is not closed was cut",
     ANSWER,
     "application/json",
     "[{" THOUGHT "}\r\n,\r\n{" FINAL "}\r\n",
     ANSWER_JSON_ARRAY,
     {"", .input = 8, .output = 21, .reasoning = 20, .chunks = 2, UNTIMED, .text_bytes = 6, .finish = "STOP", X,
      .unterminated = true}},
    {"an error in an array",
     ANSWER,
     "application/json",
     "[{\"error\":{\"code\":429,\"message\":\"m\",\"status\":\"RESOURCE_EXHAUSTED\"}}]",
     ANSWER_JSON_ARRAY,
     {"", .failed = true, .unterminated = true, NO_USAGE}},
    {"thought stands first; an empty part and a signature alone are none",
     ANSWER,
     SSE,
     CRLF_DATA(PARTS("{\"thoughtSignature\":\"AAAA\",\"text\":\"\"}"))
         CRLF_DATA(PARTS("{\"thought\":true,\"text\":\"abc\"},{\"text\":\"d\"}")) CRLF_DATA(PARTS("{\"thought\":true}"))
             CRLF_DATA(LAST("", "MAX_TOKENS")),
     ANSWER_SSE,
     {"-T--", .chunks = 1, .first_token = 2, .first_visible = 2, .text_bytes = 4, .finish = "MAX_TOKENS", NO_USAGE}},
    {"a refused prompt",
     ANSWER,
     SSE,
     CRLF_DATA("\"promptFeedback\":{\"blockReason\":\"SAFETY\"}" USAGE("\"promptTokenCount\":8,\"totalTokenCount\":8")),
     ANSWER_SSE,
     {"-", .input = 8, .output = 0, .finish = "SAFETY", X}},
    {"an empty block reason refuses nothing",
     ANSWER,
     SSE,
     CRLF_DATA("\"promptFeedback\":{\"blockReason\":\"\"}"),
     ANSWER_SSE,
     {"-", .unterminated = true, NO_USAGE}},
    {"a function call, the finish in the next event",
     ANSWER,
     SSE,
     CRLF_DATA(PARTS("{\"functionCall\":{\"name\":\"f\",\"args\":{}}}")) CRLF_DATA(LAST("{\"text\":\"\"}", "STOP")),
     ANSWER_SSE,
     {"T-", .chunks = 1, .first_token = 1, .first_visible = 1, .text_bytes = 22, .finish = "STOP", NO_USAGE}},
    {"code and data made are tokens; a result of code is not",
     ANSWER,
     SSE,
     CRLF_DATA(PARTS("{\"executableCode\":{\"language\":\"PYTHON\",\"code\":\"1\"}}"))
         CRLF_DATA(PARTS("{\"codeExecutionResult\":{\"output\":\"1\"}}"))
             CRLF_DATA(PARTS("{\"inlineData\":{\"mimeType\":\"image/png\",\"data\":\"AAAA\"}}")),
     ANSWER_SSE,
     {"T-T", .chunks = 2, .first_token = 1, .first_visible = 1, .text_bytes = 32, .unterminated = true, NO_USAGE}},
    {"reasoning inside the output, by the total",
     ANSWER,
     SSE,
     CRLF_DATA(LAST("{\"text\":\"Hi\"}", "STOP") USAGE(
         "\"promptTokenCount\":8,\"candidatesTokenCount\":21,\"thoughtsTokenCount\":20,\"totalTokenCount\":29")),
     ANSWER_SSE,
     {"T", .input = 8, .output = 21, .reasoning = 20, .hidden = 20, .chunks = 1, .first_token = 1, .first_visible = 1,
      .text_bytes = 2, .finish = "STOP", X}},
    {"no total: reasoning stands beside; tool results are input; cached is inside",
     ANSWER,
     SSE,
     CRLF_DATA(LAST("{\"text\":\"Hi\"}", "STOP")
                   USAGE("\"promptTokenCount\":8,\"cachedContentTokenCount\":5,\"toolUsePromptTokenCount\":3,"
                         "\"candidatesTokenCount\":30,\"thoughtsTokenCount\":20")),
     ANSWER_SSE,
     {"T", .input = 11, .output = 50, .cache_read = 5, .reasoning = 20, .hidden = 20, .chunks = 1, .first_token = 1,
      .first_visible = 1, .text_bytes = 2, .finish = "STOP", X}},
    {"the last usage counts whole; null and an empty one are none",
     ANSWER,
     SSE,
     CRLF_DATA(PARTS("{\"text\":\"a\"}") USAGE(
         "\"promptTokenCount\":9,\"candidatesTokenCount\":7,\"cachedContentTokenCount\":4,\"totalTokenCount\":16"))
         CRLF_DATA(LAST("{\"text\":\"b\"}", "STOP")
                       USAGE("\"promptTokenCount\":8,\"candidatesTokenCount\":2,\"totalTokenCount\":10"))
             CRLF_DATA("\"usageMetadata\":null") CRLF_DATA("\"usageMetadata\":{\"trafficType\":\"ON_DEMAND\"}"),
     ANSWER_SSE,
     {"TT--", .input = 8, .output = 2, .chunks = 2, .first_token = 1, .first_visible = 1, .text_bytes = 2,
      .finish = "STOP", X}},
    {"cut before any output count",
     ANSWER,
     SSE,
     CRLF_DATA(THOUGHT),
     ANSWER_SSE,
     {"T", .input = 8, .output_unknown = true, .chunks = 1, .first_token = 1, .first_visible = 0, .text_bytes = 4,
      .unterminated = true, X}},
    {"an unspecified finish is none",
     ANSWER,
     SSE,
     CRLF_DATA(LAST("{\"text\":\"a\"}", "FINISH_REASON_UNSPECIFIED")),
     ANSWER_SSE,
     {"T", .chunks = 1, .first_token = 1, .first_visible = 1, .text_bytes = 1, .unterminated = true, NO_USAGE}},
    {"the second candidate has not finished",
     ANSWER,
     SSE,
     CRLF_DATA("\"candidates\":[{\"content\":{\"parts\":[{\"text\":\"a\"}]},\"finishReason\":\"STOP\"},{\"content\":{"
               "\"parts\":[{\"text\":\"b\"}]},\"index\":1}]"),
     ANSWER_SSE,
     {"T", .chunks = 1, .first_token = 1, .first_visible = 1, .text_bytes = 2, .finish = "STOP", .unterminated = true,
      NO_USAGE}},
    {"an error event",
     ANSWER,
     SSE,
     CRLF_DATA(THOUGHT) CRLF_DATA("\"error\":{\"code\":503,\"status\":\"UNAVAILABLE\"}"),
     ANSWER_SSE,
     {"TX", .input = 8, .output_unknown = true, .chunks = 1, .first_token = 1, .text_bytes = 4, .failed = true,
      .unterminated = true, X}},
    {"one object",
     ANSWER,
     "application/json",
     "{" FINAL "}\n",
     ANSWER_JSON,
     {"", .input = 8, .output = 21, .reasoning = 20, .text_bytes = 2, .finish = "STOP", X}},
    {"an event stream request answered with an error object",
     ANSWER,
     SSE,
     "{\"error\":{\"code\":400}}",
     ANSWER_JSON,
     {"", .failed = true, NO_USAGE}},
    {"counting tokens uses none",
     DIALECT_GEMINI,
     OPERATION_COUNT_TOKENS,
     "application/json",
     "{\"totalTokens\":31,\"promptTokensDetails\":[]}",
     ANSWER_JSON,
     {"", NO_USAGE}},
};

static void answers_are_observed_alike_however_cut(void **state) {
    (void)state;
    expect_fixtures(streams, sizeof streams / sizeof *streams);
}

static void an_array_gives_its_tokens_when_they_come(void **state) {
    (void)state;
    void *memory = malloc(observer_bytes());
    struct observer *o = observer_init(memory, ANSWER, true, SLICE("application/json"), 200);
    const struct {
        const char *text;
        uint64_t wake_ns;
        bool started;
    } reads[] = {{"[", 10, false},     {"{" THOUGHT, 20, false}, {"}", 30, true},
                 {",\r\n{", 40, true}, {FINAL "}", 90, true},    {"]", 100, true}};
    for (size_t i = 0; i < sizeof reads / sizeof *reads; i++) {
        bool ended;
        enum event_verdict verdict;
        size_t n = strlen(reads[i].text);
        assert_int_equal(observer_take(o, reads[i].text, n, reads[i].wake_ns, &ended, &verdict), n);
        assert_false(ended);
        assert_int_equal(observer_started(o), reads[i].started);
    }
    observer_end(o, 200);
    const struct observation *seen = observer_seen(o);
    assert_int_equal(seen->first_token_ns, 30);
    assert_int_equal(seen->first_visible_ns, 90);
    assert_int_equal(seen->gap_max_ns, 60);
    assert_true(seen->terminated);
    free(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers_are_observed_alike_however_cut),
                                       cmocka_unit_test(an_array_gives_its_tokens_when_they_come)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
