/* What is observed in answers of OpenAI and of the many that copy its chat completions. */
#include "replay.h"

#define SSE "text/event-stream; charset=utf-8"
#define CHUNK(rest)                                                                                                    \
    DATA("{\"id\":\"c1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-x-2026\"," rest "}")
#define DELTA(delta)                                                                                                   \
    CHUNK("\"choices\":[{\"index\":0,\"delta\":" delta                                                                 \
          ",\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"aX3\"")
#define CHOICE(index, delta, finish) "{\"index\":" index ",\"delta\":" delta ",\"finish_reason\":" finish "}"
#define FINISH(word) CHUNK("\"choices\":[" CHOICE("0", "{}", "\"" word "\"") "],\"usage\":null")
#define ROLE DELTA("{\"role\":\"assistant\",\"content\":\"\",\"refusal\":null}")
#define USAGE(usage) CHUNK("\"choices\":[],\"usage\":" usage)
#define DONE "data: [DONE]\n\n"
#define SMALL_USAGE "{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11}"
#define CHAT DIALECT_OPENAI, OPERATION_CHAT, SSE
#define GPT .model = "gpt-x-2026"
#define FIFTY "01234567890123456789012345678901234567890123456789"
#define NO_USAGE .input_unknown = true, .output_unknown = true

