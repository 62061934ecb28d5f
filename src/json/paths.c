/* Compiles a table of paths into a tree the scanner walks. The hard part is only that a look-up happens for every
 * member of every object on a wanted path, so each object gets a small hash table without collisions. Built once at
 * start from literals in the program: a malformed path is a program bug and aborts. */
#include <assert.h>
#include <stdlib.h>

#include "base/mem.h"
#include "paths.h"

#define NAMES_MAX 64 /* wanted members of one object: a bit each in json_frame.seen */
#define TABLE_BITS_MAX 12

struct builder {
    struct json_paths *t;
    uint16_t *parents;
    size_t capacity, parent_capacity, slot_count, slot_capacity;
};

static uint16_t add_node(struct builder *b, uint16_t parent, struct slice name) {
    struct json_paths *t = b->t;
    assert(t->node_count < UINT16_MAX && name.n <= JSON_NAME_MAX);
    t->nodes = mem_array_grow(t->nodes, &b->capacity, sizeof(*t->nodes), t->node_count + 1);
    b->parents = mem_array_grow(b->parents, &b->parent_capacity, sizeof(*b->parents), t->node_count + 1);
    struct json_node *node = &t->nodes[t->node_count];
    *node = (struct json_node){.id = -1, .element = JSON_NODE_NONE, .name_length = (uint8_t)name.n};
    if (name.n > 0) memcpy(node->name, name.p, name.n);
    b->parents[t->node_count] = parent;
    return t->node_count++;
}

static uint16_t step_into_element(struct builder *b, uint16_t node) {
    if (b->t->nodes[node].element == JSON_NODE_NONE) {
        uint16_t element = add_node(b, node, (struct slice){NULL, 0});
        b->t->nodes[node].element = element;
    }
    return b->t->nodes[node].element;
}

static uint16_t step_into_member(struct builder *b, uint16_t node, struct slice name) {
    assert(name.n > 0);
    unsigned siblings = 0;
    for (uint16_t i = JSON_NODE_ROOT; i < b->t->node_count; i++) {
        const struct json_node *n = &b->t->nodes[i];
        if (b->parents[i] != node || n->name_length == 0) continue;
        if (slice_equal((struct slice){n->name, n->name_length}, name)) return i;
        siblings++;
    }
    assert(siblings < NAMES_MAX);
    uint16_t member = add_node(b, node, name);
    b->t->nodes[member].child_bit = (uint8_t)siblings;
    b->t->nodes[node].has_names = true;
    return member;
}

static void add_path(struct builder *b, const struct json_path *path) {
    uint16_t node = JSON_NODE_ROOT;
    unsigned steps = 0;
    const char *p = path->path;
    while (*p != '\0') {
        steps++;
        assert(steps <= JSON_PATH_STEPS_MAX);
        if (p[0] == '[') {
            assert(p[1] == ']');
            node = step_into_element(b, node);
            p += 2;
            continue;
        }
        if (steps > 1) {
            assert(*p == '.');
            p++;
        }
        size_t n = strcspn(p, ".[");
        node = step_into_member(b, node, (struct slice){p, n});
        p += n;
    }
    assert(path->id >= 0 && b->t->nodes[node].id < 0);
    b->t->nodes[node].id = path->id;
}

/* Puts the members of `parent` into a table of 2^bits slots; false when two different keys meet. */
static bool fill_table(struct builder *b, uint16_t parent, struct json_slot *slots, unsigned bits,
                       uint32_t multiplier) {
    memset(slots, 0, sizeof(*slots) << bits);
    for (uint16_t i = JSON_NODE_ROOT; i < b->t->node_count; i++) {
        struct json_node *n = &b->t->nodes[i];
        if (b->parents[i] != parent || n->name_length == 0) continue;
        uint32_t key = name_key(n->name, n->name_length);
        struct json_slot *slot = &slots[key * multiplier >> (32 - bits)];
        if (slot->key != 0 && slot->key != key) return false;
        n->same_key = slot->key == key ? slot->node : JSON_NODE_NONE;
        *slot = (struct json_slot){key, i};
    }
    return true;
}

/* Tries multipliers until no two keys meet; a table that resists a few hundred of them is doubled. */
static void make_table(struct builder *b, uint16_t node) {
    struct json_slot slots[1 << TABLE_BITS_MAX];
    uint32_t multiplier = 0x9E3779B1;
    unsigned bits = 2, tries = 0;
    while (!fill_table(b, node, slots, bits, multiplier)) {
        multiplier = multiplier * 0x2C9277B5 + 0xAC564B05;
        if (++tries % 256 == 0) bits++;
        assert(bits <= TABLE_BITS_MAX);
    }
    size_t size = (size_t)1 << bits;
    assert(b->slot_count + size <= UINT16_MAX);
    b->t->slots = mem_array_grow(b->t->slots, &b->slot_capacity, sizeof(*slots), b->slot_count + size);
    memcpy(b->t->slots + b->slot_count, slots, size * sizeof(*slots));
    struct json_node *n = &b->t->nodes[node];
    n->slots = (uint16_t)b->slot_count;
    n->multiplier = multiplier;
    n->shift = (uint8_t)(32 - bits);
    b->slot_count += size;
}

/* Names are short: two overlapping words cost less than a call. */
static bool name_equal(const char *a, const char *b, size_t n) {
    uint64_t a8, b8, c8, d8;
    uint32_t a4, b4, c4, d4;
    if (n > 16) return memcmp(a, b, n) == 0;
    if (n >= 8) {
        memcpy(&a8, a, 8), memcpy(&b8, b, 8), memcpy(&c8, a + n - 8, 8), memcpy(&d8, b + n - 8, 8);
        return ((a8 ^ b8) | (c8 ^ d8)) == 0;
    }
    if (n >= 4) {
        memcpy(&a4, a, 4), memcpy(&b4, b, 4), memcpy(&c4, a + n - 4, 4), memcpy(&d4, b + n - 4, 4);
        return ((a4 ^ b4) | (c4 ^ d4)) == 0;
    }
    return a[0] == b[0] && a[n - 1] == b[n - 1] && a[n / 2] == b[n / 2];
}

uint16_t paths_same_key(const struct json_paths *t, uint16_t child, const char *name, size_t n) {
    while (child != JSON_NODE_NONE && !name_equal(t->nodes[child].name, name, n)) child = t->nodes[child].same_key;
    return child;
}

struct json_paths *json_paths_new(const struct json_path *paths, size_t count) {
    struct builder b = {.t = mem_zalloc(sizeof(struct json_paths))};
    add_node(&b, JSON_NODE_NONE, (struct slice){NULL, 0});
    add_node(&b, JSON_NODE_NONE, (struct slice){NULL, 0}); /* the root */
    for (size_t i = 0; i < count; i++) add_path(&b, &paths[i]);
    for (uint16_t i = JSON_NODE_ROOT; i < b.t->node_count; i++)
        if (b.t->nodes[i].has_names) make_table(&b, i);
    mem_free(b.parents);
    return b.t;
}

void json_paths_free(struct json_paths *p) {
    if (p == NULL) return;
    mem_free(p->nodes);
    mem_free(p->slots);
    mem_free(p);
}
