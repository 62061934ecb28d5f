/* Compiling a configuration into what workers read. Everything that can be wrong is told at once; nothing here is
 * looked at again per request but the finished tables. */
#include "pipeline/snapshot.h"

#include "base/json_text.h"
#include "base/mem.h"
#include "facts/names.h"

static void providers_compile(struct snapshot *s, struct origins *origins, struct conf_errors *errors) {
    const struct config *c = s->config;
    if (c->providers.count > ORIGINS_MAX) {
        conf_error_add(errors, c->providers.items[ORIGINS_MAX].name.at, "more than %d providers", ORIGINS_MAX);
        return;
    }
    s->providers = mem_zalloc((c->providers.count + 1) * sizeof(struct provider *));
    for (size_t i = 0; i < c->providers.count; i++) {
        struct provider *p = provider_compile(&c->providers.items[i], origins, errors);
        if (p != NULL) s->providers[s->provider_count++] = p;
    }
}

enum { ALIAS_CHAIN_MAX = 64 };

static struct slice json_of(struct slice text) {
    struct buf json = {0};
    json_text_string(&json, text);
    struct slice kept = {mem_strndup(json.data, buf_length(&json)), buf_length(&json)};
    buf_clear(&json);
    return kept;
}

static void health_find(const struct alias *a, struct target *t) {
    t->health = health_of(t->provider->name_id, t->model_id);
    t->balanced = a->balances && t->health != NULL;
    t->timed = t->health != NULL && (t->balanced || a->hedge.after_ns == CONF_P95);
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
                                                        .rename = !slice_equal(t->model.text, a->name),
                                                        .weight = t->weight,
                                                        .model_json = json_of(t->model.text)};
    }
    retry_policy_compile(&a->retry, from);
    a->hedge.after_ns = from->hedge.after_ns;
    a->hedge.percent = (uint32_t)from->hedge.percent;
    a->hedge.budget = mem_zalloc(sizeof *a->hedge.budget);
    a->balances = from->balance == CONFIG_BALANCE_LATENCY;
    for (size_t i = 0; i < a->target_count; i++) health_find(a, &a->targets[i]);
    map_put(&s->alias_by_name, a->name, a);
}

static bool chain_has(const struct alias *a, const struct alias *other) {
    for (size_t i = 0; i < a->chain_count; i++)
        if (a->chain[i] == other) return true;
    return a == other;
}

/* Depth first: each fallback, then those behind it. There is no circle, and what is there already is not gone into
 * again; a chain of ten thousand ends at its bound. */
static void chain_add(const struct snapshot *s, struct alias *to, const struct alias *from) {
    for (size_t i = 0; i < from->conf->fallback.count; i++) {
        const struct alias *other = snapshot_alias(s, from->conf->fallback.items[i].text);
        if (other == NULL || to->chain_count == ALIAS_CHAIN_MAX || chain_has(to, other)) continue;
        to->chain[to->chain_count++] = other;
        chain_add(s, to, other);
    }
}

static void chain_compile(const struct snapshot *s, struct alias *a) {
    if (a->conf->fallback.count > 0) {
        a->chain = mem_zalloc(ALIAS_CHAIN_MAX * sizeof *a->chain);
        chain_add(s, a, a);
    }
    a->persists = a->retry.attempts > 1 || a->chain_count > 0 || a->hedge.after_ns != 0;
}

static void aliases_compile(struct snapshot *s) {
    const struct config *c = s->config;
    s->alias_count = c->models.count;
    s->aliases = mem_zalloc((c->models.count + 1) * sizeof *s->aliases);
    for (size_t i = 0; i < c->models.count; i++) alias_compile(s, &s->aliases[i], &c->models.items[i]);
    for (size_t i = 0; i < s->alias_count; i++) chain_compile(s, &s->aliases[i]);
}

static void prices_compile(struct snapshot *s, struct conf_errors *errors) {
    char message[256];
    s->prices = price_table_load(s->config->prices.text.p, message, sizeof message);
    if (s->prices == NULL) conf_error_add(errors, s->config->prices.at, "%s", message);
}

struct snapshot *snapshot_compile(struct config *config, struct origins *origins, struct conf_errors *errors) {
    size_t before = errors->error_count;
    struct snapshot *s = mem_zalloc(sizeof *s);
    s->config = config;
    s->head_limits = (struct head_limits){config->http.uri_bytes, config->http.header_bytes, config->http.headers};
    prices_compile(s, errors);
    providers_compile(s, origins, errors);
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

static void alias_clear(struct alias *a) {
    for (size_t i = 0; i < a->target_count; i++) mem_free((void *)(uintptr_t)a->targets[i].model_json.p);
    mem_free(a->targets);
    mem_free(a->chain);
    mem_free(a->hedge.budget);
}

void snapshot_free(struct snapshot *s) {
    if (s == NULL) return;
    for (size_t i = 0; i < s->alias_count; i++) alias_clear(&s->aliases[i]);
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

bool alias_speaks(const struct alias *a, enum dialect d) {
    for (size_t i = 0; i < a->target_count; i++)
        if (a->targets[i].provider->dialect == d) return true;
    return false;
}
