/* Walks the grammar and the tree side by side. The hard part is that nothing here knows a key: what is read, defaulted,
 * printed, suggested and refused all follows from the rows. Relations between values are judged later (verify_*.c). */
#include "read.h"

#include <assert.h>
#include <stdio.h>

#include "print.h"
#include "value.h"

enum { PREFIX_BYTES = 128, ROWS_MAX = 256, KEYS_MAX = 32 };

struct reader {
    struct arena *keep, *trees;
    struct conf_errors *errors;
    struct printer printer;
    struct node *root;
    bool warned[ROWS_MAX];
};

struct list { /* how every {items, count} looks */
    char *items;
    size_t count;
};

/* Where a row's value stands in the file, and what it belongs to. */
struct place {
    const struct key *key;
    struct node *node;       /* NULL: not in the file */
    struct conf_position at; /* of what contains it when it is not */
    char *base;              /* the item that the row's offset counts from */
};
typedef void read_fn(struct reader *r, const struct place *p);

static void section_read(struct reader *r, const char *prefix, const struct node *map, struct conf_position at,
                         char *base);

static bool expect(struct reader *r, const struct node *n, enum node_kind kind, const char *example) {
    if (n->kind == kind || n->null) return true;
    conf_error_add(r->errors, n->at, "expected %s, not %s", example, tree_kind(n));
    return false;
}

static const char *row_example(const struct key *k, char *out, size_t out_bytes) {
    if (k->type == KEY_LIST || k->type == KEY_TEXTS)
        snprintf(out, out_bytes, "a list, such as [%s]", k->short_form || k->type == KEY_TEXTS ? "a, b" : "{…}");
    else
        snprintf(out, out_bytes, "%s", k->type == KEY_NAMED ? "a map of names" : "a map of keys");
    return out;
}

static bool count_fits(struct reader *r, const struct key *k, const struct node *n, size_t count) {
    if (count >= k->min && (k->max == 0 || count <= k->max)) return true;
    if (count < k->min)
        conf_error_add(r->errors, n->at, "needs at least %llu", (unsigned long long)k->min);
    else
        conf_error_add(r->errors, n->at, "more than %llu", (unsigned long long)k->max);
    return false;
}

static bool header_tells_secret(struct slice name) {
    static const char *const parts[] = {"auth", "key", "token", "secret", "cookie"};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++) {
        struct slice part = slice_of(parts[i]);
        for (size_t at = 0; at + part.n <= name.n; at++)
            if (slice_equal_nocase((struct slice){name.p + at, part.n}, part)) return true;
    }
    return false;
}

static void literal_secret_warn(struct reader *r, const struct value *v) {
    bool url = memmem(v->text.p, v->text.n, "://", 3) != NULL;
    if (url && memchr(v->text.p, '@', v->text.n) == NULL) return; /* without a password there is no secret in it */
    if (v->environment == NULL && v->source->readable_by_others)
        conf_warning_add(r->errors, v->at,
                         "a literal secret in a file that others can read: use ${NAME}, or chmod 600");
}

static struct value fallback_value(const struct reader *r, const struct key *k) {
    return (struct value){.text = slice_of(k->fallback), .source = r->root->source};
}

/* What is in error is still there, so that nobody calls it missing. */
static void given_but_wrong(const struct key *k, const struct node *n, void *out) {
    assert(n != NULL); /* else the grammar's own default is wrong */
    bool text = k->type == KEY_TEXT || k->type == KEY_PATH || k->type == KEY_URL;
    if (text) *(struct conf_text *)out = (struct conf_text){{0}, n->at};
    if (k->flags & KEY_P95) *(uint64_t *)out = CONF_P95;
}

static void scalar_read(struct reader *r, const struct place *p) {
    const struct key *k = p->key;
    struct value v;
    char *out = p->base + k->offset;
    if (p->node == NULL && k->fallback == NULL) {
        if (k->flags & KEY_INHERITED) *(uint64_t *)out = CONF_NEVER;
        print_unset(&r->printer, k);
        return;
    }
    if (p->node == NULL)
        v = fallback_value(r, k);
    else if (!value_from_node(p->node, r->trees, r->errors, &v))
        return given_but_wrong(k, p->node, out);
    if (!value_store(&v, k, r->keep, r->errors, out)) return given_but_wrong(k, p->node, out);
    if (k->type == KEY_PATH) v.text = ((struct conf_text *)out)->text;
    print_value(&r->printer, k, &v);
    if ((k->flags & KEY_SECRET) && p->node != NULL) literal_secret_warn(r, &v);
}

