/* Any bytes as a request body. However they come, the same is found; what is taken must be JSON to jansson too, and
 * what weir edits must be the same tree apart from the edit. */
/* fuzz-sources: tests/fuzz/request_oracle.c src/llm/request.c src/json/scan.c src/json/paths.c src/json/string_body.c
 * src/json/number.c src/json/unescape.c src/json/splice.c src/base/json_text.c src/base/arena.c src/base/buf.c
 * src/base/mem.c src/base/slice.c */
#include <assert.h>
#include <stdlib.h>

#include "llm/request.h"
#include "request_oracle.h"

static const struct {
    enum dialect dialect;
    enum operation operation;
} operations[] = {{DIALECT_OPENAI, OPERATION_CHAT},
                  {DIALECT_OPENAI, OPERATION_RESPONSES},
                  {DIALECT_ANTHROPIC, OPERATION_MESSAGES},
                  {DIALECT_GEMINI, OPERATION_GENERATE_CONTENT}};

static enum failure scan(struct request_facts *f, unsigned which, const char *p, size_t n, size_t step) {
    request_scan_begin(f, operations[which].dialect, operations[which].operation);
    for (size_t at = 0, piece; at < n; at += piece) {
        piece = step < n - at ? step : n - at;
        if (request_scan_feed(f, p + at, piece) != FAILURE_NONE) return FAILURE_BAD_JSON;
    }
    return request_scan_end(f);
}

static void check_edits(const struct request_facts *f, const char *p, size_t n, bool rename) {
    struct splice edits = {0};
    struct arena arena;
    arena_init(&arena);
    if (rename) request_replace_model(f, SLICE("\"new\\/model"), &edits, &arena);
    bool asked = request_inject_usage(f, &edits, &arena);
    assert(asked == (edits.count > rename));
    size_t total = splice_length(&edits, n), at = 0;
    char *edited = malloc(total + 1);
    unsigned cursor = 0;
    struct splice_run run;
    while (splice_next(&edits, n, &cursor, &run)) {
        struct slice piece = run.literal.p ? run.literal : (struct slice){p + run.offset, run.n};
        if (piece.n > 0) memcpy(edited + at, piece.p, piece.n);
        at += piece.n;
    }
    assert(at == total);
    oracle_compare(p, n, edited, total, rename ? "\"new\\/model" : NULL, asked);
    free(edited);
    arena_clear(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    unsigned which = data[0] % 4;
    const char *p = (const char *)data + 1;
    struct request_facts whole, split;
    enum failure failure = scan(&whole, which, p, size - 1, SIZE_MAX);
    for (size_t step = 1; step < 8; step += 6) {
        enum failure other = scan(&split, which, p, size - 1, step);
        size_t facts = offsetof(struct request_facts, dialect);
        assert(other == failure);
        assert(failure != FAILURE_NONE ||
               memcmp((char *)&whole + facts, (char *)&split + facts, sizeof whole - facts) == 0);
    }
    if (failure != FAILURE_NONE) return 0;
    check_edits(&whole, p, size - 1, false);
    if (whole.model_seen) check_edits(&whole, p, size - 1, true);
    return 0;
}
