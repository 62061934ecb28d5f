/* YAML text to a tree, from libyaml's events. The hard part is what is refused: anchors (a few bytes can stand for
 * gigabytes), tags, second documents, keys that are no plain text, keys given twice (libyaml lets them pass), and depth
 * beyond anything the grammar has, so that recursion is bounded. It knows nothing of the grammar. */
#include "tree.h"

#include <yaml.h>

#include "base/hash.h"

enum { DEPTH_MAX = 16 };

struct parsing {
    yaml_parser_t yaml;
    struct arena *arena;
    const struct source *source;
    struct slice text;
    struct conf_errors *errors;
    bool failed;
};

static struct conf_position position_of(const struct parsing *p, yaml_mark_t mark) {
    return (struct conf_position){p->source->name, (unsigned)mark.line + 1, (unsigned)mark.column + 1};
}

static struct conf_position position_of_byte(const struct parsing *p, size_t offset) {
    struct conf_position at = {p->source->name, 1, 1};
    for (size_t i = 0; i < offset && i < p->text.n; i++) {
        bool continues = ((unsigned char)p->text.p[i] & 0xC0) == 0x80;
        if (!continues) at.column++;
        if (p->text.p[i] == '\n') at = (struct conf_position){at.file, at.line + 1, 1};
    }
    return at;
}

static struct slice line_of(const struct parsing *p, size_t line) {
    struct slice rest = p->text, item = {0};
    for (size_t i = 0; i <= line; i++)
        if (!slice_cut(&rest, '\n', &item)) return (struct slice){0};
    return item;
}

static bool tab_begins(struct slice item) {
    size_t spaces = 0;
    while (spaces < item.n && item.p[spaces] == ' ') spaces++;
    return spaces < item.n && item.p[spaces] == '\t';
}

static void syntax_error(struct parsing *p) {
    const yaml_parser_t *y = &p->yaml;
    const char *problem = y->problem ? y->problem : "cannot be read";
    struct slice line = line_of(p, y->problem_mark.line);
    p->failed = true;
    if (y->error == YAML_READER_ERROR) {
        conf_error_add(p->errors, position_of_byte(p, y->problem_offset), "not a text file: %s", problem);
    } else if (tab_begins(line)) {
        conf_error_add(p->errors, position_of(p, y->problem_mark),
                       "not valid YAML: indent with spaces, not with a tab");
    } else if (line.n > 0 && memmem(line.p, line.n, "${", 2) != NULL) {
        conf_error_add(p->errors, position_of(p, y->problem_mark),
                       "not valid YAML: %s; inside { } and [ ] put quotes around \"${…}\"", problem);
    } else if (y->context != NULL && y->context_mark.line != y->problem_mark.line) {
        conf_error_add(p->errors, position_of(p, y->problem_mark), "not valid YAML: %s, %s that begins in line %zu",
                       problem, y->context, y->context_mark.line + 1);
    } else {
        conf_error_add(p->errors, position_of(p, y->problem_mark), "not valid YAML: %s%s%s", problem,
                       y->context ? ", " : "", y->context ? y->context : "");
    }
}

static void refuse(struct parsing *p, yaml_mark_t mark, const char *what) {
    p->failed = true;
    conf_error_add(p->errors, position_of(p, mark), "%s", what);
}

static bool next_event(struct parsing *p, yaml_event_t *event) {
    if (p->failed) return false;
    if (yaml_parser_parse(&p->yaml, event)) return true;
    syntax_error(p);
    return false;
}

static struct node *node_new(struct parsing *p, enum node_kind kind, yaml_mark_t mark) {
    struct node *n = arena_zalloc(p->arena, sizeof *n);
    n->kind = kind;
    n->source = p->source;
    n->at = position_of(p, mark);
    return n;
}

void tree_append(struct arena *arena, struct node *n, struct node *key, struct node *value) {
    if (n->count == n->capacity) {
        size_t capacity = n->capacity ? n->capacity * 2 : 4;
        struct node_entry *grown = arena_alloc(arena, capacity * sizeof *grown);
        if (n->count > 0) memcpy(grown, n->entries, n->count * sizeof *grown);
        n->entries = grown;
        n->capacity = capacity;
    }
    n->entries[n->count++] = (struct node_entry){key, value};
}

struct node_entry *tree_find(const struct node *map, struct slice key) {
    for (size_t i = 0; i < map->count; i++)
        if (slice_equal(map->entries[i].key->text, key)) return &map->entries[i];
    return NULL;
}

const char *tree_kind(const struct node *n) {
    static const char *const kinds[] = {"a plain value", "a list", "a map"};
    return kinds[n->kind];
}

static struct node *node_read(struct parsing *p, yaml_event_t *event, unsigned depth);

static struct node *scalar_read(struct parsing *p, const yaml_event_t *e) {
    struct node *n = node_new(p, NODE_SCALAR, e->start_mark);
    n->text = arena_copy(p->arena, (struct slice){(const char *)e->data.scalar.value, e->data.scalar.length});
    bool plain = e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    n->null = plain && (n->text.n == 0 || slice_equal(n->text, SLICE("~")) || slice_equal(n->text, SLICE("null")));
    return n;
}

