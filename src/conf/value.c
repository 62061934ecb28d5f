/* From a node to the text that counts: `${NAME}` and `${NAME:-default}` are replaced from the environment, once and not
 * again within what was put in; `$${` stands for a literal `${`. Because this happens after YAML was read, nothing in a
 * variable can change the structure of the configuration. */
#include "value.h"

#include <stdlib.h>

struct expanding {
    const struct node *node;
    struct arena *arena;
    struct conf_errors *errors;
    struct buf out;
    const char *environment;
};

static bool is_name_byte(char c, bool first) {
    bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
    return letter || (!first && c >= '0' && c <= '9');
}

static size_t name_length(struct slice s) {
    size_t n = 0;
    while (n < s.n && is_name_byte(s.p[n], n == 0)) n++;
    return n;
}

static bool variable_put(struct expanding *x, struct slice name, const struct slice *otherwise) {
    const char *variable = arena_copy(x->arena, name).p, *value = getenv(variable);
    if (value != NULL && value[0] != '\0') {
        buf_append_text(&x->out, value);
        x->environment = variable;
        return true;
    }
    if (otherwise != NULL) {
        buf_append_slice(&x->out, *otherwise);
        return true;
    }
    conf_error_add(x->errors, x->node->at, "the environment variable %s is %s", conf_quote(x->errors, name),
                   value == NULL ? "not set" : "empty");
    return false;
}

/* `rest` begins behind "${"; moves it behind the "}". */
static bool reference_put(struct expanding *x, struct slice *rest) {
    struct slice name = {rest->p, name_length(*rest)};
    struct slice tail = {rest->p + name.n, rest->n - name.n};
    bool with_default = slice_starts(tail, SLICE(":-"));
    const char *close = tail.n > 0 ? memchr(tail.p, '}', tail.n) : NULL;
    if (name.n == 0 || close == NULL || (!with_default && close != tail.p)) {
        conf_error_add(x->errors, x->node->at, "expected ${NAME} or ${NAME:-default} (a literal ${ is written $${)");
        return false;
    }
    struct slice otherwise =
        with_default ? (struct slice){tail.p + 2, (size_t)(close - tail.p) - 2} : (struct slice){0};
    *rest = (struct slice){close + 1, tail.n - (size_t)(close - tail.p) - 1};
    return variable_put(x, name, with_default ? &otherwise : NULL);
}

static bool expand(struct expanding *x) {
    struct slice rest = x->node->text;
    while (rest.n > 0 && buf_length(&x->out) <= VALUE_BYTES_MAX) {
        if (slice_starts(rest, SLICE("$${"))) {
            buf_append_text(&x->out, "${");
            rest = (struct slice){rest.p + 3, rest.n - 3};
        } else if (slice_starts(rest, SLICE("${"))) {
            rest = (struct slice){rest.p + 2, rest.n - 2};
            if (!reference_put(x, &rest)) return false;
        } else {
            buf_append(&x->out, rest.p, 1);
            rest = (struct slice){rest.p + 1, rest.n - 1};
        }
    }
    return true;
}

static const char *text_fault(struct slice text) {
    if (text.n == 0) return "is empty";
    if (text.n > VALUE_BYTES_MAX) return "is too long";
    for (size_t i = 0; i < text.n; i++) {
        unsigned char c = (unsigned char)text.p[i];
        if (c == '\n' || c == '\r') return "contains a line end";
        if (c < 0x20 || c == 0x7F) return "contains a control character";
    }
    return NULL;
}

bool value_from_node(const struct node *n, struct arena *arena, struct conf_errors *errors, struct value *v) {
    if (n->kind != NODE_SCALAR) {
        conf_error_add(errors, n->at, "expected a plain value, not %s", tree_kind(n));
        return false;
    }
    if (n->null) {
        conf_error_add(errors, n->at, "the value is missing");
        return false;
    }
    struct expanding x = {.node = n, .arena = arena, .errors = errors};
    buf_reserve(&x.out, n->text.n + 1); /* an empty buffer has no memory to make a slice of */
    bool fine = expand(&x);
    const char *fault = fine ? text_fault(buf_slice(&x.out)) : NULL;
    if (fault != NULL && x.environment != NULL)
        conf_error_add(errors, n->at, "the value of ${%s} %s", conf_quote(errors, slice_of(x.environment)), fault);
    else if (fault != NULL)
        conf_error_add(errors, n->at, "the value %s", fault);
    else if (fine)
        *v = (struct value){arena_copy(arena, buf_slice(&x.out)), n->at, n->source, x.environment};
    buf_clear(&x.out);
    return fine && fault == NULL;
}

int words_find(const char *words, struct slice s) {
    struct slice rest = slice_of(words), word;
    for (int i = 0; slice_cut(&rest, ' ', &word); i++)
        if (slice_equal(word, s)) return i;
    return -1;
}
