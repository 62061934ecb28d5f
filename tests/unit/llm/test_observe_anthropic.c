/* What is observed in answers of Anthropic and of servers that copy it. */
#include "replay.h"

#define SSE "text/event-stream"
#define STREAM DIALECT_ANTHROPIC, OPERATION_MESSAGES, SSE
#define EVENT(type, rest) "event: " type "\n" DATA("{\"type\":\"" type "\"" rest "}")
#define START(usage)                                                                                                   \
    EVENT("message_start",                                                                                             \
          ",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x\","             \
          "\"content\":[],\"stop_reason\":null,\"usage\":{" usage "}}")
#define BASIC_START                                                                                                    \
    START("\"input_tokens\":12,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":2048,"                    \
          "\"cache_creation\":{\"ephemeral_5m_input_tokens\":0,\"ephemeral_1h_input_tokens\":0},\"output_tokens\":1")
#define BLOCK(block) EVENT("content_block_start", ",\"index\":0,\"content_block\":{" block "}")
#define TEXT_BLOCK BLOCK("\"type\":\"text\",\"text\":\"\"")
#define DELTA(delta) EVENT("content_block_delta", ",\"index\":0,\"delta\":{" delta "}")
#define TEXT(text) DELTA("\"type\":\"text_delta\",\"text\":\"" text "\"")
#define BLOCK_STOP EVENT("content_block_stop", ",\"index\":0")
#define END(word, usage)                                                                                               \
    EVENT("message_delta", ",\"delta\":{\"stop_reason\":\"" word "\",\"stop_sequence\":null},\"usage\":{" usage "}")
#define STOP EVENT("message_stop", "")
#define PING EVENT("ping", "")
#define CLAUDE .model = "claude-x"