static void text_add(struct reader *r, const struct key *k, struct conf_texts *list, const struct value *v) {
    if (!value_keeps_rule(v, k->rule, k->words, "the item", r->errors)) return;
    list->items[list->count++] = (struct conf_text){arena_copy(r->keep, v->text), v->at};
}

static void texts_default(struct reader *r, const struct key *k, struct conf_texts *list) {
    struct slice rest = slice_of(k->fallback), word;
    list->items = arena_zalloc(r->keep, (rest.n / 2 + 1) * sizeof *list->items);
    while (slice_cut(&rest, ' ', &word)) list->items[list->count++].text = arena_copy(r->keep, word);
    print_texts(&r->printer, list, (struct conf_position){0});
}

static void texts_read(struct reader *r, const struct place *p) {
    struct conf_texts *list = (struct conf_texts *)(p->base + p->key->offset);
    char example[64];
    if (p->node == NULL && p->key->fallback != NULL) {
        texts_default(r, p->key, list);
    } else if (p->node == NULL) {
        print_unset(&r->printer, p->key);
    } else if (expect(r, p->node, NODE_LIST, row_example(p->key, example, sizeof example)) &&
               count_fits(r, p->key, p->node, p->node->count)) {
        list->items = arena_zalloc(r->keep, (p->node->count + 1) * sizeof *list->items);
        struct value v;
        for (size_t i = 0; i < p->node->count; i++)
            if (value_from_node(p->node->entries[i].value, r->trees, r->errors, &v)) text_add(r, p->key, list, &v);
        print_texts(&r->printer, list, p->node->at);
    }
}

static void pair_add(struct reader *r, const struct key *k, struct conf_pairs *pairs, const struct node_entry *e) {
    struct value name = {.text = e->key->text, .at = e->key->at, .source = e->key->source}, v;
    if (!value_keeps_rule(&name, k->rule, NULL, "the name", r->errors)) return;
    if (!value_from_node(e->value, r->trees, r->errors, &v)) return;
    pairs->items[pairs->count++] =
        (struct conf_pair){{arena_copy(r->keep, name.text), name.at}, {arena_copy(r->keep, v.text), v.at}};
    size_t mark = print_enter(&r->printer, name.text);
    print_value(&r->printer, k, &v);
    print_leave(&r->printer, mark);
    if ((k->flags & KEY_SECRET) && header_tells_secret(name.text)) literal_secret_warn(r, &v);
}

static void pairs_read(struct reader *r, const struct place *p) {
    struct conf_pairs *pairs = (struct conf_pairs *)(p->base + p->key->offset);
    if (p->node == NULL) {
        print_unset(&r->printer, p->key);
    } else if (expect(r, p->node, NODE_MAP, "a map, such as {name: value}") &&
               count_fits(r, p->key, p->node, p->node->count)) {
        pairs->items = arena_zalloc(r->keep, (p->node->count + 1) * sizeof *pairs->items);
        for (size_t i = 0; i < p->node->count; i++) pair_add(r, p->key, pairs, &p->node->entries[i]);
    }
}

/* `- text` for `- {short_form: text}`. */
static struct node *long_form(struct reader *r, const struct key *k, struct node *item) {
    struct node *map = arena_zalloc(r->trees, sizeof *map), *key = arena_zalloc(r->trees, sizeof *key);
    *map = (struct node){.kind = NODE_MAP, .source = item->source, .at = item->at};
    *key = (struct node){.kind = NODE_SCALAR, .source = item->source, .at = item->at, .text = slice_of(k->short_form)};
    tree_append(r->trees, map, key, item);
    return map;
}

static struct node *default_list(struct reader *r, const struct key *k) {
    struct node *list = arena_zalloc(r->trees, sizeof *list), *item = arena_zalloc(r->trees, sizeof *item);
    *list = (struct node){.kind = NODE_LIST, .source = r->root->source};
    *item = (struct node){.kind = NODE_SCALAR, .source = list->source, .text = slice_of(k->fallback)};
    tree_append(r->trees, list, NULL, item);
    return list;
}

