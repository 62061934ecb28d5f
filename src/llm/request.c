/* What weir must know of a request body: the model, whether the answer is to be streamed, how long it may get. The hard
 * part is that two readers of one body may disagree: a member that stands twice is taken from its first place by some
 * parsers and from its last by others, and then weir would decide about another request than the provider answers. So
 * any decision member that is repeated, however it is escaped, makes the body a bad one, and so does `model` in
 * capitals: there are parsers that take it for the same. The body itself is never changed; edits are ranges
 * (json/splice.h). */
#include "llm/request.h"

#include <assert.h>
#include <pthread.h>

#include "base/json_text.h"

enum found {
    FOUND_MODEL,
    FOUND_STREAM,
    FOUND_OPTIONS,
    FOUND_INCLUDE_USAGE,
    FOUND_MAX_TOKENS,
    FOUND_CHOICES,
    FOUND_CONFIG,
    FOUND_ALIKE /* `Model`, `MODEL`, … */
};

static const struct json_path chat_paths[] = {
    {"model", FOUND_MODEL},
    {"stream", FOUND_STREAM},
    {"stream_options", FOUND_OPTIONS},
    {"stream_options.include_usage", FOUND_INCLUDE_USAGE},
    {"max_tokens", FOUND_MAX_TOKENS},
    {"max_completion_tokens", FOUND_MAX_TOKENS},
    {"n", FOUND_CHOICES},
};
static const struct json_path plain_paths[] = {
    {"model", FOUND_MODEL},
    {"stream", FOUND_STREAM},
    {"max_tokens", FOUND_MAX_TOKENS},
    {"max_output_tokens", FOUND_MAX_TOKENS},
    {"n", FOUND_CHOICES},
};
static const struct json_path gemini_paths[] = {
    /* both spellings are JSON for the same protocol buffer */
    {"generationConfig", FOUND_CONFIG},
    {"generationConfig.maxOutputTokens", FOUND_MAX_TOKENS},
    {"generationConfig.max_output_tokens", FOUND_MAX_TOKENS},
    {"generationConfig.candidateCount", FOUND_CHOICES},
    {"generationConfig.candidate_count", FOUND_CHOICES},
    {"generation_config", FOUND_CONFIG},
    {"generation_config.maxOutputTokens", FOUND_MAX_TOKENS},
    {"generation_config.max_output_tokens", FOUND_MAX_TOKENS},
    {"generation_config.candidateCount", FOUND_CHOICES},
    {"generation_config.candidate_count", FOUND_CHOICES},
};

#define COUNT(array) (sizeof(array) / sizeof *(array))

static struct json_paths *chat, *plain, *gemini;
static pthread_once_t compile_once = PTHREAD_ONCE_INIT;

/* The wanted paths, and every way to write `model` with capitals. */
static struct json_paths *paths_with_alike(const struct json_path *wanted, size_t count) {
    static const char model[] = "model";
    enum { LETTERS = sizeof model - 1, ALIKE = (1 << LETTERS) - 1 };
    struct json_path paths[ALIKE + 16];
    char names[ALIKE][sizeof model];
    assert(count <= 16);
    for (unsigned n = 0; n < ALIKE; n++) {
        unsigned capitals = n + 1;
        for (unsigned i = 0; i <= LETTERS; i++) names[n][i] = (char)(model[i] - (capitals >> i & 1 ? 'a' - 'A' : 0));
        paths[n] = (struct json_path){names[n], FOUND_ALIKE};
    }
    memcpy(paths + ALIKE, wanted, count * sizeof *wanted); /* last is found first */
    return json_paths_new(paths, ALIKE + count);
}

static void paths_compile(void) {
    chat = paths_with_alike(chat_paths, COUNT(chat_paths));
    plain = paths_with_alike(plain_paths, COUNT(plain_paths));
    gemini = json_paths_new(gemini_paths, COUNT(gemini_paths));
}

static bool has_stream_options(enum dialect dialect, enum operation operation) {
    return dialect == DIALECT_OPENAI && (operation == OPERATION_CHAT || operation == OPERATION_TEXT_COMPLETION);
}

static void model_found(struct request_facts *f, const struct json_value *v) {
    f->model_seen = true;
    f->model_begin = v->begin;
    f->model_end = v->end;
    if (v->type != JSON_STRING || v->length == 0) {
        f->failure = FAILURE_NO_MODEL;
        return;
    }
    size_t n = 0;
    bool whole = v->length == v->text.n && json_unescape(v->text, f->model, sizeof f->model, &n);
    if (!whole)
        f->failure = FAILURE_BAD_JSON;
    else
        f->model_length = (unsigned)n;
}

static void larger_number(const struct json_value *v, uint32_t *largest) {
    uint32_t value;
    if (v->type == JSON_NUMBER && json_number_u32(v->text, &value) && value > *largest) *largest = value;
}

