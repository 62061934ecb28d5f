/* What is observed in answers of OpenAI's Responses and of the event streams made like them. */
#include "replay.h"

#define SSE "text/event-stream"
#define STREAM DIALECT_OPENAI, OPERATION_RESPONSES, SSE
#define EVENT(type, rest) "event: " type "\n" DATA("{\"type\":\"" type "\",\"sequence_number\":3" rest "}")
#define ANSWER(status, rest) ",\"response\":{\"id\":\"r\",\"status\":\"" status "\",\"model\":\"gpt-r\"," rest "}"
#define CREATED                                                                                                        \
    EVENT("response.created", ANSWER("in_progress", "\"error\":null,\"incomplete_details\":null,\"usage\":null"))
#define DELTA(type, text) EVENT(type, ",\"item_id\":\"i\",\"output_index\":0,\"delta\":\"" text "\"")
#define USAGE                                                                                                          \
    "\"usage\":{\"input_tokens\":75,\"input_tokens_details\":{\"cached_tokens\":32},\"output_tokens\":40,"             \
    "\"output_tokens_details\":{\"reasoning_tokens\":20},\"total_tokens\":115}"
#define R .model = "gpt-r"
#define NO_USAGE .input_unknown = true, .output_unknown = true

static const struct fixture streams[] = {
    {"reasoning, then text, then completed with usage",
     STREAM,
     CREATED DATA("{\"type\":\"keepalive\",\"sequence_number\":1}")
         EVENT("response.output_item.added", ",\"item\":{\"type\":\"reasoning\",\"id\":\"x\"}")
             DELTA("response.reasoning_summary_text.delta", "hm")
                 EVENT("response.output_item.added", ",\"item\":{\"type\":\"message\"}")
                     EVENT("response.content_part.added", ",\"part\":{\"type\":\"output_text\",\"text\":\"\"}")
                         DELTA("response.output_text.delta", "") DELTA("response.output_text.delta", "Hi")
                             EVENT("response.output_text.done", ",\"text\":\"Hi\"") EVENT(
                                 "response.completed",
                                 ANSWER("completed",
                                        "\"error\":null,\"incomplete_details\":null,\"output\":[{\"type\":\"message\","
                                        "\"content\":[{\"type\":\"output_text\",\"text\":\"Hi\"}]}]," USAGE)),
     ANSWER_SSE,
     {"---T---T-E", .input = 75, .output = 40, .cache_read = 32, .reasoning = 20, .chunks = 2, .first_token = 4,
      .first_visible = 8, .text_bytes = 4, .finish = "completed", R}},
    {"hidden reasoning",
     STREAM,
     CREATED DELTA("response.output_text.delta", "Hi") EVENT("response.completed", ANSWER("completed", USAGE)),
     ANSWER_SSE,
     {"-TE", .input = 75, .output = 40, .cache_read = 32, .reasoning = 20, .hidden = 20, .chunks = 1, .first_token = 2,
      .first_visible = 2, .text_bytes = 2, .finish = "completed", R}},
    {"incomplete",
     STREAM,
     CREATED DELTA("response.output_text.delta", "Hi")
         EVENT("response.incomplete",
               ANSWER("incomplete", "\"incomplete_details\":{\"reason\":\"max_output_tokens\"}," USAGE)),
     ANSWER_SSE,
     {"-TE", .input = 75, .output = 40, .cache_read = 32, .reasoning = 20, .hidden = 20, .chunks = 1, .first_token = 2,
      .first_visible = 2, .text_bytes = 2, .finish = "max_output_tokens", R}},
    {"the reason counts before the status too",
     STREAM,
     DATA("{\"type\":\"response.incomplete\",\"response\":{\"incomplete_details\":{\"reason\":\"content_filter\"},"
          "\"status\":\"incomplete\"}}"),
     ANSWER_SSE,
     {"E", .finish = "content_filter", NO_USAGE}},
    {"failed",
     STREAM,
     CREATED EVENT("response.failed",
                   ANSWER("failed", "\"error\":{\"code\":\"server_error\",\"message\":\"m\"},\"usage\":null")),
     ANSWER_SSE,
     {"-X", .failed = true, .finish = "failed", R, NO_USAGE}},
    {"an error at the top",
     STREAM,
     CREATED EVENT("error", ",\"code\":\"server_error\",\"message\":\"m\",\"param\":null"),
     ANSWER_SSE,
     {"-X", .failed = true, R, NO_USAGE}},
    {"a function call: its name is the first token",
     STREAM,
     CREATED EVENT("response.output_item.added",
                   ",\"item\":{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"\"}")
         DELTA("response.function_call_arguments.delta", "{}")
             EVENT("response.function_call_arguments.done", ",\"arguments\":\"{}\"")
                 EVENT("response.completed", ANSWER("completed", "\"usage\":null")),
     ANSWER_SSE,
     {"-TT-E", .chunks = 2, .first_token = 2, .first_visible = 2, .text_bytes = 2, .finish = "completed", R, NO_USAGE}},
    {"the type stands last",
     STREAM,
     DATA("{\"delta\":\"ab\",\"type\":\"response.reasoning_text.delta\"}")
         DATA("{\"delta\":\"c\",\"type\":\"response.refusal.delta\"}"),
     ANSWER_SSE,
     {"TT", .chunks = 2, .first_token = 1, .first_visible = 2, .text_bytes = 3, .unterminated = true, NO_USAGE}},
    {"audio and images have no text",
     STREAM,
     DELTA("response.audio.delta", "AAAA") DELTA("response.audio.transcript.delta", "hi")
         EVENT("response.image_generation_call.partial_image", ",\"partial_image_b64\":\"AAAA\"")
             EVENT("response.image_generation_call.generating", ""),
     ANSWER_SSE,
     {"TTT-", .chunks = 3, .first_token = 1, .first_visible = 1, .text_bytes = 2, .unterminated = true, NO_USAGE}},
    {"cut before the end",
     STREAM,
     CREATED DELTA("response.output_text.delta", "Hi"),
     ANSWER_SSE,
     {"-T", .chunks = 1, .first_token = 2, .first_visible = 2, .text_bytes = 2, .unterminated = true, R, NO_USAGE}},
    {"images",
     DIALECT_OPENAI,
     OPERATION_IMAGE,
     SSE,
     EVENT("image_generation.partial_image", ",\"b64_json\":\"AAAA\"")
         EVENT("image_generation.completed",
               ",\"b64_json\":\"AAAA\",\"usage\":{\"input_tokens\":5,\"output_tokens\":7,\"total_tokens\":12}"),
     ANSWER_SSE,
     {"TE", .input = 5, .output = 7, .chunks = 1, .first_token = 1, .first_visible = 1}},
    {"speech as events",
     DIALECT_OPENAI,
     OPERATION_SPEECH,
     SSE,
     EVENT("speech.audio.delta", ",\"audio\":\"AAAA\"")
         EVENT("speech.audio.done", ",\"usage\":{\"input_tokens\":5,\"output_tokens\":7,\"total_tokens\":12}"),
     ANSWER_SSE,
     {"TE", .input = 5, .output = 7, .chunks = 1, .first_token = 1, .first_visible = 1}},
    {"a whole answer",
     DIALECT_OPENAI,
     OPERATION_RESPONSES,
     "application/json",
     "{\"id\":\"r\",\"object\":\"response\",\"status\":\"completed\",\"error\":null,\"incomplete_details\":null,"
     "\"model\":\"gpt-r\",\"output\":["
     "{\"type\":\"reasoning\",\"summary\":[{\"type\":\"summary_text\",\"text\":\"hm\"}]},{\"type\":\"message\","
     "\"content\":[{\"type\":\"output_text\","
     "\"text\":\"Hi\"}]},{\"type\":\"function_call\",\"name\":\"f\",\"arguments\":\"{}\"}]," USAGE "}",
     ANSWER_JSON,
     {"", .input = 75, .output = 40, .cache_read = 32, .reasoning = 20, .text_bytes = 7, .finish = "completed", R}},
    {"a background answer is not finished",
     DIALECT_OPENAI,
     OPERATION_RESPONSES,
     "application/json",
     "{\"status\":\"queued\",\"model\":\"gpt-r\",\"usage\":null}",
     ANSWER_JSON,
     {"", R, NO_USAGE}},
    {"a whole answer that failed",
     DIALECT_OPENAI,
     OPERATION_RESPONSES,
     "application/json",
     "{\"status\":\"failed\",\"error\":{\"code\":\"server_error\"},\"model\":\"gpt-r\"}",
     ANSWER_JSON,
     {"", .failed = true, .finish = "failed", R, NO_USAGE}},
};

static void answers_are_observed_alike_however_cut(void **state) {
    (void)state;
    expect_fixtures(streams, sizeof streams / sizeof *streams);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers_are_observed_alike_however_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