/* `path` and what its items' keys are read under: `listen` gives `listen[].`. */
static void prefix_write(char out[PREFIX_BYTES], const struct key *k, const char *item) {
    int length = snprintf(out, PREFIX_BYTES, "%s%s.", k->path, item);
    assert(length > 0 && length < PREFIX_BYTES);
}

static void list_items_read(struct reader *r, const struct key *k, const struct node *n, struct list *list) {
    char prefix[PREFIX_BYTES], number[24];
    prefix_write(prefix, k, "[]");
    for (size_t i = 0; i < n->count; i++) {
        struct node *item = n->entries[i].value;
        char *base = list->items + list->count++ * k->item_bytes;
        *(struct conf_position *)base = item->at;
        if (item->kind == NODE_SCALAR && !item->null && k->short_form != NULL) item = long_form(r, k, item);
        if (!expect(r, item, NODE_MAP, "a map of keys")) continue;
        int length = snprintf(number, sizeof number, "[%zu]", i);
        size_t mark = print_enter_index(&r->printer, (struct slice){number, (size_t)length});
        section_read(r, prefix, item, item->at, base);
        print_leave(&r->printer, mark);
    }
}

static void list_read(struct reader *r, const struct place *p) {
    const struct key *k = p->key;
    struct list *list = (struct list *)(p->base + k->offset);
    char example[64];
    const struct node *n = p->node == NULL && k->fallback != NULL ? default_list(r, k) : p->node;
    if (n == NULL) print_unset(&r->printer, k);
    if (n == NULL || !expect(r, n, NODE_LIST, row_example(k, example, sizeof example))) return;
    if (!count_fits(r, k, n, n->count)) return;
    list->items = arena_zalloc(r->keep, (n->count + 1) * k->item_bytes);
    list_items_read(r, k, n, list);
}

static void named_items_read(struct reader *r, const struct key *k, const struct node *n, struct list *list) {
    char prefix[PREFIX_BYTES];
    prefix_write(prefix, k, ".NAME");
    for (size_t i = 0; i < n->count; i++) {
        const struct node *name = n->entries[i].key, *item = n->entries[i].value;
        struct value v = {.text = name->text, .at = name->at, .source = name->source};
        if (!value_keeps_rule(&v, k->rule, NULL, "the name", r->errors)) continue;
        if (!expect(r, item, NODE_MAP, "a map of keys")) continue;
        char *base = list->items + list->count++ * k->item_bytes;
        *(struct conf_text *)base = (struct conf_text){arena_copy(r->keep, name->text), name->at};
        size_t mark = print_enter(&r->printer, name->text);
        section_read(r, prefix, item, name->at, base);
        print_leave(&r->printer, mark);
    }
}

static void named_read(struct reader *r, const struct place *p) {
    const struct key *k = p->key;
    struct list *list = (struct list *)(p->base + k->offset);
    char example[64];
    if (p->node == NULL) print_unset(&r->printer, k);
    if (p->node == NULL || !expect(r, p->node, NODE_MAP, row_example(k, example, sizeof example))) return;
    if (!count_fits(r, k, p->node, p->node->count)) return;
    list->items = arena_zalloc(r->keep, (p->node->count + 1) * k->item_bytes);
    named_items_read(r, k, p->node, list);
}

static void subsection_read(struct reader *r, const struct place *p) {
    char prefix[PREFIX_BYTES];
    prefix_write(prefix, p->key, "");
    if (p->node != NULL && !expect(r, p->node, NODE_MAP, "a map of keys")) return;
    if (p->node != NULL && p->key->offset != 0) *(struct conf_position *)(p->base + p->key->offset) = p->at;
    section_read(r, prefix, p->node, p->node ? p->node->at : p->at, p->base);
}

/* Was followed while loading: what came of it stands in its place. */
static void include_read(struct reader *r, const struct place *p) {
    (void)r;
    (void)p;
}

static read_fn *reader_of(enum key_type type) {
    assert(type < KEY_TYPE_COUNT);
    static read_fn *const readers[KEY_TYPE_COUNT] = {
        [KEY_SECTION] = subsection_read, [KEY_LIST] = list_read,   [KEY_NAMED] = named_read,
        [KEY_INCLUDE] = include_read,    [KEY_TEXTS] = texts_read, [KEY_PAIRS] = pairs_read,
    };
    return readers[type] != NULL ? readers[type] : scalar_read;
}

