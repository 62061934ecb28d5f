/* Pass-through routes. The rest of the path replaces base_url's own and goes out as it came: nothing is decoded, so
 * what the tenant's rules were matched against is what the provider sees. A path with an encoded slash or a dot segment
 * could mean another resource to the provider than to the rule, so it is none of ours. */
#include "passthrough.h"

bool passthrough_path_is_plain(struct slice path) {
    /* escapes that could change a path's structure once somebody decodes it */
    static const struct slice codes[] = {SLICE_INIT("2f"), SLICE_INIT("5c"), SLICE_INIT("25")};
    for (size_t i = 0; i + 2 < path.n; i++)
        for (size_t j = 0; path.p[i] == '%' && j < sizeof codes / sizeof codes[0]; j++)
            if (slice_equal_nocase((struct slice){path.p + i + 1, 2}, codes[j])) return false;
    return !path_has_dot_segments(path) && memchr(path.p, '\\', path.n) == NULL;
}

static struct slice rest_of_path(const struct exchange *x) {
    const struct slice *path = &x->head.path;
    size_t skipped = 1 + x->own_target.provider->name.n;
    return (struct slice){path->p + skipped, path->n - skipped};
}

enum failure passthrough_match(struct exchange *x) {
    struct slice path = x->head.path;
    if (path.n < 2) return FAILURE_NOT_FOUND;
    const char *slash = memchr(path.p + 1, '/', path.n - 1);
    if (slash == NULL) return FAILURE_NOT_FOUND;
    struct provider *p = snapshot_provider(x->conf, (struct slice){path.p + 1, (size_t)(slash - path.p - 1)});
    if (p == NULL || !passthrough_path_is_plain(path)) return FAILURE_NOT_FOUND;
    x->route = (struct route){.dialect = p->dialect, .operation = OPERATION_PASSTHROUGH};
    x->own_target = (struct target){.provider = p};
    x->target = &x->own_target;
    x->body_mode = BODY_STREAMED;
    return FAILURE_NONE;
}

bool passthrough_allowed(const struct exchange *x) {
    return tenant_may_pass(x->tenant, x->own_target.provider->name, http_method_name(x->head.method), rest_of_path(x));
}
