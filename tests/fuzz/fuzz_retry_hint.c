/* What providers say about asking again: no value or body may be read past its end, and no wait is longer than a day.
 * fuzz-sources: src/pipeline/retry_hint.c src/upstream/retry.c src/json/scan.c src/json/paths.c src/json/string_body.c
 * src/json/number.c src/json/unescape.c src/http/bytes.c src/http/fields.c src/http/head.c src/http/head_policy.c
 * src/http/lines.c src/http/reader.c src/http/start_line.c
 * src/base/slice.c src/base/buf.c src/base/json_text.c src/base/mem.c */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "../../src/pipeline/retry_hint.h"

#define DAY_NS UINT64_C(86400000000000)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char *text = malloc(size + 1);
    memcpy(text, data, size);
    const char *end = memchr(text, '\n', size);
    struct slice value = {text, end != NULL ? (size_t)(end - text) : size};
    struct slice body = {text + value.n + (end != NULL), size - value.n - (end != NULL)};
    uint64_t ns = 0;
    for (int64_t now = 0; now < 4000000000; now += 999999999) {
        if (retry_after_read(value, now, &ns)) assert(ns <= DAY_NS);
    }
    if (retry_after_ms_read(value, &ns)) assert(ns <= DAY_NS);
    if (retry_duration_read(value, &ns)) assert(ns <= DAY_NS);
    struct retry_hint hint = {0};
    retry_hint_body(&hint, body);
    assert(hint.after_said ? hint.after_ns <= DAY_NS : hint.after_ns == 0);
    free(text);
    return 0;
}
