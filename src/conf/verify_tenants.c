/* Tenants: no two may share a key, and every key must be one. */
#include "base/clock.h"
#include "verify.h"

/* SHA-256 of nothing: a digest made from an empty variable. */
static const uint8_t digest_of_nothing[CONF_DIGEST_BYTES] = {
    0xe3, 0xb0, 0xc4, 0x42, 0x98, 0xfc, 0x1c, 0x14, 0x9a, 0xfb, 0xf4, 0xc8, 0x99, 0x6f, 0xb9, 0x24,
    0x27, 0xae, 0x41, 0xe4, 0x64, 0x9b, 0x93, 0x4c, 0xa4, 0x95, 0x99, 0x1b, 0x78, 0x52, 0xb8, 0x55};
static const uint8_t digest_missing[CONF_DIGEST_BYTES];

static void verify_key_names(const struct config_tenant *t, struct conf_errors *errors) {
    struct map seen = {0};
    for (size_t i = 0; i < t->keys.count; i++) {
        const struct config_key *k = &t->keys.items[i];
        bool wrong = memcmp(k->digest, digest_missing, sizeof digest_missing) == 0;
        if (!wrong && !map_put(&seen, k->name.text, t->keys.items + i))
            conf_error_add(errors, k->name.at, "the key name `%s` is given twice in this tenant",
                           conf_quote(errors, k->name.text));
    }
    map_clear(&seen);
}

static void verify_key(const struct config_key *k, int64_t now_s, struct map *digests, struct conf_errors *errors) {
    if (memcmp(k->digest, digest_missing, sizeof digest_missing) == 0) return; /* an error already */
    struct slice digest = {(const char *)k->digest, sizeof k->digest};
    const struct config_key *first = map_get(digests, digest);
    if (memcmp(k->digest, digest_of_nothing, sizeof digest_of_nothing) == 0)
        conf_error_add(errors, k->at, "this is the SHA-256 of an empty key");
    if (first != NULL)
        conf_error_add(errors, k->at, "the same key stands in %s:%u:%u already", first->at.file, first->at.line,
                       first->at.column);
    else
        map_put(digests, digest, (void *)k);
    if (k->expires_unix_s != 0 && k->expires_unix_s <= now_s) conf_warning_add(errors, k->at, "this key has expired");
}

static void verify_passthrough(struct config_tenant *t, const struct provider_names *names,
                               struct conf_errors *errors) {
    for (size_t i = 0; i < t->passthrough.count; i++) {
        struct config_passthrough *rule = &t->passthrough.items[i];
        rule->provider_index = SIZE_MAX;
        provider_resolve(names, &rule->provider, &rule->provider_index, errors);
    }
}

/* May clients call a model so? An alias, `provider/…`, or what a provider's patterns say. */
static bool is_asked_for(const struct config *c, struct slice name) {
    for (size_t i = 0; i < c->models.count; i++)
        if (slice_equal(c->models.items[i].name.text, name)) return true;
    const char *slash = memchr(name.p, '/', name.n);
    struct slice front = {name.p, slash != NULL ? (size_t)(slash - name.p) : 0};
    for (size_t i = 0; i < c->providers.count; i++) {
        const struct config_provider *p = &c->providers.items[i];
        if (slash != NULL && slice_equal(p->name.text, front)) return true;
        for (size_t j = 0; j < p->models.count; j++)
            if (slice_matches(name, p->models.items[j].text)) return true;
    }
    return false;
}

/* A limit that no request will ever meet: most likely its name is misspelt, and nothing else would say so. */
static void verify_limited_models(const struct config *c, const struct config_model_limits *l,
                                  struct conf_errors *errors) {
    for (size_t i = 0; i < l->count; i++)
        if (!is_asked_for(c, l->items[i].name.text))
            conf_warning_add(
                errors, l->items[i].name.at,
                "nobody can ask for the model `%s`: no alias has that name, no provider's `models` match it",
                conf_quote(errors, l->items[i].name.text));
}

void verify_tenants(struct config *c, struct conf_errors *errors) {
    struct map digests = {0};
    struct provider_names names;
    int64_t now_s = clock_wall_ns(clock_now_ns()) / (int64_t)NS_PER_S;
    const struct config_model_limits *common = &c->tenant_defaults.limits.models;
    provider_names_init(&names, c);
    verify_limited_models(c, common, errors);
    for (size_t i = 0; i < c->tenants.count; i++) {
        struct config_tenant *t = &c->tenants.items[i];
        if (t->limits.models.items != common->items) verify_limited_models(c, &t->limits.models, errors);
        for (size_t j = 0; j < t->keys.count; j++) verify_key(&t->keys.items[j], now_s, &digests, errors);
        verify_key_names(t, errors);
        verify_passthrough(t, &names, errors);
        if (t->keys.count == 0 && !t->disabled)
            conf_warning_add(errors, t->name.at, "the tenant `%s` has no keys: nobody can use it",
                             conf_quote(errors, t->name.text));
    }
    provider_names_clear(&names);
    map_clear(&digests);
}
