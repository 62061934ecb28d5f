/* The edits of a request, made on jansson's tree: what the spliced text must parse to. */
#include "request_oracle.h"

#include <assert.h>
#include <jansson.h>

static void ask_for_usage(json_t *tree) {
    json_t *options = json_object_get(tree, "stream_options");
    if (!json_is_object(options)) {
        options = json_object();
        json_object_set_new(tree, "stream_options", options);
    }
    json_object_set_new(options, "include_usage", json_true());
}

void oracle_compare(const char *original, size_t original_bytes, const char *edited, size_t edited_bytes,
                    const char *model, bool asked) {
    json_error_t error = {0};
    json_t *want = json_loadb(original, original_bytes, JSON_ALLOW_NUL, &error);
    if (want == NULL) { /* jansson's own limits: integers from 2^63, reals that overflow, a NUL in a name */
        enum json_error_code code = json_error_code(&error);
        assert(code == json_error_numeric_overflow || code == json_error_null_byte_in_key);
        return;
    }
    json_t *got = json_loadb(edited, edited_bytes, JSON_ALLOW_NUL, &error);
    assert(got != NULL);
    if (model) json_object_set_new(want, "model", json_string(model));
    if (asked) ask_for_usage(want);
    assert(json_equal(want, got));
    json_decref(want);
    json_decref(got);
}
