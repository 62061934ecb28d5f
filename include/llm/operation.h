/* llm/operation.h: the endpoints weir understands: path → dialect, operation, how model and stream are found. One row
 * in llm/operation.c is all a new one takes. */
#pragma once
#include "facts/dialect.h"
#include "http/head.h"

#define OPERATIONS(X)                                                                                                  \
    X(CHAT, chat)                                                                                                      \
    X(TEXT_COMPLETION, text_completion)                                                                                \
    X(RESPONSES, responses)                                                                                            \
    X(EMBEDDINGS, embeddings)                                                                                          \
    X(MODERATIONS, moderations)                                                                                        \
    X(IMAGE, image_generation)                                                                                         \
    X(SPEECH, speech)                                                                                                  \
    X(MESSAGES, chat)                                                                                                  \
    X(COUNT_TOKENS, count_tokens)                                                                                      \
    X(GENERATE_CONTENT, generate_content)                                                                              \
    X(MODELS, models)                                                                                                  \
    X(PASSTHROUGH, passthrough)                                                                                        \
    X(USAGE, usage)                                                                                                    \
    X(LIVE, live)

#define OPERATION_ENUM(id, name) OPERATION_##id,
enum operation { OPERATION_NONE, OPERATIONS(OPERATION_ENUM) OPERATION_COUNT };
#undef OPERATION_ENUM
/* As in the record's `operation`, in OpenTelemetry's words where it has one: chat and messages are "chat",
 * generate_content, text_completion, embeddings …; NULL for NONE. */
const char *operation_name(enum operation o);
uint32_t operation_id(enum operation o); /* its name's id (facts/names.h); NAME_NONE for NONE; any thread */
/* Answered by weir itself, to GET only; counted apart from the use of models. */
static inline bool operation_is_own(enum operation o) {
    return o == OPERATION_MODELS || o == OPERATION_USAGE || o == OPERATION_LIVE;
}

struct route { /* what a request line asks for */
    enum dialect dialect;
    enum operation operation;
    bool model_in_path;       /* Gemini: `model` is a slice of the path */
    bool stream_in_path;      /* Gemini: :streamGenerateContent */
    struct slice model, verb; /* Gemini */
};
/* Paths are matched as sent: nothing is decoded or folded. FAILURE_NONE, NOT_FOUND or METHOD_NOT_ALLOWED (then the
 * dialect is known, for the words of the refusal). Pass-through and weir's own endpoints are NOT_FOUND here. */
enum failure route_match(enum http_method method, struct slice path, struct route *route);