static const struct fixture streams[] = {
    {"a plain stream",
     STREAM,
     BASIC_START TEXT_BLOCK PING TEXT("Hi") BLOCK_STOP END(
         "end_turn",
         "\"input_tokens\":12,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":2048,\"output_tokens\":5")
         STOP,
     ANSWER_SSE,
     {"---T--E", .input = 2060, .output = 5, .cache_read = 2048, .chunks = 1, .first_token = 4, .first_visible = 4,
      .text_bytes = 2, .finish = "end_turn", CLAUDE}},
    {"a tool: the first token is the start of its block",
     STREAM,
     BASIC_START BLOCK("\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}")
         DELTA("\"type\":\"input_json_delta\",\"partial_json\":\"\"")
             DELTA("\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"a\\\":1}\"")
                 BLOCK_STOP END("tool_use", "\"output_tokens\":9") STOP,
     ANSWER_SSE,
     {"-T-T--E", .input = 2060, .output = 9, .cache_read = 2048, .chunks = 2, .first_token = 2, .first_visible = 2,
      .text_bytes = 7, .finish = "tool_use", CLAUDE}},
    {"thinking is a token but not visible; a signature is none",
     STREAM,
     BASIC_START BLOCK("\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"") DELTA(
         "\"type\":\"thinking_delta\",\"thinking\":\"hm\"") DELTA("\"type\":\"signature_delta\",\"signature\":\"AAAA\"")
         BLOCK_STOP TEXT_BLOCK TEXT("Hi")
             BLOCK_STOP END("end_turn", "\"output_tokens\":30,\"output_tokens_details\":{\"thinking_tokens\":20}") STOP,
     ANSWER_SSE,
     {"--T---T--E", .input = 2060, .output = 30, .cache_read = 2048, .reasoning = 20, .chunks = 2, .first_token = 3,
      .first_visible = 7, .text_bytes = 4, .finish = "end_turn", CLAUDE}},
    {"thinking that sends no bytes is hidden",
     STREAM,
     BASIC_START BLOCK("\"type\":\"thinking\",\"thinking\":\"\"")
         DELTA("\"type\":\"signature_delta\",\"signature\":\"AAAA\"") BLOCK_STOP TEXT_BLOCK TEXT("Hi")
             BLOCK_STOP END("end_turn", "\"output_tokens\":30,\"output_tokens_details\":{\"thinking_tokens\":20}") STOP,
     ANSWER_SSE,
     {"-----T--E", .input = 2060, .output = 30, .cache_read = 2048, .reasoning = 20, .hidden = 20, .chunks = 1,
      .first_token = 6, .first_visible = 6, .text_bytes = 2, .finish = "end_turn", CLAUDE}},
    {"redacted thinking arrives whole; results of server tools and citations are no tokens",
     STREAM,
     BASIC_START BLOCK("\"type\":\"redacted_thinking\",\"data\":\"AAAA\"") BLOCK_STOP BLOCK(
         "\"type\":\"web_search_tool_result\",\"content\":[{\"type\":\"web_search_result\",\"text\":\"x\"}]")
         BLOCK_STOP DELTA("\"type\":\"citations_delta\",\"citation\":{\"cited_text\":\"x\"}")
             BLOCK("\"type\":\"server_tool_use\",\"name\":\"web_search\"") STOP,
     ANSWER_SSE,
     {"-T----TE", .input = 2060, .cache_read = 2048, .output_unknown = true, .chunks = 2, .first_token = 2,
      .first_visible = 7, CLAUDE}},
    {"the split of what was written is kept, totals are overwritten",
     STREAM,
     START("\"input_tokens\":10,\"cache_creation_input_tokens\":300,\"cache_creation\":{\"ephemeral_5m_input_tokens\":"
           "100,"
           "\"ephemeral_1h_input_tokens\":200},\"output_tokens\":1") TEXT("a")
         END("end_turn", "\"input_tokens\":11,\"cache_creation_input_tokens\":300,\"output_tokens\":4") STOP,
     ANSWER_SSE,
     {"-T-E", .input = 311, .output = 4, .cache_write = 300, .cache_write_1h = 200, .chunks = 1, .first_token = 2,
      .first_visible = 2, .text_bytes = 1, .finish = "end_turn", CLAUDE}},
    {"no more was written for an hour than was written",
     STREAM,
     START(
         "\"input_tokens\":10,\"cache_creation\":{\"ephemeral_5m_input_tokens\":100,\"ephemeral_1h_input_tokens\":200}")
         TEXT("a") END("end_turn", "\"cache_creation_input_tokens\":150,\"output_tokens\":4") STOP,
     ANSWER_SSE,
     {"-T-E", .input = 160, .output = 4, .cache_write = 150, .cache_write_1h = 150, .chunks = 1, .first_token = 2,
      .first_visible = 2, .text_bytes = 1, .finish = "end_turn", CLAUDE}},
    {"without a total, the split tells what was written",
     STREAM,
     START(
         "\"input_tokens\":10,\"cache_creation\":{\"ephemeral_5m_input_tokens\":100,\"ephemeral_1h_input_tokens\":200}")
         STOP,
     ANSWER_SSE,
     {"-E", .input = 310, .cache_write = 300, .cache_write_1h = 200, .output_unknown = true, CLAUDE}},
    {"copies that tell the cache only at the end",
     STREAM,
     START("\"input_tokens\":1000,\"output_tokens\":0") TEXT("a")
         END("end_turn", "\"input_tokens\":10,\"cache_read_input_tokens\":990,\"output_tokens\":4") STOP,
     ANSWER_SSE,
     {"-T-E", .input = 1000, .output = 4, .cache_read = 990, .chunks = 1, .first_token = 2, .first_visible = 2,
      .text_bytes = 1, .finish = "end_turn", CLAUDE}},
    {"null overwrites nothing, an explicit 0 does",
     STREAM,
     BASIC_START TEXT("a") END("end_turn", "\"input_tokens\":null,\"cache_read_input_tokens\":0,\"output_tokens\":0")
         STOP,
     ANSWER_SSE,
     {"-T-E", .input = 12, .output = 0, .chunks = 1, .first_token = 2, .first_visible = 2, .text_bytes = 1,
      .finish = "end_turn", CLAUDE}},
    {"iterations are summed where that is more",
     STREAM,
     BASIC_START TEXT("a")
         END("end_turn",
             "\"input_tokens\":12,\"output_tokens\":5,\"iterations\":[{\"type\":\"compaction\",\"input_tokens\":100,"
             "\"output_tokens\":40},"
             "{\"type\":\"message\",\"input_tokens\":12,\"cache_read_input_tokens\":2048,\"output_tokens\":5}]") STOP,
     ANSWER_SSE,
     {"-T-E", .input = 2160, .output = 45, .cache_read = 2048, .chunks = 1, .first_token = 2, .first_visible = 2,
      .text_bytes = 1, .finish = "end_turn", CLAUDE}},
    {"an error after two tokens",
     STREAM,
     BASIC_START TEXT_BLOCK TEXT("a") TEXT("b")
         EVENT("error", ",\"error\":{\"type\":\"overloaded_error\",\"message\":\"Overloaded\"}"),
     ANSWER_SSE,
     {"--TTX", .input = 2060, .cache_read = 2048, .output_unknown = true, .chunks = 2, .first_token = 3,
      .first_visible = 3, .text_bytes = 2, .failed = true, .unterminated = true, CLAUDE}},
    {"cut: the output count of the start is no count",
     STREAM,
     BASIC_START TEXT_BLOCK TEXT("a"),
     ANSWER_SSE,
     {"--T", .input = 2060, .cache_read = 2048, .output_unknown = true, .chunks = 1, .first_token = 3,
      .first_visible = 3, .text_bytes = 1, .unterminated = true, CLAUDE}},
    {"a stop reason without message_stop is complete",
     STREAM,
     BASIC_START TEXT("a") END("max_tokens", "\"output_tokens\":3"),
     ANSWER_SSE,
     {"-T-", .input = 2060, .output = 3, .cache_read = 2048, .chunks = 1, .first_token = 2, .first_visible = 2,
      .text_bytes = 1, .finish = "max_tokens", CLAUDE}},
    {"[DONE] means nothing here",
     STREAM,
     BASIC_START TEXT("a") "data: [DONE]\n\n",
     ANSWER_SSE,
     {"-T-", .input = 2060, .cache_read = 2048, .output_unknown = true, .chunks = 1, .first_token = 2,
      .first_visible = 2, .text_bytes = 1, .unterminated = true, CLAUDE}},
    {"a fallback in the middle changes the model",
     STREAM,
     BASIC_START TEXT("a")
         BLOCK("\"type\":\"fallback\",\"from\":{\"model\":\"claude-x\"},\"to\":{\"model\":\"claude-y\"}") TEXT("b")
             END("end_turn", "\"output_tokens\":3") STOP,
     ANSWER_SSE,
     {"-T-T-E", .input = 2060, .output = 3, .cache_read = 2048, .chunks = 2, .first_token = 2, .first_visible = 2,
      .text_bytes = 2, .finish = "end_turn", .model = "claude-y"}},
    {"a fallback that names its model at once",
     STREAM,
     BASIC_START BLOCK("\"type\":\"fallback\",\"from\":\"claude-x\",\"to\":\"claude-z\"") STOP,
     ANSWER_SSE,
     {"--E", .input = 2060, .cache_read = 2048, .output_unknown = true, .model = "claude-z"}},
    {"a whole answer",
     DIALECT_ANTHROPIC,
     OPERATION_MESSAGES,
     "application/json",
     "{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"claude-x\",\"content\":[{\"type\":"
     "\"thinking\",\"thinking\":\"hm\"},"
     "{\"type\":\"text\",\"text\":\"Hi\"},{\"type\":\"tool_use\",\"name\":\"f\",\"input\":{\"a\":1}}],\"stop_reason\":"
     "\"tool_use\",\"usage\":{\"input_tokens\":10,"
     "\"cache_creation_input_tokens\":30,\"cache_read_input_tokens\":0,\"cache_creation\":{\"ephemeral_5m_input_"
     "tokens\":10,"
     "\"ephemeral_1h_input_tokens\":20},\"output_tokens\":6}}",
     ANSWER_JSON,
     {"", .input = 40, .output = 6, .cache_write = 30, .cache_write_1h = 20, .text_bytes = 12, .finish = "tool_use",
      CLAUDE}},
    {"an error object under 200",
     DIALECT_ANTHROPIC,
     OPERATION_MESSAGES,
     "application/json",
     "{\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"m\"}}",
     ANSWER_JSON,
     {"", .failed = true, .input_unknown = true, .output_unknown = true}},
    {"counting tokens uses none",
     DIALECT_ANTHROPIC,
     OPERATION_COUNT_TOKENS,
     "application/json",
     "{\"input_tokens\":2095}",
     ANSWER_JSON,
     {"", .input_unknown = true, .output_unknown = true}},
};

static void answers_are_observed_alike_however_cut(void **state) {
    (void)state;
    expect_fixtures(streams, sizeof streams / sizeof *streams);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(answers_are_observed_alike_however_cut)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
