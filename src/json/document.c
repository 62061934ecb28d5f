/* JSON as a tree: thin, so that the library stands in one place. */
#include "json/document.h"

json_t *document_parse(struct slice text) {
    return json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
}

double document_number(const json_t *object, const char *member, double otherwise) {
    const json_t *v = json_object_get(object, member);
    return json_is_number(v) ? json_number_value(v) : otherwise;
}

const char *document_text(const json_t *object, const char *member, const char *otherwise) {
    const char *text = json_string_value(json_object_get(object, member));
    return text != NULL ? text : otherwise;
}