static struct node *list_read(struct parsing *p, const yaml_event_t *start, unsigned depth) {
    struct node *list = node_new(p, NODE_LIST, start->start_mark);
    yaml_event_t event;
    while (next_event(p, &event)) {
        if (event.type == YAML_SEQUENCE_END_EVENT) {
            yaml_event_delete(&event);
            break;
        }
        struct node *item = node_read(p, &event, depth + 1);
        if (item != NULL) tree_append(p->arena, list, NULL, item);
    }
    return list;
}

static void entry_add(struct parsing *p, struct node *map, struct map *seen, struct node *key, struct node *value) {
    if (key->kind != NODE_SCALAR || key->null) {
        conf_error_add(p->errors, key->at, "a key must be a plain name");
        p->failed = true;
        return;
    }
    struct node *first = map_get(seen, key->text);
    if (first != NULL) {
        conf_error_add(p->errors, key->at, "`%s` is given twice, first in line %u", conf_quote(p->errors, key->text),
                       first->at.line);
        return;
    }
    map_put(seen, key->text, key);
    tree_append(p->arena, map, key, value);
}

static struct node *map_read(struct parsing *p, const yaml_event_t *start, unsigned depth) {
    struct node *map = node_new(p, NODE_MAP, start->start_mark), *key = NULL;
    struct map seen = {0};
    yaml_event_t event;
    while (next_event(p, &event)) {
        if (event.type == YAML_MAPPING_END_EVENT) {
            yaml_event_delete(&event);
            break;
        }
        struct node *n = node_read(p, &event, depth + 1);
        if (n == NULL) break;
        if (key != NULL) entry_add(p, map, &seen, key, n);
        key = key == NULL ? n : NULL;
    }
    map_clear(&seen);
    return map;
}

/* What an event has that is not supported, or NULL. */
static const char *unsupported(const yaml_event_t *e, unsigned depth) {
    const unsigned char *anchor = NULL, *tag = NULL;
    if (e->type == YAML_SCALAR_EVENT) {
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
    } else if (e->type == YAML_SEQUENCE_START_EVENT) {
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
    } else if (e->type == YAML_MAPPING_START_EVENT) {
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
    }
    if (anchor != NULL || e->type == YAML_ALIAS_EVENT)
        return "anchors and aliases (& and *) are not supported; put quotes around a text that begins so";
    if (tag != NULL) return "tags (!) are not supported; put quotes around a text that begins so";
    return depth > DEPTH_MAX ? "nested too deeply" : NULL;
}

/* Takes the event over. NULL when reading has to stop. */
static struct node *node_read(struct parsing *p, yaml_event_t *event, unsigned depth) {
    struct node *n = NULL;
    const char *wrong = unsupported(event, depth);
    if (wrong != NULL)
        refuse(p, event->start_mark, wrong);
    else if (event->type == YAML_SCALAR_EVENT)
        n = scalar_read(p, event);
    else if (event->type == YAML_SEQUENCE_START_EVENT)
        n = list_read(p, event, depth);
    else if (event->type == YAML_MAPPING_START_EVENT)
        n = map_read(p, event, depth);
    yaml_event_delete(event);
    return n;
}

static struct node *stream_read(struct parsing *p) {
    struct node *root = NULL;
    unsigned documents = 0;
    bool ended = false;
    yaml_event_t event;
    while (!ended && next_event(p, &event)) {
        ended = event.type == YAML_STREAM_END_EVENT;
        if (event.type == YAML_DOCUMENT_START_EVENT && documents++ > 0)
            refuse(p, event.start_mark, "a second document (---) in one file is not supported");
        bool framing = event.type == YAML_STREAM_START_EVENT || event.type == YAML_DOCUMENT_START_EVENT ||
                       event.type == YAML_DOCUMENT_END_EVENT || ended;
        if (framing)
            yaml_event_delete(&event);
        else
            root = node_read(p, &event, 0);
    }
    return root;
}

struct node *tree_parse(struct arena *arena, const struct source *source, struct slice text,
                        struct conf_errors *errors) {
    struct parsing p = {.arena = arena, .source = source, .text = text, .errors = errors};
    if (!yaml_parser_initialize(&p.yaml)) {
        conf_error_add(errors, (struct conf_position){source->name, 0, 0}, "cannot be read: out of memory");
        return NULL;
    }
    yaml_parser_set_input_string(&p.yaml, (const unsigned char *)text.p, text.n);
    struct node *root = stream_read(&p);
    yaml_parser_delete(&p.yaml);
    if (p.failed) return NULL;
    if (root == NULL || root->null) {
        root = node_new(&p, NODE_MAP, (yaml_mark_t){0});
    } else if (root->kind != NODE_MAP) {
        conf_error_add(errors, root->at, "expected keys, such as `listen:`, not %s", tree_kind(root));
        return NULL;
    }
    return root;
}
