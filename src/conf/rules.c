/* What a text may consist of: one table row per rule, one check for all. */
#include "value.h"

#include "conf/config.h"

struct rule {
    const char *expected; /* ends the sentence "… is not " */
    const char *also;     /* bytes allowed besides letters and digits; NULL: every printable byte but the space */
    size_t bytes_max;
    bool begins_alphanumeric;
};

static const struct rule rules[RULE_COUNT] = {
    [RULE_ANY] = {"a text of at most 16 KiB", NULL, VALUE_BYTES_MAX, false},
    [RULE_NAME] = {"a name: letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64", "._-",
                   CONF_NAME_BYTES, true},
    [RULE_TAG] = {"a tag's name: letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64", "._-",
                  CONF_NAME_BYTES, true},
    [RULE_MODEL] = {"a model's name: letters, digits and `._-/:@+`, a letter or digit first, at most 200", "._-/:@+",
                    CONF_MODEL_BYTES, true},
    [RULE_PATTERN] = {"a pattern: printable, without spaces, at most 200", NULL, CONF_MODEL_BYTES, false},
    [RULE_URL_PATH] = {"a path pattern: printable, without spaces, `/` first, at most 1000", NULL, 1000, false},
    [RULE_METHOD] = {"a known method", NULL, 16, true},
    [RULE_SIGNAL] = {"a known signal", NULL, 16, true},
    [RULE_RETRY_CAUSE] = {"429 or a status from 500 to 599 (asking again does not change others)", NULL, 16, true},
    [RULE_SECRET] = {"a secret: printable ASCII without spaces", NULL, VALUE_BYTES_MAX, false},
    [RULE_HEADER] = {"a header's name", "!#$%&'*+-.^_`|~", 128, false},
};

static bool is_alphanumeric(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static bool bytes_allowed(const struct rule *r, struct slice s) {
    if (s.n == 0 || s.n > r->bytes_max || (r->begins_alphanumeric && !is_alphanumeric(s.p[0]))) return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        bool allowed = is_alphanumeric(c) || (r->also == NULL ? c > 0x20 && c < 0x7F : c && strchr(r->also, c));
        if (!allowed) return false;
    }
    return true;
}

static bool is_status(struct slice s) {
    uint64_t status;
    return slice_to_u64(s, &status) && (status == 429 || (status >= 500 && status <= 599));
}

bool value_keeps_rule(const struct value *v, enum text_rule rule, const char *words, const char *what,
                      struct conf_errors *errors) {
    const struct rule *r = &rules[rule];
    struct slice s = v->text;
    if (rule == RULE_ANY) return true; /* value_from_node() saw to it */
    bool listed = words != NULL && words_find(words, s) >= 0;
    bool fine = bytes_allowed(r, s);
    if (rule == RULE_METHOD || rule == RULE_SIGNAL) fine = listed;
    if (rule == RULE_RETRY_CAUSE) fine = listed || is_status(s);
    if (rule == RULE_URL_PATH) fine = fine && s.p[0] == '/';
    if (fine) return true;
    if (words != NULL)
        conf_error_add(errors, v->at, "%s is not %s; known words: %s", what, r->expected, words);
    else
        conf_error_add(errors, v->at, "%s is not %s", what, r->expected);
    return false;
}
