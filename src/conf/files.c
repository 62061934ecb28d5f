/* Reading files and their includes, and merging them: maps at the top level are joined, lists appended, anything else
 * may stand in one file only. The hard part is that everything is bounded: size, number and depth of files, no file
 * twice (which also ends cycles), regular files only (a pipe or a device could hang). Values are not looked at here. */
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "value.h"

enum { FILE_BYTES_MAX = 4 << 20, FILES_MAX = 64, DEPTH_MAX = 8 };

struct loaded_file {
    dev_t device;
    ino_t inode;
    const char *name;
    bool open; /* it, or something it includes, is being read */
};

struct loading {
    struct arena *keep, *trees;
    struct conf_errors *errors;
    struct node *root;
    struct loaded_file files[FILES_MAX];
    size_t file_count;
    bool failed;
};

static void file_load(struct loading *l, const char *path, struct conf_position from, unsigned depth);

__attribute__((format(printf, 3, 4))) static void fail(struct loading *l, struct conf_position at, const char *format,
                                                       ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    conf_error_add(l->errors, at, "%s", text);
    l->failed = true;
}

static const char *directory_of(struct loading *l, const char *path) {
    const char *slash = strrchr(path, '/');
    if (slash == NULL) return ".";
    return arena_copy(l->keep, (struct slice){path, slash == path ? 1 : (size_t)(slash - path)}).p;
}

static struct source *source_new(struct loading *l, const char *path, const struct stat *info) {
    struct source *s = arena_zalloc(l->keep, sizeof *s);
    s->name = arena_copy(l->keep, slice_of(path)).p;
    s->directory = directory_of(l, path);
    s->readable_by_others = (info->st_mode & (S_IRGRP | S_IROTH)) != 0;
    return s;
}

/* Whether this file may be read now; otherwise says why not. */
static bool file_enter(struct loading *l, const char *path, const struct stat *info, struct conf_position from) {
    for (size_t i = 0; i < l->file_count; i++) {
        const struct loaded_file *f = &l->files[i];
        if (f->device != info->st_dev || f->inode != info->st_ino) continue;
        fail(l, from, f->open ? "%s includes itself" : "%s is included twice", path);
        return false;
    }
    if (l->file_count == FILES_MAX) {
        fail(l, from, "more than %d files", FILES_MAX);
        return false;
    }
    l->files[l->file_count++] = (struct loaded_file){info->st_dev, info->st_ino, path, true};
    return true;
}

static bool bytes_read(int fd, size_t n, char *out, size_t *length) {
    *length = 0;
    while (*length < n) {
        ssize_t got = read(fd, out + *length, n - *length);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return false;
        if (got == 0) break;
        *length += (size_t)got;
    }
    return true;
}

/* The file's bytes in the tree arena; a NULL slice after saying what is wrong. */
static struct slice file_read(struct loading *l, int fd, const char *path, struct stat *info,
                              struct conf_position from) {
    size_t length;
    if (fstat(fd, info) != 0) {
        fail(l, from, "cannot read %s: %s", path, strerror(errno));
    } else if (!S_ISREG(info->st_mode)) {
        fail(l, from, "cannot read %s: not a regular file", path);
    } else if (info->st_size > FILE_BYTES_MAX) {
        fail(l, from, "cannot read %s: larger than %d MiB", path, FILE_BYTES_MAX >> 20);
    } else if (file_enter(l, path, info, from)) {
        char *bytes = arena_alloc(l->trees, (size_t)info->st_size + 1);
        if (bytes_read(fd, (size_t)info->st_size, bytes, &length)) return (struct slice){bytes, length};
        fail(l, from, "cannot read %s: %s", path, strerror(errno));
    }
    return (struct slice){0};
}

static void entries_merge(struct loading *l, const struct node *key, struct node *into, const struct node *from) {
    struct map known = {0};
    for (size_t i = 0; i < into->count; i++) map_put(&known, into->entries[i].key->text, into->entries[i].key);
    for (size_t i = 0; i < from->count; i++) {
        struct node_entry e = from->entries[i];
        const struct node *first = map_get(&known, e.key->text);
        if (first == NULL)
            tree_append(l->trees, into, e.key, e.value);
        else
            conf_error_add(l->errors, e.key->at, "`%s.%s` is already set in %s:%u:%u", conf_quote(l->errors, key->text),
                           conf_quote(l->errors, e.key->text), first->at.file, first->at.line, first->at.column);
    }
    map_clear(&known);
}

static void top_merge(struct loading *l, struct node_entry e) {
    struct node_entry *known = tree_find(l->root, e.key->text);
    if (known == NULL) {
        tree_append(l->trees, l->root, e.key, e.value);
    } else if (known->value->kind == NODE_MAP && e.value->kind == NODE_MAP) {
        entries_merge(l, e.key, known->value, e.value);
    } else if (known->value->kind == NODE_LIST && e.value->kind == NODE_LIST) {
        for (size_t i = 0; i < e.value->count; i++)
            tree_append(l->trees, known->value, NULL, e.value->entries[i].value);
    } else {
        conf_error_add(l->errors, e.key->at, "`%s` is already set in %s:%u:%u", conf_quote(l->errors, e.key->text),
                       known->key->at.file, known->key->at.line, known->key->at.column);
    }
}