static const struct fixture streams[] = {
    {"role, two contents, finish, usage, done",
     CHAT,
     ROLE DELTA("{\"content\":\"Hi\"}") DELTA("{\"content\":\" you\"}") FINISH("stop")
         USAGE("{\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11,\"prompt_tokens_details\":{\"cached_"
               "tokens\":4},"
               "\"completion_tokens_details\":{\"reasoning_tokens\":0}}") DONE,
     ANSWER_SSE,
     {"-TT-UE", .input = 9, .output = 2, .cache_read = 4, .chunks = 2, .first_token = 2, .first_visible = 2,
      .text_bytes = 6, .finish = "stop", GPT}},
    {"two tool calls side by side: the name is the first token",
     CHAT,
     ROLE DELTA("{\"tool_calls\":[{\"index\":0,\"id\":\"call_a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
                "\"arguments\":\"\"}}]}")
         DELTA("{\"tool_calls\":[{\"index\":1,\"id\":\"call_b\",\"type\":\"function\",\"function\":{\"name\":\"g\","
               "\"arguments\":\"\"}}]}")
             DELTA("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"{\\\"x\\\"\"}}]}")
                 DELTA("{\"tool_calls\":[{\"index\":1,\"function\":{\"arguments\":\"\"}}]}") FINISH("tool_calls") DONE,
     ANSWER_SSE,
     {"-TTT--E", .chunks = 3, .first_token = 2, .first_visible = 2, .text_bytes = 6, .finish = "tool_calls", GPT,
      NO_USAGE}},
    {"a refusal alone",
     CHAT,
     ROLE DELTA("{\"refusal\":\"No\"}") FINISH("stop") DONE,
     ANSWER_SSE,
     {"-T-E", .chunks = 1, .first_token = 2, .first_visible = 2, .text_bytes = 2, .finish = "stop", GPT, NO_USAGE}},
    {"two choices that finish at different times",
     CHAT,
     CHUNK("\"choices\":[" CHOICE("1", "{\"content\":\"b\"}", "null") "]")
         CHUNK("\"choices\":[" CHOICE("0", "{\"content\":\"a\"}", "null") "]")
             CHUNK("\"choices\":[" CHOICE("1", "{}", "\"length\"") "]")
                 CHUNK("\"choices\":[" CHOICE("0", "{}", "\"stop\"") "]"),
     ANSWER_SSE,
     {"TT--", .chunks = 2, .first_token = 1, .first_visible = 1, .text_bytes = 2, .finish = "stop", GPT, NO_USAGE}},
    {"one of two choices never finishes",
     CHAT,
     CHUNK("\"choices\":[" CHOICE("0", "{\"content\":\"a\"}", "null") "]")
         CHUNK("\"choices\":[{\"delta\":{\"content\":\"b\"},\"finish_reason\":null,\"index\":1}]")
             CHUNK("\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\",\"index\":0}]"),
     ANSWER_SSE,
     {"TT-", .chunks = 2, .first_token = 1, .first_visible = 1, .text_bytes = 2, .finish = "stop", GPT, NO_USAGE,
      .unterminated = true}},
    {"an error event after three tokens",
     CHAT,
     ROLE DELTA("{\"content\":\"a\"}") DELTA("{\"content\":\"b\"}") DELTA("{\"content\":\"c\"}")
         DATA("{\"error\":{\"message\":\"x\",\"type\":\"server_error\",\"code\":null}}"),
     ANSWER_SSE,
     {"-TTTX", .chunks = 3, .first_token = 2, .first_visible = 2, .text_bytes = 3, GPT, NO_USAGE, .unterminated = true,
      .failed = true}},
    {"the end comes after content, without finish",
     CHAT,
     ROLE DELTA("{\"content\":\"a\"}"),
     ANSWER_SSE,
     {"-T", .chunks = 1, .first_token = 2, .first_visible = 2, .text_bytes = 1, GPT, NO_USAGE, .unterminated = true}},
    {"cut within the finish event",
     CHAT,
     DELTA("{\"content\":\"a\"}") "data: {\"choices\":[{\"index\":0,\"finish_reason\":\"st",
     ANSWER_SSE,
     {"T", .chunks = 1, .first_token = 1, .first_visible = 1, .text_bytes = 1, GPT, NO_USAGE, .unterminated = true}},
    {"finish without done is complete",
     CHAT,
     ROLE DELTA("{\"content\":\"a\"}") FINISH("stop"),
     ANSWER_SSE,
     {"-T-", .chunks = 1, .first_token = 2, .first_visible = 2, .text_bytes = 1, .finish = "stop", GPT, NO_USAGE}},
    {"vLLM: an error and then done has failed",
     CHAT,
     ROLE DELTA("{\"content\":\"a\"}")
         DATA("{\"error\":{\"message\":\"m\",\"type\":\"InternalServerError\",\"param\":null,\"code\":500}}") DONE,
     ANSWER_SSE,
     {"-TXE", .chunks = 1, .first_token = 2, .first_visible = 2, .text_bytes = 1, GPT, NO_USAGE, .failed = true}},
    {"vLLM: usage on every chunk, the last one counts",
     CHAT,
     CHUNK(
         "\"choices\":[" CHOICE("0", "{\"content\":\"a\"}",
                                "null") "],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":1,\"total_tokens\":8}")
         CHUNK("\"choices\":[" CHOICE(
             "0", "{\"content\":\"b\"}",
             "\"stop\"") "],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2,\"total_tokens\":9}") DONE,
     ANSWER_SSE,
     {"TTE", .input = 7, .output = 2, .chunks = 2, .first_token = 1, .first_visible = 1, .text_bytes = 2,
      .finish = "stop", GPT}},
    {"llama.cpp: null content is no token; timings",
     CHAT,
     DELTA("{\"role\":\"assistant\",\"content\":null}") DELTA("{\"reasoning_content\":\"hm\"}")
         DELTA("{\"content\":\"a\"}") CHUNK("\"choices\":[" CHOICE(
             "0", "{}", "\"stop\"") "],\"timings\":{\"cache_n\":1,\"prompt_n\":3,\"prompt_ms\":12.5,"
                                    "\"predicted_n\":2,\"predicted_ms\":100.25}") DONE,
     ANSWER_SSE,
     {"-TT-E", .chunks = 2, .first_token = 2, .first_visible = 3, .text_bytes = 3, .provider_ns = 112750000,
      .finish = "stop", GPT, NO_USAGE}},
    {"llama.cpp: an error field",
     CHAT,
     ROLE DELTA("{\"content\":\"a\"}") "error: {\"code\":500,\"message\":\"m\"}\n\n",
     ANSWER_SSE,
     {"-TX", .chunks = 1, .first_token = 2, .first_visible = 2, .text_bytes = 1, GPT, NO_USAGE, .unterminated = true,
      .failed = true}},
    {"OpenRouter: comments, roles everywhere, an error with finish `error`",
     CHAT,
     ": OPENROUTER PROCESSING\n\n" DELTA(
         "{\"role\":\"assistant\",\"content\":\"\"}") ": OPENROUTER PROCESSING\n\n" DELTA("{\"role\":\"assistant\","
                                                                                          "\"content\":\"\","
                                                                                          "\"reasoning\":\"why\","
                                                                                          "\"reasoning_details\":[{"
                                                                                          "\"type\":\"reasoning.text\","
                                                                                          "\"text\":\"why\"}]}")
         DELTA("{\"role\":\"assistant\",\"content\":\"a\"}")
             CHUNK("\"error\":{\"code\":502,\"message\":\"m\"},\"choices\":[" CHOICE("0", "{\"content\":\"\"}",
                                                                                     "\"error\"") "]"),
     ANSWER_SSE,
     {"-TTX", .chunks = 2, .first_token = 2, .first_visible = 3, .text_bytes = 4, .finish = "error", GPT, NO_USAGE,
      .failed = true}},
    {"finish `error` alone has failed",
     CHAT,
     DELTA("{\"content\":\"a\"}") FINISH("error") DONE,
     ANSWER_SSE,
     {"TXE", .chunks = 1, .first_token = 1, .first_visible = 1, .text_bytes = 1, .finish = "error", GPT, NO_USAGE,
      .failed = true}},
    {"DeepSeek: comments; reasoning before content; its own cache counts",
     CHAT,
     ": keep-alive\n\n: keep-alive\n\n" DELTA("{\"role\":\"assistant\",\"content\":null,\"reasoning_content\":\"\"}")
         DELTA("{\"content\":null,\"reasoning_content\":\"mm\"}")
             DELTA("{\"content\":\"a\",\"reasoning_content\":null}") CHUNK("\"choices\":[" CHOICE(
                 "0", "{\"content\":\"\"}",
                 "\"stop\"") "],\"usage\":{\"prompt_tokens\":30,\"completion_tokens\":12,\"total_tokens\":42,\"prompt_"
                             "cache_hit_tokens\":20,"
                             "\"prompt_cache_miss_tokens\":10,\"completion_tokens_details\":{\"reasoning_tokens\":8}}")
                 DONE,
     ANSWER_SSE,
     {"-TT-E", .input = 30, .output = 12, .cache_read = 20, .reasoning = 8, .chunks = 2, .first_token = 2,
      .first_visible = 3, .text_bytes = 3, .finish = "stop", GPT}},
    {"Azure: the filter frame first has no model; filter frames after the finish are no tokens",
     CHAT,
     DATA("{\"choices\":[],\"created\":0,\"id\":\"\",\"model\":\"\",\"object\":\"\",\"prompt_filter_results\":[{"
          "\"prompt_index\":0}]}") ROLE DELTA("{\"content\":\"a\"}") FINISH("stop")
         CHUNK(
             "\"choices\":[{\"content_filter_offsets\":{\"check_offset\":1},\"content_filter_results\":{},\"delta\":{},"
             "\"finish_reason\":null,\"index\":0}]") DONE,
     ANSWER_SSE,
     {"--T--E", .chunks = 1, .first_token = 3, .first_visible = 3, .text_bytes = 1, .finish = "stop", GPT, NO_USAGE}},
    {"Groq: usage comes twice and counts once",
     CHAT,
     DELTA("{\"content\":\"a\"}") CHUNK("\"choices\":[" CHOICE(
         "0", "{}", "\"stop\"") "],\"x_groq\":{\"id\":\"r\",\"usage\":{\"queue_time\":0.1,"
                                "\"prompt_tokens\":9,\"prompt_time\":0.001,\"completion_tokens\":2,\"completion_time\":"
                                "0.5,\"total_tokens\":11,\"total_time\":0.501}}")
         USAGE("{\"queue_time\":0.1,\"prompt_tokens\":9,\"completion_tokens\":2,\"total_tokens\":11,\"total_time\":0."
               "501}") DONE,
     ANSWER_SSE,
     {"T-UE", .input = 9, .output = 2, .chunks = 1, .first_token = 1, .first_visible = 1, .text_bytes = 1,
      .provider_ns = 501000000, .finish = "stop", GPT}},
    {"Groq: an error in its own member",
     CHAT,
     DELTA("{\"content\":\"a\"}") CHUNK("\"choices\":[],\"x_groq\":{\"id\":\"r\",\"error\":\"over capacity\"}") DONE,
     ANSWER_SSE,
     {"TXE", .chunks = 1, .first_token = 1, .first_visible = 1, .text_bytes = 1, GPT, NO_USAGE, .failed = true}},
    {"Mistral: a list of parts, thinking first; padding is nothing",
     CHAT,
     DELTA("{\"role\":\"assistant\",\"content\":\"\"},\"p\":\"abcdefgh\"")
         DELTA("{\"content\":[{\"type\":\"thinking\",\"thinking\":[{\"type\":\"text\",\"text\":\"hmm\"}]}]}")
             DELTA("{\"content\":[{\"type\":\"text\",\"text\":\"a\"}]}") CHUNK("\"choices\":[" CHOICE(
                 "0", "{\"content\":\"b\"}", "\"stop\"") "],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":6,"
                                                         "\"total_tokens\":11,\"num_cached_tokens\":2}") DONE,
     ANSWER_SSE,
     {"-TTTE", .input = 5, .output = 6, .cache_read = 2, .chunks = 3, .first_token = 2, .first_visible = 3,
      .text_bytes = 5, .finish = "stop", GPT}},
    {"xAI: reasoning beside the output, by the total",
     CHAT,
     DELTA("{\"content\":\"a\"}") FINISH("stop")
         USAGE("{\"prompt_tokens\":10120,\"completion_tokens\":1499,\"total_tokens\":14428,\"completion_tokens_"
               "details\":{\"reasoning_tokens\":2809}}") DONE,
     ANSWER_SSE,
     {"T-UE", .input = 10120, .output = 4308, .reasoning = 2809, .hidden = 2809, .chunks = 1, .first_token = 1,
      .first_visible = 1, .text_bytes = 1, .finish = "stop", GPT}},
    {"SGLang: reasoning within the output, at the top",
     CHAT,
     DELTA("{\"content\":\"a\"}") FINISH("stop") USAGE("{\"prompt_tokens\":10,\"completion_tokens\":8,\"total_tokens\":"
                                                       "18,\"reasoning_tokens\":5,\"prompt_tokens_details\":null}")
         DONE,
     ANSWER_SSE,
     {"T-UE", .input = 10, .output = 8, .reasoning = 5, .hidden = 5, .chunks = 1, .first_token = 1, .first_visible = 1,
      .text_bytes = 1, .finish = "stop", GPT}},
    {"totals that fit neither way: the larger",
     CHAT,
     DELTA("{\"content\":\"a\"}") FINISH("stop") USAGE("{\"prompt_tokens\":10,\"completion_tokens\":8,\"total_tokens\":"
                                                       "30,\"completion_tokens_details\":{\"reasoning_tokens\":5}}")
         DONE,
     ANSWER_SSE,
     {"T-UE", .input = 10, .output = 20, .reasoning = 5, .hidden = 5, .chunks = 1, .first_token = 1, .first_visible = 1,
      .text_bytes = 1, .finish = "stop", GPT}},
    {"explicit zeros are known; a written cache is inside the input",
     CHAT,
     FINISH("stop") USAGE("{\"prompt_tokens\":6,\"completion_tokens\":0,\"total_tokens\":6,\"prompt_tokens_details\":{"
                          "\"cached_tokens\":0,"
                          "\"cache_write_tokens\":5}}") DONE,
     ANSWER_SSE,
     {"-UE", .input = 6, .output = 0, .cache_write = 5, .finish = "stop", GPT}},
    {"usage null or beside a choice or an error is not the extra chunk",
     CHAT,
     CHUNK("\"choices\":[],\"usage\":null") CHUNK("\"usage\":{},\"choices\":[" CHOICE("0", "{}", "null") "]")
         CHUNK("\"usage\":{\"prompt_tokens\":1},\"choices\":[],\"error\":{\"message\":\"m\"}") CHUNK("\"usage\":{}")
             CHUNK("\"usage\":{},\"choices\":[]") CHUNK("\"usage\":[],\"choices\":[]"),
     ANSWER_SSE,
     {"--X-U-", .input = 1, .output_unknown = true, .failed = true, .unterminated = true, GPT}},
    {"audio counts as a token but not as text; its transcript does",
     CHAT,
     DELTA("{\"audio\":{\"id\":\"a\",\"data\":\"AAAA\"}}") DELTA("{\"audio\":{\"transcript\":\"hi\"}}") FINISH("stop")
         DONE,
     ANSWER_SSE,
     {"TT-E", .chunks = 2, .first_token = 1, .first_visible = 1, .text_bytes = 2, .finish = "stop", GPT, NO_USAGE}},
    {"an event that is no JSON is nothing",
     CHAT,
     "data: {\"choices\":[{\"delta\":{\"content\":\"a\"}}\n\n" DELTA("{\"content\":\"b\"}") DONE,
     ANSWER_SSE,
     {"-TE", .chunks = 1, .first_token = 2, .first_visible = 2, .text_bytes = 1, GPT, NO_USAGE}},
    {"escapes count as what they stand for",
     CHAT,
     DELTA("{\"content\":\"\\u00e9\\n\\u20ac\\ud83d\\ude00\\\"\"}") FINISH("stop") DONE,
     ANSWER_SSE,
     {"T-E", .chunks = 1, .first_token = 1, .first_visible = 1, .text_bytes = 11, .finish = "stop", GPT, NO_USAGE}},
    {"BOM, lone CR, data without a space, over two lines, an event name, no last empty line",
     CHAT,
     "\xef\xbb\xbf"
     "data:{\"model\":\"m\",\"choices\":[{\"index\":0,\r"
     "data:\"delta\":{\"content\":\"\xc3\xa9\"},\"finish_reason\":null}]}\r\revent: "
     "x\rdata:{\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\r\r"
     "data:   [DONE]",
     ANSWER_SSE,
     {"T-", .chunks = 1, .first_token = 1, .first_visible = 1, .text_bytes = 2, .finish = "stop", .model = "m",
      NO_USAGE}},
    {"CRLF everywhere",
     CHAT,
     "data: "
     "{\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"length\"}]}"
     "\r\n\r\ndata: [DONE]\r\n\r\n",
     ANSWER_SSE,
     {"TE", .chunks = 1, .first_token = 1, .first_visible = 1, .text_bytes = 1, .finish = "length", .model = "m",
      NO_USAGE}},
    {"an error's name counts when it is the second one",
     CHAT,
     "event: x\nevent: error\ndata: {}\n\n" DONE,
     ANSWER_SSE,
     {"XE", .failed = true, NO_USAGE}},
    {"a choice without an index is where it stands",
     CHAT,
     CHUNK("\"choices\":[" CHOICE("0", "{\"content\":\"a\"}", "\"stop\"") ",{\"delta\":{\"content\":\"b\"}}]"),
     ANSWER_SSE,
     {"T", .chunks = 1, .first_token = 1, .first_visible = 1, .text_bytes = 2, .finish = "stop", GPT, NO_USAGE,
      .unterminated = true}},
    {"without a total, more reasoning than output stands beside it",
     CHAT,
     FINISH("stop") USAGE(
         "{\"prompt_tokens\":10,\"completion_tokens\":8,\"completion_tokens_details\":{\"reasoning_tokens\":9}}") DONE,
     ANSWER_SSE,
     {"-UE", .input = 10, .output = 17, .reasoning = 9, .hidden = 9, .finish = "stop", GPT}},
    {"an event named error has failed, whatever it holds",
     CHAT,
     "event: error\ndata: oops\n\n" DONE,
     ANSWER_SSE,
     {"XE", .failed = true, NO_USAGE}},
    {"of two names the last counts, and names do not last",
     CHAT,
     "event: error\nevent: errors\ndata: {}\n\nevent: errorx\n\nevent: err\ndata: {}\n\n" DONE,
     ANSWER_SSE,
     {"---E", NO_USAGE}},
    {"a name that is too long for what it is kept in is cut at a character",
     CHAT,
     DATA("{\"model\":\"" FIFTY
          "012345678901234567890123456789012345678901234\xc3\xa9\",\"choices\":[{\"index\":0,\"delta\":{},"
          "\"finish_reason\":\"" FIFTY "\"}]}") DONE,
     ANSWER_SSE,
     {"-E", .finish = "0123456789012345678901234567890123456789", NO_USAGE,
      .model = FIFTY "012345678901234567890123456789012345678901234"}},
    {"text completions",
     DIALECT_OPENAI,
     OPERATION_TEXT_COMPLETION,
     SSE,
     DATA("{\"object\":\"text_completion\",\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":"
          "null}]}") DATA("{\"object\":\"text_completion\",\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"ab\","
                          "\"finish_reason\":\"length\"}]}") DATA("{\"choices\":[],\"usage\":" SMALL_USAGE "}") DONE,
     ANSWER_SSE,
     {"-TUE", .input = 9, .output = 2, .chunks = 1, .first_token = 2, .first_visible = 2, .text_bytes = 2,
      .finish = "length", .model = "m"}},
};

#define JSON "application/json"
static const struct fixture bodies[] = {
    {"a whole answer",
     DIALECT_OPENAI,
     OPERATION_CHAT,
     JSON,
     "{\"id\":\"c\",\"object\":\"chat.completion\",\"model\":\"gpt-x-2026\",\"choices\":[{\"index\":0,\"message\":{"
     "\"role\":\"assistant\","
     "\"content\":\"Hi\",\"tool_calls\":[{\"id\":\"a\",\"type\":\"function\",\"function\":{\"name\":\"f\","
     "\"arguments\":\"{}\"}}]},"
     "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":12,\"total_tokens\":21,"
     "\"completion_tokens_details\":{\"reasoning_tokens\":7}}}",
     ANSWER_JSON,
     {"", .input = 9, .output = 12, .reasoning = 7, .text_bytes = 5, .finish = "stop", GPT}},
    {"blank lines while queued",
     DIALECT_OPENAI,
     OPERATION_CHAT,
     JSON,
     "\n\n\n{\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],"
     "\"usage\":" SMALL_USAGE "}\n",
     ANSWER_JSON,
     {"", .input = 9, .output = 2, .text_bytes = 1, .finish = "stop", .model = "m"}},
    {"a cut body",
     DIALECT_OPENAI,
     OPERATION_CHAT,
     JSON,
     "{\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":{\"content\":\"abc\"},",
     ANSWER_JSON,
     {"", NO_USAGE, .unterminated = true, .text_bytes = 3, .model = "m"}},
    {"a stream request answered with an error object",
     CHAT,
     "{\"error\":{\"message\":\"m\",\"type\":\"t\",\"param\":null,\"code\":null}}",
     ANSWER_JSON,
     {"", NO_USAGE, .failed = true}},
    {"an error that is a string",
     DIALECT_OPENAI,
     OPERATION_CHAT,
     JSON,
     "{\"code\":\"c\",\"error\":\"text\"}",
     ANSWER_JSON,
     {"", NO_USAGE, .failed = true}},
    {"a flat error",
     DIALECT_OPENAI,
     OPERATION_CHAT,
     JSON,
     "{\"object\":\"error\",\"message\":\"m\",\"code\":400}",
     ANSWER_JSON,
     {"", NO_USAGE, .failed = true}},
    {"an error that is null, false, 0 or empty is none",
     DIALECT_OPENAI,
     OPERATION_CHAT,
     JSON,
     "{\"error\":null,\"model\":\"m\",\"choices\":[{\"error\":false},{\"error\":0},{\"error\":\"\"},{\"error\":{}}]}",
     ANSWER_JSON,
     {"", NO_USAGE, .model = "m"}},
    {"embeddings: all input, known to have no output",
     DIALECT_OPENAI,
     OPERATION_EMBEDDINGS,
     JSON,
     "{\"object\":\"list\",\"data\":[{\"index\":0,\"embedding\":[0.1,-2e-3,[]]}],\"model\":\"e\",\"usage\":{\"prompt_"
     "tokens\":8,\"total_tokens\":8}}",
     ANSWER_JSON,
     {"", .input = 8, .output = 0, .model = "e"}},
    {"no JSON at all",
     DIALECT_OPENAI,
     OPERATION_CHAT,
     "text/html",
     "<html>{\"error\":1}</html>",
     ANSWER_OPAQUE,
     {"", NO_USAGE}},
    {"compressed in spite of identity", CHAT, "\x1f\x8b\x08{\"error\":{\"a\":1}}\n\n", ANSWER_OPAQUE, {"", NO_USAGE}},
    {"speech", DIALECT_OPENAI, OPERATION_SPEECH, "audio/mpeg", "{ID3 whatever", ANSWER_OPAQUE, {"", NO_USAGE}},
    {"an event stream by another name",
     DIALECT_OPENAI,
     OPERATION_CHAT,
     "text/plain",
     DELTA("{\"content\":\"a\"}") FINISH("stop") DONE,
     ANSWER_SSE,
     {"T-E", .chunks = 1, .first_token = 1, .first_visible = 1, .text_bytes = 1, .finish = "stop", GPT, NO_USAGE}},
    {"pass-through of a stream nobody knows ends when it ends",
     DIALECT_OPENAI,
     OPERATION_PASSTHROUGH,
     SSE,
     DATA("{\"x\":1}") DATA("{\"x\":2}"),
     ANSWER_SSE,
     {"--", NO_USAGE}},
    {"pass-through of a chat that is cut",
     DIALECT_OPENAI,
     OPERATION_PASSTHROUGH,
     SSE,
     DELTA("{\"content\":\"a\"}"),
     ANSWER_SSE,
     {"T", .chunks = 1, .first_token = 1, .first_visible = 1, .text_bytes = 1, GPT, NO_USAGE, .unterminated = true}},
};

#define NDJSON "application/x-ndjson"
#define OLLAMA DIALECT_OPENAI, OPERATION_PASSTHROUGH, NDJSON
#define UNTIMED .first_token = -1, .first_visible = -1
static const struct fixture lines[] = {
    {"Ollama: lines, times of its own",
     OLLAMA,
     "{\"model\":\"llama3\",\"message\":{\"role\":\"assistant\",\"content\":\"Hi\"},\"done\":false}\n"
     "{\"model\":\"llama3\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":"
     "\"stop\",\"total_duration\":5000000,"
     "\"load_duration\":1000000,\"prompt_eval_count\":26,\"prompt_eval_duration\":2000000,\"eval_count\":2,\"eval_"
     "duration\":1000000}\n",
     ANSWER_NDJSON,
     {"", .input = 26, .output = 2, .chunks = 1, UNTIMED, .text_bytes = 2, .provider_ns = 5000000, .finish = "stop",
      .model = "llama3"}},
    {"Ollama: a missing count is unknown; thinking and tools are tokens; CRLF",
     OLLAMA,
     "{\"model\":\"m\",\"message\":{\"thinking\":\"hm\"},\"done\":false}\r\n{\"message\":{\"content\":\"\",\"tool_"
     "calls\":[{\"function\":{\"name\":\"f\","
     "\"arguments\":{}}}]},\"done\":false}\r\n{\"done\":true,\"done_reason\":\"stop\",\"eval_count\":3}",
     ANSWER_NDJSON,
     {"", .output = 3, .input_unknown = true, .chunks = 2, UNTIMED, .text_bytes = 44, .finish = "stop", .model = "m"}},
    {"Ollama: an error line",
     OLLAMA,
     "{\"model\":\"m\",\"response\":\"a\",\"done\":false}\n{\"error\":\"x\"}\n",
     ANSWER_NDJSON,
     {"", NO_USAGE, .chunks = 1, UNTIMED, .text_bytes = 1, .failed = true, .unterminated = true, .model = "m"}},
    {"Ollama: cut",
     OLLAMA,
     "{\"model\":\"m\",\"response\":\"a\",\"done\":false}\n{\"model\":\"m\",\"resp",
     ANSWER_NDJSON,
     {"", NO_USAGE, .chunks = 1, UNTIMED, .text_bytes = 1, .unterminated = true, .model = "m"}},
};

static void streams_are_observed_alike_however_cut(void **state) {
    (void)state;
    expect_fixtures(streams, sizeof streams / sizeof *streams);
}

static void whole_bodies_and_mistaken_types_are_observed(void **state) {
    (void)state;
    expect_fixtures(bodies, sizeof bodies / sizeof *bodies);
}

static void lines_are_observed(void **state) {
    (void)state;
    expect_fixtures(lines, sizeof lines / sizeof *lines);
}

static void take(struct observer *o, const char *text, uint64_t wake_ns) {
    bool ended;
    enum event_verdict verdict;
    size_t n = strlen(text), at = 0;
    while (at < n) at += observer_take(o, text + at, n - at, wake_ns, &ended, &verdict);
}

static void gaps_lie_between_events_that_carry_tokens(void **state) {
    (void)state;
    void *memory = malloc(observer_bytes());
    struct observer *o = observer_init(memory, DIALECT_OPENAI, OPERATION_CHAT, true, SLICE(SSE), 200);
    const struct observation *seen = observer_seen(o);
    take(o, ROLE, 10100);
    assert_false(observer_started(o));
    take(o, DELTA("{\"content\":\"a\"}"), 11000);
    assert_true(observer_started(o));
    take(o, ROLE ": comment\n\n", 15000);
    take(o, DELTA("{\"content\":\"b\"}") DELTA("{\"content\":\"c\"}"), 18000);
    take(o, FINISH("stop") DONE, 90000);
    observer_end(o, 100000);
    assert_int_equal(seen->first_event_ns, 10100);
    assert_int_equal(seen->first_token_ns, 11000);
    assert_int_equal(seen->last_token_ns, 18000);
    assert_int_equal(seen->gap_max_ns, 7000);
    assert_int_equal(seen->chunks, 3);
    free(memory);
}

static void lines_get_the_time_of_the_bytes_that_end_them(void **state) {
    (void)state;
    void *memory = malloc(observer_bytes());
    struct observer *o = observer_init(memory, DIALECT_OPENAI, OPERATION_PASSTHROUGH, true, SLICE(NDJSON), 200);
    take(o, "{\"response\":\"a\"", 100);
    assert_false(observer_started(o));
    take(o, "}\n", 200);
    assert_true(observer_started(o));
    take(o, "{\"response\":\"b\"}\n", 900);
    assert_int_equal(observer_seen(o)->first_token_ns, 200);
    assert_int_equal(observer_seen(o)->gap_max_ns, 700);
    free(memory);
}

static void a_body_without_tokens_has_started_with_its_first_byte(void **state) {
    (void)state;
    void *memory = malloc(observer_bytes());
    struct observer *o = observer_init(memory, DIALECT_OPENAI, OPERATION_CHAT, false, SLICE(JSON), 200);
    take(o, "\r\n ", 100);
    assert_false(observer_started(o));
    take(o, "{", 200);
    assert_true(observer_started(o));
    assert_int_equal(observer_seen(o)->first_token_ns, 0);
    o = observer_init(memory, DIALECT_OPENAI, OPERATION_SPEECH, false, SLICE("audio/mpeg"), 200);
    assert_false(observer_started(o));
    take(o, " ", 100);
    assert_true(observer_started(o));
    free(memory);
}

static void an_error_under_an_error_status_is_no_news(void **state) {
    (void)state;
    void *memory = malloc(observer_bytes());
    struct observer *o = observer_init(memory, DIALECT_OPENAI, OPERATION_CHAT, false, SLICE(JSON), 429);
    take(o, "{\"error\":{\"message\":\"m\"}}", 1);
    observer_end(o, 2);
    assert_false(observer_seen(o)->failed);
    free(memory);
}

static void an_observer_is_small(void **state) {
    (void)state;
    assert_in_range(observer_bytes(), 1, 2560);
}

/* A five-megabyte event: the state does not grow and what stands around the large value is still found. */
static void an_event_of_any_size_is_read(void **state) {
    (void)state;
    void *memory = malloc(observer_bytes());
    struct observer *o = observer_init(memory, DIALECT_OPENAI, OPERATION_CHAT, true, SLICE(SSE), 200);
    static char block[65536];
    memset(block, 'A', sizeof block);
    take(o, "data: {\"choices\":[{\"index\":0,\"delta\":{\"images\":[{\"url\":\"", 1);
    bool ended;
    enum event_verdict verdict;
    for (int i = 0; i < 80; i++)
        assert_int_equal(observer_take(o, block, sizeof block, 2, &ended, &verdict), sizeof block);
    take(o, "\"}],\"content\":\"", 3);
    for (int i = 0; i < 80; i++)
        assert_int_equal(observer_take(o, block, sizeof block, 4, &ended, &verdict), sizeof block);
    take(o, "\"},\"finish_reason\":\"stop\"}]}\n\n", 5);
    observer_end(o, 6);
    assert_int_equal(observer_seen(o)->text_bytes, 80 * sizeof block);
    assert_int_equal(observer_seen(o)->first_token_ns, 5);
    assert_true(observer_seen(o)->terminated);
    free(memory);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(streams_are_observed_alike_however_cut),
        cmocka_unit_test(whole_bodies_and_mistaken_types_are_observed),
        cmocka_unit_test(lines_are_observed),
        cmocka_unit_test(gaps_lie_between_events_that_carry_tokens),
        cmocka_unit_test(lines_get_the_time_of_the_bytes_that_end_them),
        cmocka_unit_test(a_body_without_tokens_has_started_with_its_first_byte),
        cmocka_unit_test(an_error_under_an_error_status_is_no_news),
        cmocka_unit_test(an_observer_is_small),
        cmocka_unit_test(an_event_of_any_size_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