static void value_found(void *context, const struct json_value *v) {
    struct request_facts *f = context;
    if (f->failure == FAILURE_BAD_JSON) return;
    if (v->member_repeated || v->id == FOUND_ALIKE) {
        f->failure = FAILURE_BAD_JSON;
        return;
    }
    switch ((enum found)v->id) {
    case FOUND_MODEL:
        model_found(f, v);
        break;
    case FOUND_STREAM:
        f->stream_seen = true;
        f->stream = v->type == JSON_TRUE;
        break;
    case FOUND_OPTIONS:
        f->options_type = v->type;
        f->options_begin = v->begin;
        f->options_end = v->end;
        f->options_members = v->length;
        break;
    case FOUND_INCLUDE_USAGE:
        f->include_usage = v->type;
        f->include_usage_begin = v->begin;
        f->include_usage_end = v->end;
        break;
    case FOUND_MAX_TOKENS:
        larger_number(v, &f->max_tokens);
        break;
    case FOUND_CHOICES:
        larger_number(v, &f->choices);
        break;
    case FOUND_CONFIG:
    case FOUND_ALIKE:
        break; /* looked at only for being there twice, or at all */
    }
}

void request_scan_begin(struct request_facts *f, enum dialect dialect, enum operation operation) {
    assert(dialect < DIALECT_COUNT && operation < OPERATION_COUNT);
    pthread_once(&compile_once, paths_compile);
    *f = (struct request_facts){.dialect = dialect, .operation = operation, .choices = 1};
    const struct json_paths *paths = dialect == DIALECT_GEMINI                ? gemini
                                     : has_stream_options(dialect, operation) ? chat
                                                                              : plain;
    json_scan_init(&f->scan, paths, JSON_STRICT, value_found, f);
}

/* False: the body is something else than an object. */
static bool object_begins(struct request_facts *f, const char *p, size_t n) {
    size_t i = 0;
    while (i < n && (p[i] == ' ' || p[i] == '\t' || p[i] == '\n' || p[i] == '\r')) i++;
    if (i < n) f->is_object = p[i] == '{';
    return i == n || f->is_object;
}

enum failure request_scan_feed(struct request_facts *f, const char *p, size_t n) {
    f->scan.context = f; /* the caller may have moved the facts */
    if (!f->is_object && f->failure != FAILURE_BAD_JSON && !object_begins(f, p, n)) f->failure = FAILURE_BAD_JSON;
    if (f->failure != FAILURE_BAD_JSON && json_scan_feed(&f->scan, p, n) == JSON_BAD) f->failure = FAILURE_BAD_JSON;
    return f->failure == FAILURE_BAD_JSON ? FAILURE_BAD_JSON : FAILURE_NONE;
}

enum failure request_scan_end(struct request_facts *f) {
    f->scan.context = f;
    if (f->failure != FAILURE_BAD_JSON && json_scan_end(&f->scan) != JSON_DONE) f->failure = FAILURE_BAD_JSON;
    if (f->failure == FAILURE_NONE && !f->model_seen && f->dialect != DIALECT_GEMINI) f->failure = FAILURE_NO_MODEL;
    assert(f->failure == FAILURE_BAD_JSON || f->is_object);
    return f->failure;
}

/* What goes where, by what stands in stream_options. */
bool request_inject_usage(const struct request_facts *f, struct splice *edits, struct arena *arena) {
    (void)arena; /* every replacement is a constant; the caller's interface does not depend on that */
    if (!f->stream || !has_stream_options(f->dialect, f->operation)) return false;
    assert(f->failure == FAILURE_NONE && f->model_seen);
    uint64_t options_bytes = f->options_end - f->options_begin;
    switch (f->options_type) {
    case JSON_NONE:
        splice_add(edits, f->model_end, 0, SLICE(",\"stream_options\":{\"include_usage\":true}"));
        return true;
    case JSON_NULL:
        splice_add(edits, f->options_begin, options_bytes, SLICE("{\"include_usage\":true}"));
        return true;
    case JSON_OBJECT:
        break;
    default:
        return false;
    }
    switch (f->include_usage) {
    case JSON_NONE:
        splice_add(edits, f->options_begin + 1, 0,
                   f->options_members ? SLICE("\"include_usage\":true,") : SLICE("\"include_usage\":true"));
        return true;
    case JSON_FALSE:
    case JSON_NULL:
        splice_add(edits, f->include_usage_begin, f->include_usage_end - f->include_usage_begin, SLICE("true"));
        return true;
    default:
        return false;
    }
}

void request_replace_model(const struct request_facts *f, struct slice model, struct splice *edits,
                           struct arena *arena) {
    assert(f->failure == FAILURE_NONE && f->model_seen);
    struct buf text = {0};
    json_text_string(&text, model);
    splice_add(edits, f->model_begin, f->model_end - f->model_begin, arena_copy(arena, buf_slice(&text)));
    buf_clear(&text);
}
