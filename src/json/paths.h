/* json/paths.h: the compiled table of wanted paths, as the scanner walks it: a tree whose root is the whole text. */
#pragma once
#include <assert.h>

#include "json/scan.h"

#define JSON_NODE_NONE 0 /* a node nobody wants, with no children: the scanner needs no test for it */
#define JSON_NODE_ROOT 1

struct json_node {
    int32_t id;          /* the caller's; -1: only on the way to a wanted value */
    uint32_t multiplier; /* of this object's hash table of names */
    uint16_t slots;      /* where in `slots` that table begins */
    uint16_t element;    /* the node of this array's elements, or NONE */
    uint16_t same_key;   /* a member of the same object whose name has the same name_key(), or NONE */
    uint8_t shift;       /* 32 - log2(size of the table) */
    uint8_t child_bit;   /* which bit of the parent's `seen` is this member's */
    bool has_names;      /* are any of this object's members wanted? */
    uint8_t name_length;
    char name[JSON_NAME_MAX + 4]; /* 64 bytes in all: indexed with a shift */
};
static_assert(sizeof(struct json_node) == 64, "see name");

struct json_slot {
    uint32_t key; /* 0: empty */
    uint16_t node;
};

struct json_paths {
    struct json_node *nodes;
    struct json_slot *slots;
    uint16_t node_count;
};

/* Length, first and last byte tell nearly all names of one object apart; never 0. */
static inline uint32_t name_key(const char *p, size_t n) {
    return (uint32_t)n | (uint32_t)(uint8_t)p[0] << 8 | (uint32_t)(uint8_t)p[n - 1] << 16;
}

/* Of the members with one key, beginning at `child`, the one that has this name, or NONE. */
uint16_t paths_same_key(const struct json_paths *t, uint16_t child, const char *name, size_t n);

/* The node of member `name` (unescaped) of the object at `node`, or NONE. No two keys share a slot (paths.c sees to
 * it), so one look is enough to turn away a name that nobody wants. */
static inline __attribute__((always_inline)) uint16_t paths_member(const struct json_paths *t, uint16_t node,
                                                                   const char *name, size_t n) {
    const struct json_node *parent = &t->nodes[node];
    if (!parent->has_names || n - 1 >= JSON_NAME_MAX) return JSON_NODE_NONE;
    uint32_t key = name_key(name, n);
    const struct json_slot *slot = &t->slots[parent->slots + (key * parent->multiplier >> parent->shift)];
    return slot->key == key ? paths_same_key(t, slot->node, name, n) : JSON_NODE_NONE;
}
