/* Any bytes as JSON. Strict mode must accept exactly what jansson accepts and find what jansson finds; however the
 * bytes are cut, nothing may change; and where strict mode accepts, relaxed mode must find the same values.
 *
 * Where the two differ by intent: jansson refuses integers from 2^63, reals that overflow a double, and a NUL in a
 * member's name, and takes a bare NUL byte behind the value for the end; weir refuses nesting deeper than
 * JSON_DEPTH_MAX. */
/* fuzz-sources: tests/fuzz/jansson_oracle.c src/json/[a-z]*.c */
/* fuzz-sources: src/base/buf.c src/base/json_text.c src/base/mem.c src/base/slice.c */
#include <assert.h>

#include "../unit/json/scan_log.h"
#include "jansson_oracle.h"

static const struct json_path wanted[] = {{"", 0},      {"a", 1},   {"b", 2},           {"b.a", 3},
                                          {"b[].a", 4}, {"b[]", 5}, {"c[].d.e[].f", 6}, {"c", 7},
                                          {"model", 8}, {"[]", 9},  {"[].a", 10}};

/* What strict mode said about the root and about the last member `a` of a root object. */
struct verdict {
    enum json_type type;
    uint64_t length;
    bool a_is_string;
    char a[JSON_CAPTURE_BYTES];
    size_t a_length;
    bool a_whole;
};

static void note(void *context, const struct json_value *v) {
    struct verdict *seen = context;
    if (v->id == 0) seen->type = v->type, seen->length = v->length;
    if (v->id != 1) return;
    seen->a_is_string = v->type == JSON_STRING;
    seen->a_whole = v->text.n == v->length;
    if (seen->a_is_string && seen->a_whole) {
        bool fits = json_unescape(v->text, seen->a, sizeof(seen->a), &seen->a_length);
        assert(fits);
    }
    uint32_t number;
    if (v->type == JSON_NUMBER) json_number_u32(v->text, &number);
}

static void compare(const struct verdict *seen, const struct oracle_answer *answer) {
    static const char *const types[] = {"none", "object", "array", "string", "number", "true", "false", "null"};
    assert(strcmp(types[seen->type], answer->type) == 0);
    if (seen->type == JSON_ARRAY) assert(seen->length == answer->size);
    if (seen->type == JSON_OBJECT) assert(seen->length >= answer->size);
    if (seen->type != JSON_OBJECT) return;
    assert(seen->a_is_string == answer->a_is_string);
    if (!answer->a_is_string || !seen->a_whole) return;
    assert(slice_equal((struct slice){seen->a, seen->a_length}, (struct slice){answer->a, answer->a_length}));
}

static bool may_be_too_deep(struct slice text) {
    size_t brackets = 0;
    for (size_t i = 0; i < text.n; i++) brackets += text.p[i] == '{' || text.p[i] == '[';
    return brackets > JSON_DEPTH_MAX;
}

static bool check_against_jansson(const struct json_paths *paths, struct slice text) {
    struct verdict seen = {0};
    struct json_scan s;
    json_scan_init(&s, paths, JSON_STRICT, note, &seen);
    json_scan_feed(&s, text.p, text.n);
    bool accepted = json_scan_end(&s) == JSON_DONE;
    struct oracle_answer answer = oracle_ask(text.p, text.n);
    if (memchr(text.p, '\0', text.n) != NULL)
        assert(!accepted);
    else if (accepted != answer.accepted)
        assert(answer.by_intent || may_be_too_deep(text));
    else if (accepted)
        compare(&seen, &answer);
    free(answer.a);
    return accepted;
}

static void check_equal(struct buf a, struct buf b) {
    assert(slice_equal(buf_slice(&a), buf_slice(&b)));
    buf_clear(&b);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct json_paths *paths;
    if (paths == NULL) paths = json_paths_new(wanted, sizeof(wanted) / sizeof(wanted[0]));
    if (size < 2) return 0;
    unsigned seed = data[0];
    struct slice text = {(const char *)data + 1, size - 1};
    bool accepted = check_against_jansson(paths, text);
    for (int mode = JSON_STRICT; mode <= JSON_RELAXED; mode++) {
        struct buf whole = scan_log(paths, (enum json_mode)mode, text, log_value, CUT_NOWHERE, 0);
        check_equal(whole, scan_log(paths, (enum json_mode)mode, text, log_value, CUT_EVERYWHERE, 0));
        check_equal(whole, scan_log(paths, (enum json_mode)mode, text, log_value, CUT_AT_RANDOM, seed));
        buf_clear(&whole);
    }
    if (accepted) {
        struct buf strict = scan_log(paths, JSON_STRICT, text, log_loosely, CUT_NOWHERE, 0);
        check_equal(strict, scan_log(paths, JSON_RELAXED, text, log_loosely, CUT_NOWHERE, 0));
        buf_clear(&strict);
    }
    return 0;
}
