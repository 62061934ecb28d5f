/* The endpoints weir understands, as two tables: whole paths, and Gemini's verbs, where the model is part of the path.
 * Matching is by bytes as sent, so nothing a client can write means the same as a row without being it. Pass-through,
 * weir's own endpoints and credentials are others' business. */
#include "llm/operation.h"

#include <assert.h>
#include <stdatomic.h>

#include "facts/names.h"

#define OPERATION_NAME(id, name) [OPERATION_##id] = #name,
static const char *const names[OPERATION_COUNT] = {OPERATIONS(OPERATION_NAME)};
#undef OPERATION_NAME

const char *operation_name(enum operation o) {
    assert(o < OPERATION_COUNT);
    return names[o];
}

uint32_t operation_id(enum operation o) {
    static _Atomic uint32_t ids[OPERATION_COUNT];
    if (o == OPERATION_NONE) return NAME_NONE;
    uint32_t id = atomic_load_explicit(&ids[o], memory_order_acquire);
    if (id != 0) return id;
    id = name_id(slice_of(operation_name(o)));
    atomic_store_explicit(&ids[o], id, memory_order_release);
    return id;
}

static const struct {
    struct slice path;
    enum http_method method;
    enum dialect dialect;
    enum operation operation;
} endpoints[] = {
    {SLICE_INIT("/v1/chat/completions"), HTTP_POST, DIALECT_OPENAI, OPERATION_CHAT},
    {SLICE_INIT("/v1/messages"), HTTP_POST, DIALECT_ANTHROPIC, OPERATION_MESSAGES},
    {SLICE_INIT("/v1/responses"), HTTP_POST, DIALECT_OPENAI, OPERATION_RESPONSES},
    {SLICE_INIT("/v1/embeddings"), HTTP_POST, DIALECT_OPENAI, OPERATION_EMBEDDINGS},
    {SLICE_INIT("/v1/completions"), HTTP_POST, DIALECT_OPENAI, OPERATION_TEXT_COMPLETION},
    {SLICE_INIT("/v1/moderations"), HTTP_POST, DIALECT_OPENAI, OPERATION_MODERATIONS},
    {SLICE_INIT("/v1/images/generations"), HTTP_POST, DIALECT_OPENAI, OPERATION_IMAGE},
    {SLICE_INIT("/v1/audio/speech"), HTTP_POST, DIALECT_OPENAI, OPERATION_SPEECH},
    {SLICE_INIT("/v1/messages/count_tokens"), HTTP_POST, DIALECT_ANTHROPIC, OPERATION_COUNT_TOKENS},
    {SLICE_INIT("/v1/models"), HTTP_GET, DIALECT_OPENAI, OPERATION_MODELS},
};

/* v1beta is the documented one; newer Google SDKs ask for v1 unless told otherwise. */
static const struct slice gemini_prefixes[] = {SLICE_INIT("/v1beta/models/"), SLICE_INIT("/v1/models/")};
static const struct {
    struct slice verb;
    enum operation operation;
    bool stream;
} verbs[] = {
    {SLICE_INIT("generateContent"), OPERATION_GENERATE_CONTENT, false},
    {SLICE_INIT("streamGenerateContent"), OPERATION_GENERATE_CONTENT, true},
    {SLICE_INIT("embedContent"), OPERATION_EMBEDDINGS, false},
    {SLICE_INIT("batchEmbedContents"), OPERATION_EMBEDDINGS, false}, /* what Google's SDKs send */
    {SLICE_INIT("countTokens"), OPERATION_COUNT_TOKENS, false},
};

/* In a path's segment it stands as it is, and need not be escaped (RFC 3986 3.3). */
static bool is_plain(uint8_t c) {
    char lower = ascii_lower((char)c);
    return (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9') ||
           (c != 0 && strchr("-._~!$&'()*+,;=:@", c) != NULL);
}

/* Who decodes the path reads an escaped character as the character: it would be another spelling of a model, which
 * neither the limits nor the price of that name would be found for. */
static bool is_only_spelling(struct slice model) {
    const char *at = model.p, *end = model.p + model.n;
    while ((at = memchr(at, '%', (size_t)(end - at))) != NULL) {
        uint8_t c;
        at++;
        if (end - at >= 2 && hex_decode((struct slice){at, 2}, &c, 1) && is_plain(c)) return false;
    }
    return true;
}

/* One path segment, `model:verb`; the verb is behind the last colon. */
static bool gemini_match(struct slice segment, struct route *route) {
    const char *colon = segment.n ? memrchr(segment.p, ':', segment.n) : NULL;
    if (colon == NULL || colon == segment.p || memchr(segment.p, '/', segment.n)) return false;
    struct slice model = {segment.p, (size_t)(colon - segment.p)};
    struct slice verb = {colon + 1, segment.n - model.n - 1};
    if (!is_only_spelling(model)) return false;
    for (size_t i = 0; i < sizeof verbs / sizeof *verbs; i++) {
        if (!slice_equal(verb, verbs[i].verb)) continue;
        *route = (struct route){.dialect = DIALECT_GEMINI,
                                .operation = verbs[i].operation,
                                .model_in_path = true,
                                .stream_in_path = verbs[i].stream,
                                .model = model,
                                .verb = verb};
        return true;
    }
    return false;
}

enum failure route_match(enum http_method method, struct slice path, struct route *route) {
    *route = (struct route){0};
    for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++) {
        if (!slice_equal(path, endpoints[i].path)) continue;
        route->dialect = endpoints[i].dialect;
        route->operation = endpoints[i].operation;
        return method == endpoints[i].method ? FAILURE_NONE : FAILURE_METHOD_NOT_ALLOWED;
    }
    for (size_t i = 0; i < sizeof gemini_prefixes / sizeof *gemini_prefixes; i++) {
        if (!slice_starts(path, gemini_prefixes[i])) continue;
        struct slice segment = {path.p + gemini_prefixes[i].n, path.n - gemini_prefixes[i].n};
        if (!gemini_match(segment, route)) return FAILURE_NOT_FOUND;
        return method == HTTP_POST ? FAILURE_NONE : FAILURE_METHOD_NOT_ALLOWED;
    }
    return FAILURE_NOT_FOUND;
}
