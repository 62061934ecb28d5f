/* src/mock/operations.c: the table of endpoints. Paths are compared as sent, nothing is decoded. */
#include "operations.h"

#define ROW(id, dialect, methods, path, needs) [OPERATION_##id] = {DIALECT_##dialect, methods, needs, SLICE_INIT(path)},
static const struct operation_row rows[OPERATION_COUNT] = {OPERATIONS(ROW)};
#undef ROW

const struct operation_row *operation_row(enum operation o) {
    return &rows[o];
}

/* Splits a row's path at its `*`; without one the second half is empty and the path must be equal. */
static bool path_split(struct slice pattern, struct slice *before, struct slice *after) {
    const char *star = memchr(pattern.p, '*', pattern.n);
    size_t n = star ? (size_t)(star - pattern.p) : pattern.n;
    *before = (struct slice){pattern.p, n};
    *after = star ? (struct slice){star + 1, pattern.n - n - 1} : (struct slice){0};
    return star != NULL;
}

static bool path_matches(struct slice pattern, struct slice path) {
    struct slice before, after;
    if (!path_split(pattern, &before, &after)) return slice_equal(pattern, path);
    return path.n >= before.n + after.n && slice_starts(path, before) &&
           slice_equal((struct slice){path.p + path.n - after.n, after.n}, after);
}

/* A path as the row's dialect writes it: Gemini's clients send either version. */
static struct slice path_of_row(enum operation o, struct slice path) {
    if (rows[o].dialect != DIALECT_GEMINI) return path;
    size_t version = slice_starts(path, SLICE("/v1beta/")) ? 7 : slice_starts(path, SLICE("/v1/")) ? 3 : path.n;
    return (struct slice){path.p + version, path.n - version};
}

enum operation operation_of(struct slice path) {
    enum operation o = 0;
    while (o < OPERATION_COUNT && !path_matches(rows[o].path, path_of_row(o, path))) o++;
    return o;
}

bool operation_takes(enum operation o, enum http_method method) {
    if (rows[o].methods == ON_ANY) return true;
    return rows[o].methods == (method == HTTP_GET ? ON_GET : method == HTTP_POST ? ON_POST : 0);
}

bool operation_reads_json(enum operation o, enum http_method method) {
    return method == HTTP_POST && rows[o].methods == ON_POST;
}

bool operation_generates(enum operation o) {
    static const bool generates[OPERATION_COUNT] = {
        [OPERATION_CHAT] = true,     [OPERATION_COMPLETIONS] = true, [OPERATION_RESPONSES] = true,
        [OPERATION_MESSAGES] = true, [OPERATION_GENERATE] = true,    [OPERATION_STREAM_GENERATE] = true,
    };
    return o < OPERATION_COUNT && generates[o];
}

struct slice operation_path_model(enum operation o, struct slice path) {
    struct slice before, after;
    if (!path_split(rows[o].path, &before, &after)) return (struct slice){0};
    path = path_of_row(o, path);
    return (struct slice){path.p + before.n, path.n - before.n - after.n};
}

enum dialect dialect_of_path(struct slice path) {
    if (slice_starts(path, SLICE("/v1beta/"))) return DIALECT_GEMINI;
    return slice_starts(path, SLICE("/v1/messages")) ? DIALECT_ANTHROPIC : DIALECT_OPENAI;
}
