/* jansson as the judge of what is JSON. Its own limits are reported apart: integers from 2^63, reals that overflow a
 * double, a NUL in a member's name. */
#include "jansson_oracle.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static void describe(const json_t *root, struct oracle_answer *answer) {
    static const char *const types[] = {
        [JSON_OBJECT] = "object", [JSON_ARRAY] = "array", [JSON_STRING] = "string", [JSON_INTEGER] = "number",
        [JSON_REAL] = "number",   [JSON_TRUE] = "true",   [JSON_FALSE] = "false",   [JSON_NULL] = "null"};
    answer->type = types[json_typeof(root)];
    answer->size = json_is_array(root) ? json_array_size(root) : json_object_size(root);
    const json_t *a = json_object_get(root, "a");
    answer->a_is_string = json_is_string(a);
    if (!answer->a_is_string) return;
    answer->a_length = json_string_length(a);
    answer->a = malloc(answer->a_length + 1);
    memcpy(answer->a, json_string_value(a), answer->a_length + 1);
}

struct oracle_answer oracle_ask(const char *text, size_t n) {
    json_error_t error = {0};
    json_t *root = json_loadb(text, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, &error);
    struct oracle_answer answer = {.accepted = root != NULL};
    if (root != NULL) {
        describe(root, &answer);
    } else {
        enum json_error_code code = json_error_code(&error);
        answer.by_intent = code == json_error_numeric_overflow || code == json_error_null_byte_in_key;
    }
    json_decref(root);
    return answer;
}
