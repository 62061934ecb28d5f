/* mock/operations.h: which request is which operation. One row here, and a function that writes its answer, is all a
 * new endpoint takes. */
#pragma once
#include "facts/dialect.h"
#include "http/head.h"

/*        id              dialect    methods      path                  body's required members (JSON bodies only) */
#define OPERATIONS(X)                                                                                                  \
    X(CHAT, OPENAI, ON_POST, "/v1/chat/completions", NEED_MODEL | NEED_MESSAGES)                                       \
    X(COMPLETIONS, OPENAI, ON_POST, "/v1/completions", NEED_MODEL | NEED_PROMPT)                                       \
    X(RESPONSES, OPENAI, ON_POST, "/v1/responses", NEED_MODEL | NEED_INPUT)                                            \
    X(EMBEDDINGS, OPENAI, ON_POST, "/v1/embeddings", NEED_MODEL | NEED_INPUT)                                          \
    X(MODERATIONS, OPENAI, ON_POST, "/v1/moderations", NEED_INPUT)                                                     \
    X(IMAGES, OPENAI, ON_POST, "/v1/images/generations", NEED_PROMPT)                                                  \
    X(SPEECH, OPENAI, ON_POST, "/v1/audio/speech", NEED_MODEL | NEED_INPUT)                                            \
    X(MESSAGES, ANTHROPIC, ON_POST, "/v1/messages", NEED_MODEL | NEED_MESSAGES | NEED_MAX_TOKENS)                      \
    X(COUNT_TOKENS, ANTHROPIC, ON_POST, "/v1/messages/count_tokens", NEED_MODEL | NEED_MESSAGES)                       \
    X(GENERATE, GEMINI, ON_POST, "/models/*:generateContent", NEED_CONTENTS)                                           \
    X(STREAM_GENERATE, GEMINI, ON_POST, "/models/*:streamGenerateContent", NEED_CONTENTS)                              \
    X(EMBED, GEMINI, ON_POST, "/models/*:embedContent", NEED_CONTENT)                                                  \
    X(BATCH_EMBED, GEMINI, ON_POST, "/models/*:batchEmbedContents", NEED_REQUESTS)                                     \
    X(COUNT_GEMINI, GEMINI, ON_POST, "/models/*:countTokens", 0)                                                       \
    X(MODELS, OPENAI, ON_GET, "/v1/models", 0)                                                                         \
    X(MODEL, OPENAI, ON_GET, "/v1/models/*", 0)                                                                        \
    X(FILES, OPENAI, ON_ANY, "/v1/files*", 0)                                                                          \
    X(STATS, OPENAI, ON_GET, "/mock/stats", 0)

enum { ON_GET = 1, ON_POST = 2, ON_ANY = 3 };
enum {
    NEED_MODEL = 1,
    NEED_MESSAGES = 2,
    NEED_PROMPT = 4,
    NEED_INPUT = 8,
    NEED_MAX_TOKENS = 16,
    NEED_CONTENTS = 32,
    NEED_CONTENT = 64,
    NEED_REQUESTS = 128
};

#define OPERATION_ENUM(id, dialect, methods, path, needs) OPERATION_##id,
enum operation { OPERATIONS(OPERATION_ENUM) OPERATION_COUNT };
#undef OPERATION_ENUM

struct operation_row {
    enum dialect dialect;
    unsigned methods, needs;
    struct slice path; /* may hold one `*`; Gemini's without its version, /v1beta or /v1 */
};
const struct operation_row *operation_row(enum operation o);
enum operation operation_of(struct slice path); /* OPERATION_COUNT: none */
bool operation_takes(enum operation o, enum http_method method);
bool operation_reads_json(enum operation o, enum http_method method); /* the body must be one JSON object */
struct slice operation_path_model(enum operation o,
                                  struct slice path); /* what the path's `*` stands for; may be empty */
bool operation_generates(enum operation o);           /* its answer is made of output tokens */
enum dialect dialect_of_path(struct slice path);      /* in whose form an unknown path is refused */
