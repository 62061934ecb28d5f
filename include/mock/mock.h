/* mock/mock.h: a provider that speaks the OpenAI, Anthropic and Gemini dialects, for demos, tests and benches. It
 * answers from a thread and a loop of its own; what it answers, when, and how it misbehaves is set by knobs: defaults
 * in the options, and per request by `x-mock-NAME: VALUE` headers or a `mock=NAME:VALUE,NAME:VALUE` query parameter. */
#pragma once
#include "base/slice.h"

#define MOCK_FAULTS "none|error_event|reset|truncate|stall|garbage|bad_event|reset_head|close_head|bad_head"

/*        id                  name                  default choices, or NULL for a number         what it does */
#define MOCK_KNOBS(X)                                                                                                  \
    X(HEAD_MS, "head_ms", 0, NULL, "milliseconds before the answer's head")                                            \
    X(TTFT_MS, "ttft_ms", 0, NULL, "milliseconds from the head to the first token")                                    \
    X(GAP_MS, "gap_ms", 0, NULL, "milliseconds between two writes of a stream; 0 sends it in one burst")               \
    X(JITTER_MS, "jitter_ms", 0, NULL, "up to this much is added to each gap and to the first token, at random")       \
    X(TOKENS, "tokens", 20, NULL, "visible output tokens; the request's own maximum caps them")                        \
    X(INPUT_TOKENS, "input_tokens", 12, NULL, "input tokens reported, those read from or written to a cache included") \
    X(CACHED_TOKENS, "cached_tokens", 0, NULL, "input tokens read from the prompt cache")                              \
    X(CACHE_WRITE_TOKENS, "cache_write_tokens", 0, NULL, "input tokens written to the prompt cache (Anthropic)")       \
    X(REASONING_TOKENS, "reasoning_tokens", 0, NULL, "reasoning tokens, on top of the visible ones")                   \
    X(SHOW_REASONING, "show_reasoning", 0, NULL, "1: reasoning is streamed, one event a token; 0: it only costs")      \
    X(TOKEN_BYTES, "token_bytes", 0, NULL, "bytes of text a token has; 0: words of natural length")                    \
    X(UTF8, "utf8", 0, NULL, "1: words in other scripts, so that cuts fall inside characters")                         \
    X(PER_EVENT, "per_event", 1, NULL, "tokens in one event")                                                          \
    X(PER_WRITE, "per_write", 1, NULL, "events in one write (and one chunk)")                                          \
    X(SPLIT, "split", 0, NULL, "send in pieces of so many bytes, a segment each, wherever that cuts")                  \
    X(SPLIT_MS, "split_ms", 0, NULL, "milliseconds between two such pieces")                                           \
    X(USAGE, "usage", 0, "auto|always|never", "auto: as the real provider does (OpenAI streams: only when asked)")     \
    X(FINISH, "finish", 0, "auto|stop|length|content_filter", "why the answer ends")                                   \
    X(TOOLS, "tools", 0, NULL, "1: answer with a call of the request's first tool, when it has any")                   \
    X(BODY_BYTES, "body_bytes", 1000, NULL, "size that answers which are not streamed are padded to")                  \
    X(DONE, "done", 1, NULL, "0: leave out the stream's terminator")                                                   \
    X(PING, "ping", 0, NULL, "so many comments or pings before the first token")                                       \
    X(ERROR, "error", 0, NULL, "answer with this status and an error of the dialect")                                  \
    X(ERROR_BODY, "error_body", 0, "json|html|empty", "what an error's body is")                                       \
    X(RETRY_AFTER, "retry_after", 0, NULL, "seconds, sent with errors")                                                \
    X(LEAK, "leak", 0, NULL, "1: errors repeat the key that was sent")                                                 \
    X(FAULT, "fault", 0, MOCK_FAULTS, "how the answer goes wrong")                                                     \
    X(FAULT_AFTER, "fault_after", 3, NULL, "… after so many events (bodies that are not streamed: half-way)")          \
    X(FAULT_BYTES, "fault_bytes", 0, NULL, "… after so many bytes of the body instead")                                \
    X(FRAMING, "framing", 0, "auto|chunked|length|close",                                                              \
      "how the body is framed; auto: streams chunked, others length; a stream has no length, and stays chunked")       \
    X(CLOSE, "close", 0, NULL, "1: close the connection after the answer")                                             \
    X(EARLY, "early", 0, NULL, "1: answer when the head has come, before the body")                                    \
    X(STALL_READ, "stall_read", 0, NULL, "1: never read the request's body")                                           \
    X(INTERIM, "interim", 0, NULL, "so many 103 heads before the answer")                                              \
    X(NOISE, "noise", 0, NULL, "1: add cookies, organisation, rate limits and other headers a provider sends")         \
    X(ECHO, "echo", 0, NULL, "1: answer with the request as it came: {\"head\":…,\"body\":…}")

#define MOCK_KNOB_ENUM(id, name, initial, choices, help) MOCK_##id,
enum mock_knob { MOCK_KNOBS(MOCK_KNOB_ENUM) MOCK_KNOB_COUNT };
#undef MOCK_KNOB_ENUM

struct mock_knobs {
    uint64_t value[MOCK_KNOB_COUNT]; /* of a knob with choices: the choice's index */
};
struct mock_knob_row {
    const char *name, *choices, *help;
    uint64_t initial;
};
const struct mock_knob_row *mock_knob_row(enum mock_knob k);
void mock_knobs_init(struct mock_knobs *knobs); /* the defaults */
/* Sets one knob by its name, in any case and with `-` for `_`. False (and unchanged) for an unknown name or bad value.
 */
bool mock_knob_set(struct mock_knobs *knobs, struct slice name, struct slice value);

struct mock;
struct mock_options {                        /* all borrowed until mock_start() returns */
    const char *host, *port;                 /* where to listen; port "0" takes a free one */
    const char *certificate_file, *key_file; /* TLS when both are given */
    const char *key;                         /* the only credential taken; NULL: any */
    struct mock_knobs knobs;
};

/* Listens, and answers from a thread of its own until mock_stop(). NULL with a message when it cannot. */
struct mock *mock_start(const struct mock_options *o, char *error, size_t error_bytes);
unsigned short mock_port(const struct mock *m);
void mock_stop(struct mock *m); /* closes every connection, joins the thread, frees; not from the mock's own thread */
