/* The way from a file to a configuration: load and merge, read by the grammar, derive, verify. Everything is tried, so
 * that all errors come at once; only a file that is no YAML ends it early, because what it lacks would be reported as
 * missing. */
#include "conf/config.h"

#include <unistd.h>

#include "base/mem.h"
#include "files.h"
#include "read.h"
#include "verify.h"

static void config_complete(struct config *c, struct conf_errors *errors) {
    config_finish(c);
    verify_addresses(c, errors);
    verify_providers(c, errors);
    verify_models(c, errors);
    verify_tenants(c, errors);
    verify_exporters(c, errors);
    verify_rest(c, errors);
}

/* Takes the trees and the half-made configuration over. `before`: errors that were there already are not ours. */
static struct config *config_make(struct config *c, struct arena *trees, struct node *root, size_t before,
                                  struct conf_errors *errors, struct buf *print) {
    if (root != NULL) {
        config_read(c, root, trees, errors, print);
        config_complete(c, errors);
    }
    arena_clear(trees);
    if (errors->error_count == before) return c;
    config_free(c);
    return NULL;
}

struct config *config_load(const char *path, struct conf_errors *errors, struct buf *print) {
    struct config *c = mem_zalloc(sizeof *c);
    struct arena trees;
    size_t before = errors->error_count;
    arena_init(&trees);
    struct node *root = files_load(&c->arena, &trees, path, errors);
    return config_make(c, &trees, root, before, errors, print);
}

struct config *config_load_text(const char *name, struct slice text, struct conf_errors *errors, struct buf *print) {
    struct config *c = mem_zalloc(sizeof *c);
    struct arena trees;
    size_t before = errors->error_count;
    arena_init(&trees);
    struct node *root = files_load_text(&c->arena, &trees, name, text, errors);
    return config_make(c, &trees, root, before, errors, print);
}

struct config *config_default(void) {
    struct conf_errors errors = {0};
    struct config *c = config_load_text("default", SLICE(""), &errors, NULL);
    conf_errors_clear(&errors);
    return c;
}

const char *config_default_path(void) {
    static const char *const paths[] = {"weir.yaml", "/etc/weir/weir.yaml"};
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
        if (access(paths[i], F_OK) == 0) return paths[i];
    return NULL;
}

void config_free(struct config *c) {
    if (c == NULL) return;
    arena_clear(&c->arena);
    mem_free(c);
}