/* The directory is taken literally, even when its name contains what glob() would expand. */
static char *pattern_absolute(const struct source *source, const char *pattern) {
    struct buf out = {0};
    for (const char *p = source->directory; pattern[0] != '/' && *p != '\0'; p++) {
        if (strchr("*?[\\", *p) != NULL) buf_append_text(&out, "\\");
        buf_append(&out, p, 1);
    }
    if (pattern[0] != '/') buf_append_text(&out, "/");
    buf_append_text(&out, pattern);
    char *text = mem_strndup(out.data, out.end);
    buf_clear(&out);
    return text;
}

static int compare_paths(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static void pattern_load(struct loading *l, const struct source *source, const char *written, struct conf_position at,
                         unsigned depth) {
    glob_t found = {0};
    bool in_here = strcmp(source->directory, ".") == 0 && written[0] != '/';
    char *pattern = in_here ? mem_strndup(written, strlen(written)) : pattern_absolute(source, written);
    int result = glob(pattern, GLOB_NOSORT, NULL, &found);
    mem_free(pattern);
    if (result == GLOB_NOMATCH && strpbrk(written, "*?[") == NULL)
        fail(l, at, "cannot read %s: no such file", written);
    else if (result != 0 && result != GLOB_NOMATCH)
        fail(l, at, "cannot expand %s", written);
    if (found.gl_pathc > 1) qsort(found.gl_pathv, found.gl_pathc, sizeof *found.gl_pathv, compare_paths);
    for (size_t i = 0; i < found.gl_pathc; i++) {
        const char *path = found.gl_pathv[i];
        if (strncmp(path, "./", 2) == 0 && strncmp(written, "./", 2) != 0) path += 2;
        file_load(l, arena_copy(l->keep, slice_of(path)).p, at, depth + 1);
    }
    globfree(&found);
}

static void includes_load(struct loading *l, const struct source *source, const struct node *list, unsigned depth) {
    if (list->null) return;
    if (list->kind != NODE_LIST) {
        fail(l, list->at, "expected a list of files, such as [\"conf.d/*.yaml\"], not %s", tree_kind(list));
        return;
    }
    for (size_t i = 0; i < list->count; i++) {
        struct value v;
        if (!value_from_node(list->entries[i].value, l->trees, l->errors, &v)) {
            l->failed = true;
        } else if (source->directory == NULL) {
            fail(l, v.at, "`include` needs a file that it is relative to");
        } else if (depth == DEPTH_MAX) {
            fail(l, v.at, "files include each other more than %d deep", DEPTH_MAX);
        } else {
            pattern_load(l, source, v.text.p, v.at, depth);
        }
    }
}

static void tree_load(struct loading *l, const struct source *source, struct slice text, unsigned depth) {
    struct node *tree = tree_parse(l->trees, source, text, l->errors);
    if (tree == NULL) {
        l->failed = true;
        return;
    }
    for (size_t i = 0; i < tree->count; i++)
        if (!slice_equal(tree->entries[i].key->text, SLICE("include"))) top_merge(l, tree->entries[i]);
    const struct node_entry *include = tree_find(tree, SLICE("include"));
    if (include != NULL) includes_load(l, source, include->value, depth);
}

/* The position of the whole file stands for the file that no other one includes. */
static void file_load(struct loading *l, const char *path, struct conf_position from, unsigned depth) {
    struct stat info;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) {
        fail(l, from, "cannot read %s: %s", path, strerror(errno));
        return;
    }
    size_t index = l->file_count;
    struct slice text = file_read(l, fd, path, &info, from);
    close(fd);
    if (text.p == NULL) return;
    tree_load(l, source_new(l, path, &info), text, depth);
    l->files[index].open = false;
}

static void loading_begin(struct loading *l, const struct source *source) {
    l->root = arena_zalloc(l->trees, sizeof *l->root);
    l->root->kind = NODE_MAP;
    l->root->source = source;
    l->root->at = (struct conf_position){source->name, 0, 0};
}

struct node *files_load(struct arena *keep, struct arena *trees, const char *path, struct conf_errors *errors) {
    struct loading l = {.keep = keep, .trees = trees, .errors = errors};
    struct source *main_file = source_new(&l, path, &(struct stat){0});
    loading_begin(&l, main_file);
    file_load(&l, main_file->name, (struct conf_position){0}, 0);
    return l.failed ? NULL : l.root;
}

struct node *files_load_text(struct arena *keep, struct arena *trees, const char *name, struct slice text,
                             struct conf_errors *errors) {
    struct loading l = {.keep = keep, .trees = trees, .errors = errors};
    struct source *source = arena_zalloc(keep, sizeof *source);
    source->name = arena_copy(keep, slice_of(name)).p;
    loading_begin(&l, source);
    tree_load(&l, source, text, 0);
    return l.failed ? NULL : l.root;
}
