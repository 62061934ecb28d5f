/* value.h: a plain value: the text of a node after `${…}` was replaced, and where it came from. */
#pragma once
#include "grammar.h"
#include "tree.h"

struct value {
    struct slice text; /* NUL-terminated, without control characters, never empty */
    struct conf_position at;
    const struct source *source;
    const char *environment; /* the (last) variable that a part of it came from; NULL: literal */
};

#define VALUE_BYTES_MAX 16384

/* False after adding what is wrong: not a plain value, empty, control characters, an unset variable. */
bool value_from_node(const struct node *n, struct arena *arena, struct conf_errors *errors, struct value *v);

/* Writes the value to *out, in the shape that the row's type has (grammar.h). What it keeps is copied to `arena`. False
 * after adding what is wrong; the text itself is never part of the message unless it is a name that is looked up. */
bool value_store(const struct value *v, const struct key *k, struct arena *arena, struct conf_errors *errors,
                 void *out);
/* Whether the text keeps the rule; says what is wrong. `what` begins the message. */
bool value_keeps_rule(const struct value *v, enum text_rule rule, const char *words, const char *what,
                      struct conf_errors *errors);
/* The index of `s` among the space-separated words, or -1. */
int words_find(const char *words, struct slice s);