static void not_built_warn(struct reader *r, const struct place *p, struct slice name) {
    size_t row = (size_t)(p->key - grammar);
    assert(row < ROWS_MAX);
    if (r->warned[row]) return;
    r->warned[row] = true;
    conf_warning_add(r->errors, p->at, "`%s` is not built yet: it is checked, but has no effect in this version",
                     name.p);
}

/* What of an unknown key may be shown. Where a space was forgotten (`api_key:sk-…`) the value is part of it, and a
 * secret may stand where a key should: no key of the grammar is that long. */
static struct slice showable(struct slice key) {
    enum { KEY_LONGEST = 30, HINT_BYTES = 8 };
    size_t n = 0;
    while (n < key.n && key.p[n] != ':' && key.p[n] != '=') n++;
    struct slice name = {key.p, n};
    if (n > KEY_LONGEST || slice_starts(name, SLICE("sk-"))) name.n = n < HINT_BYTES ? n : HINT_BYTES;
    return name;
}

static void unknown_add(struct reader *r, const struct node *key, const struct slice *known, size_t known_count) {
    struct slice shown = showable(key->text);
    const char *name = conf_quote(r->errors, shown), *more = shown.n < key->text.n ? "…" : "";
    struct slice near = conf_nearest(shown, known, known_count);
    if (near.n > 0) {
        conf_error_add(r->errors, key->at, "unknown key `%s%s`, did you mean `%.*s`?%s", name, more, (int)near.n,
                       near.p, shown.n < key->text.n ? " A space belongs between a key's colon and its value" : "");
        return;
    }
    struct buf list = {0};
    for (size_t i = 0; i < known_count; i++)
        buf_printf(&list, "%s%.*s", i > 0 ? ", " : "", (int)known[i].n, known[i].p);
    conf_error_add(r->errors, key->at, "unknown key `%s%s`; known here: %.*s", name, more, (int)buf_length(&list),
                   buf_slice(&list).p);
    buf_clear(&list);
}

static void unknown_keys(struct reader *r, const struct node *map, const struct slice *known, size_t known_count) {
    for (size_t i = 0; i < map->count; i++) {
        bool found = false;
        for (size_t j = 0; j < known_count && !found; j++) found = slice_equal(map->entries[i].key->text, known[j]);
        if (!found) unknown_add(r, map->entries[i].key, known, known_count);
    }
}

/* A section whose entries are all commented out counts as not given. Not so a list of texts: `models:` without any
 * would otherwise allow everything. */
static bool counts_as_absent(const struct key *k, const struct node *n) {
    bool section = k->type == KEY_SECTION || k->type == KEY_LIST || k->type == KEY_NAMED || k->type == KEY_PAIRS;
    return section && n->null;
}

static void key_read(struct reader *r, struct place *p, struct slice name, const struct node *map) {
    const struct node_entry *e = map != NULL ? tree_find(map, name) : NULL;
    if (e != NULL) {
        p->node = counts_as_absent(p->key, e->value) ? NULL : e->value;
        p->at = e->key->at;
        if (p->key->flags & KEY_NOT_BUILT) not_built_warn(r, p, name);
    }
    if (p->node == NULL && (p->key->flags & KEY_REQUIRED)) {
        conf_error_add(r->errors, p->at, "`%s` is missing", name.p);
        return;
    }
    size_t mark = print_enter(&r->printer, name);
    reader_of(p->key->type)(r, p);
    print_leave(&r->printer, mark);
}

static void section_read(struct reader *r, const char *prefix, const struct node *map, struct conf_position at,
                         char *base) {
    struct slice known[KEYS_MAX], name;
    size_t known_count = 0, cursor = 0;
    for (const struct key *k; (k = grammar_next(prefix, &cursor, &name)) != NULL;) {
        assert(known_count < KEYS_MAX);
        struct place p = {.key = k, .at = at, .base = base};
        key_read(r, &p, name, map);
        known[known_count++] = name;
    }
    if (map != NULL) unknown_keys(r, map, known, known_count);
}

void config_read(struct config *c, struct node *root, struct arena *trees, struct conf_errors *errors,
                 struct buf *print) {
    struct reader r = {.keep = &c->arena, .trees = trees, .errors = errors, .root = root, .printer = {.out = print}};
    section_read(&r, "", root, root->at, (char *)c);
    print_end(&r.printer);
}
