/* tree.h: a YAML file as a tree in which every node knows its place. */
#pragma once
#include "conf/errors.h"

struct source {            /* one file; lives as long as the configuration, because positions point at its name */
    const char *name;      /* as it appears in messages */
    const char *directory; /* what relative paths in it are relative to, without a final `/`; NULL: left as they are */
    bool readable_by_others;
};

enum node_kind { NODE_SCALAR, NODE_LIST, NODE_MAP };

struct node_entry {
    struct node *key; /* a scalar; NULL in a list */
    struct node *value;
};

struct node {
    enum node_kind kind;
    bool null; /* a scalar that was left out, `~` or `null`, without quotes */
    const struct source *source;
    struct conf_position at;
    struct slice text; /* scalar: as written, before `${…}`; NUL-terminated, may contain NULs too */
    struct node_entry *entries;
    size_t count, capacity;
};

/* The tree of one document, in `arena`; an empty document is an empty map. NULL when the text is not YAML, or uses what
 * is not supported (anchors, tags, several documents); the errors are added. Duplicate keys are errors, the first one
 * stays. */
struct node *tree_parse(struct arena *arena, const struct source *source, struct slice text,
                        struct conf_errors *errors);
struct node_entry *tree_find(const struct node *map, struct slice key); /* NULL: not there; takes time in its size */
void tree_append(struct arena *arena, struct node *n, struct node *key, struct node *value);
const char *tree_kind(const struct node *n); /* "a map", "a list", "a plain value" */
