/* Compiling a configuration into what workers read. Everything that can be wrong is told at once; nothing here is
 * looked at again per request but the finished tables. */
#include "pipeline/snapshot.h"

#include "base/mem.h"
#include "facts/names.h"

static void providers_compile(struct snapshot *s, struct conf_errors *errors) {
    const struct config *c = s->config;
    if (c->providers.count > PROVIDERS_MAX) {
        conf_error_add(errors, c->providers.items[PROVIDERS_MAX].name.at, "more than %d providers", PROVIDERS_MAX);
        return;
    }
    s->providers = mem_zalloc((c->providers.count + 1) * sizeof(struct provider *));
    for (size_t i = 0; i < c->providers.count; i++) {
        struct provider *p = provider_compile(&c->providers.items[i], (unsigned)s->provider_count, errors);
        if (p != NULL) s->providers[s->provider_count++] = p;
    }
}

static void alias_compile(struct snapshot *s, struct alias *a, const struct config_model *from) {
    *a = (struct alias){.name = from->name.text, .conf = from};
    a->targets = mem_zalloc(from->targets.count * sizeof *a->targets);
    for (size_t i = 0; i < from->targets.count; i++) {
        const struct config_target *t = &from->targets.items[i];
        struct provider *p = snapshot_provider(s, t->provider.text);
        if (p == NULL) continue; /* its own error is already in the list */
        a->targets[a->target_count++] = (struct target){.provider = p,
                                                        .model = t->model.text,
                                                        .model_id = name_id(t->model.text),
                                                        .price = price_find(s->prices, p->name, t->model.text),
                                                        .rename = !slice_equal(t->model.text, a->name)};
    }
    map_put(&s->alias_by_name, a->name, a);
}

static void aliases_compile(struct snapshot *s) {
    const struct config *c = s->config;
    s->alias_count = c->models.count;
    s->aliases = mem_zalloc((c->models.count + 1) * sizeof *s->aliases);
    for (size_t i = 0; i < c->models.count; i++) alias_compile(s, &s->aliases[i], &c->models.items[i]);
}

static void prices_compile(struct snapshot *s, struct conf_errors *errors) {
    char message[256];
    s->prices = price_table_load(s->config->prices.text.p, message, sizeof message);
    if (s->prices == NULL) conf_error_add(errors, s->config->prices.at, "%s", message);
}

struct snapshot *snapshot_compile(struct config *config, struct conf_errors *errors) {
    size_t before = errors->error_count;
    struct snapshot *s = mem_zalloc(sizeof *s);
    s->config = config;
    s->head_limits = (struct head_limits){config->http.uri_bytes, config->http.header_bytes, config->http.headers};
    prices_compile(s, errors);
    providers_compile(s, errors);
    if (errors->error_count == before) aliases_compile(s);
    s->tenants = tenants_compile(config);
    s->workload_ids = mem_zalloc((config->workloads.count + 1) * sizeof *s->workload_ids);
    for (size_t i = 0; i < config->workloads.count; i++)
        s->workload_ids[i] = name_id(config->workloads.items[i].name.text);
    if (errors->error_count == before) return s;
    s->config = NULL;
    snapshot_free(s);
    return NULL;
}

void snapshot_free(struct snapshot *s) {
    if (s == NULL) return;
    for (size_t i = 0; i < s->alias_count; i++) mem_free(s->aliases[i].targets);
    mem_free(s->aliases);
    map_clear(&s->alias_by_name);
    for (size_t i = 0; i < s->provider_count; i++) provider_free(s->providers[i]);
    mem_free(s->providers);
    tenants_free(s->tenants);
    price_table_free(s->prices);
    mem_free(s->workload_ids);
    config_free(s->config);
    mem_free(s);
}

struct provider *snapshot_provider(const struct snapshot *s, struct slice name) {
    for (size_t i = 0; i < s->provider_count; i++)
        if (slice_equal(s->providers[i]->name, name)) return s->providers[i];
    return NULL;
}

const struct alias *snapshot_alias(const struct snapshot *s, struct slice name) {
    return map_get(&s->alias_by_name, name);
}
