/* Values that follow from others once everything is read. */
#include <stdio.h>
#include <unistd.h>

#include "redis_url.h"
#include "verify.h"

static struct slice host_name(struct arena *arena) {
    char name[CONF_NAME_BYTES + 1] = "";
    if (gethostname(name, sizeof name - 1) != 0 || name[0] == '\0') snprintf(name, sizeof name, "weir");
    return arena_copy(arena, slice_of(name));
}

static void limit_inherit(struct config_limit *limit, const struct config_limit *defaults) {
    uint64_t *const own[] = {&limit->requests_per_minute, &limit->tokens_per_minute, &limit->concurrent_requests,
                             &limit->pico_usd_per_day, &limit->pico_usd_per_month};
    const uint64_t other[] = {defaults->requests_per_minute, defaults->tokens_per_minute, defaults->concurrent_requests,
                              defaults->pico_usd_per_day, defaults->pico_usd_per_month};
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        if (*own[i] == CONF_UNLIMITED) *own[i] = other[i];
}

static void tenant_finish(struct config *c, struct config_tenant *t) {
    if (t->models.count == 0) t->models = c->tenant_defaults.models;
    limit_inherit(&t->limits.limit, &c->tenant_defaults.limits.limit);
    if (t->limits.models.count == 0) t->limits.models = c->tenant_defaults.limits.models;
    if (t->queue.wait_ns == CONF_NEVER) t->queue.wait_ns = c->tenant_defaults.queue.wait_ns;
    if (t->queue.size == CONF_NEVER) t->queue.size = c->tenant_defaults.queue.size;
    for (size_t i = 0; i < t->keys.count; i++) {
        struct config_key *k = &t->keys.items[i];
        if (k->name.text.p != NULL) continue;
        char digits[8];
        hex_encode(k->digest, sizeof digits / 2, digits);
        k->name = (struct conf_text){arena_copy(&c->arena, (struct slice){digits, sizeof digits}), k->at};
    }
}

static void access_finish(struct config *c) {
    struct slice written = c->log.access_file.text;
    c->log.access = slice_equal(written, SLICE("stdout")) ? CONFIG_ACCESS_STDOUT
                    : slice_equal(written, SLICE("none")) ? CONFIG_ACCESS_NONE
                                                          : CONFIG_ACCESS_FILE;
    if (c->log.access != CONFIG_ACCESS_FILE) c->log.access_file.text = (struct slice){0};
}

void config_finish(struct config *c) {
    if (c->instance.name.text.p == NULL) c->instance.name.text = host_name(&c->arena);
    access_finish(c);
    if (c->state.redis.url.text.p != NULL) redis_url_split(&c->arena, c->state.redis.url.text, &c->state.redis.target);
    for (size_t i = 0; i < c->providers.count; i++) {
        struct config_provider *p = &c->providers.items[i];
        if (p->auth == AUTH_COUNT) p->auth = dialect_default_auth(p->dialect);
    }
    for (size_t i = 0; i < c->tenants.count; i++) tenant_finish(c, &c->tenants.items[i]);
}
