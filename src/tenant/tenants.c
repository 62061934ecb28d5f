/* Keys and policy of tenants. Keys exist here only as SHA-256 digests in an open-addressing table; the table's place is
 * taken from the digest itself, which an attacker cannot choose, and the comparison runs in constant time. */
#include "tenant/tenants.h"

#include <stdatomic.h>

#include "base/mem.h"
#include "crypto/random.h"
#include "facts/names.h"

struct tenants {
    uint64_t serial; /* of this table, never used again: what a memo remembers */
    struct tenant *tenants;
    size_t tenant_count;
    struct tenant_key *keys;   /* all keys */
    struct tenant_key **table; /* by digest; capacity is a power of two, at most half full */
    size_t capacity;
    struct tenant everybody;
    bool open_to_all;
};

static size_t place_of(const struct tenants *t, const uint8_t digest[DIGEST_BYTES]) {
    uint64_t head;
    memcpy(&head, digest, sizeof head);
    return (size_t)head & (t->capacity - 1);
}

static void key_add(struct tenants *t, struct tenant_key *key) {
    size_t at = place_of(t, key->digest);
    while (t->table[at] != NULL) at = (at + 1) & (t->capacity - 1);
    t->table[at] = key;
}

static size_t keys_count(const struct config *c) {
    size_t count = 0;
    for (size_t i = 0; i < c->tenants.count; i++) count += c->tenants.items[i].keys.count;
    return count;
}

struct tenants *tenants_compile(const struct config *c) {
    static _Atomic uint64_t serial;
    struct tenants *t = mem_zalloc(sizeof *t);
    t->serial = atomic_fetch_add(&serial, 1) + 1;
    size_t key_count = keys_count(c), next = 0;
    t->open_to_all = c->tenants.count == 0;
    t->everybody = (struct tenant){.name_id = name_id(SLICE("default")),
                                   .name = SLICE("default"),
                                   .models = &c->tenant_defaults.models,
                                   .limits = &c->tenant_defaults.limits,
                                   .queue = &c->tenant_defaults.queue};
    t->tenant_count = c->tenants.count;
    t->tenants = mem_zalloc((t->tenant_count + 1) * sizeof *t->tenants);
    t->keys = mem_zalloc((key_count + 1) * sizeof *t->keys);
    for (t->capacity = 16; t->capacity < 2 * key_count;) t->capacity *= 2;
    t->table = mem_zalloc(t->capacity * sizeof(struct tenant_key *));
    for (size_t i = 0; i < c->tenants.count; i++) {
        const struct config_tenant *from = &c->tenants.items[i];
        struct tenant *tenant = &t->tenants[i];
        *tenant = (struct tenant){name_id(from->name.text),
                                  from->name.text,
                                  from->disabled,
                                  &from->models,
                                  from,
                                  &from->limits,
                                  &from->queue};
        for (size_t j = 0; j < from->keys.count; j++) {
            struct tenant_key *key = &t->keys[next++];
            memcpy(key->digest, from->keys.items[j].digest, DIGEST_BYTES);
            key->name_id = name_id(from->keys.items[j].name.text);
            key->expires_unix_s = from->keys.items[j].expires_unix_s;
            key->tenant = tenant;
            key_add(t, key);
        }
    }
    return t;
}

void tenants_free(struct tenants *t) {
    if (t == NULL) return;
    mem_free(t->tenants);
    mem_free(t->keys);
    mem_free(t->table);
    mem_free(t);
}

const struct tenant *tenants_open_to_all(const struct tenants *t) {
    return t->open_to_all ? &t->everybody : NULL;
}

static enum failure key_judge(const struct tenant_key *key, int64_t now_unix_s) {
    if (key->tenant->disabled) return FAILURE_TENANT_DISABLED;
    return key->expires_unix_s != 0 && now_unix_s >= key->expires_unix_s ? FAILURE_EXPIRED_KEY : FAILURE_NONE;
}

static enum failure digest_find(const struct tenants *t, const uint8_t digest[DIGEST_BYTES], int64_t now_unix_s,
                                const struct tenant_key **key) {
    *key = NULL;
    for (size_t at = place_of(t, digest); t->table[at] != NULL; at = (at + 1) & (t->capacity - 1)) {
        if (!digest_equal(t->table[at]->digest, digest)) continue;
        *key = t->table[at];
        return key_judge(*key, now_unix_s);
    }
    return FAILURE_UNKNOWN_KEY;
}

enum failure tenants_find(const struct tenants *t, struct slice key_text, int64_t now_unix_s,
                          const struct tenant_key **key) {
    uint8_t digest[DIGEST_BYTES];
    digest_sha256(key_text, digest);
    return digest_find(t, digest, now_unix_s, key);
}

enum failure tenants_still_allow(const struct tenants *t, const uint8_t *digest, int64_t now_unix_s) {
    const struct tenant_key *key;
    if (t->open_to_all) return FAILURE_NONE;
    return digest == NULL ? FAILURE_NO_KEY : digest_find(t, digest, now_unix_s, &key);
}

enum failure tenants_find_again(const struct tenants *t, struct key_memo *memo, struct slice key_text,
                                int64_t now_unix_s, const struct tenant_key **key) {
    if (memo->serial == t->serial && secret_equal(key_text, (struct slice){memo->text, memo->length})) {
        *key = memo->key;
        return key_judge(*key, now_unix_s);
    }
    enum failure f = tenants_find(t, key_text, now_unix_s, key);
    if (f != FAILURE_NONE || key_text.n > KEY_MEMO_BYTES) return f;
    *memo = (struct key_memo){.serial = t->serial, .key = *key, .length = (uint8_t)key_text.n};
    memcpy(memo->text, key_text.p, key_text.n);
    return FAILURE_NONE;
}

void key_memo_clear(struct key_memo *memo) {
    secret_wipe(memo, sizeof *memo);
}

static bool any_matches(const struct conf_texts *patterns, struct slice s) {
    for (size_t i = 0; i < patterns->count; i++)
        if (slice_matches(s, patterns->items[i].text)) return true;
    return false;
}

bool tenant_may_use(const struct tenant *t, struct slice model) {
    return t->models->count == 0 || any_matches(t->models, model);
}

bool tenant_may_pass(const struct tenant *t, struct slice provider, struct slice method, struct slice path) {
    if (t->conf == NULL) return false;
    for (size_t i = 0; i < t->conf->passthrough.count; i++) {
        const struct config_passthrough *rule = &t->conf->passthrough.items[i];
        if (slice_equal(rule->provider.text, provider) && any_matches(&rule->paths, path) &&
            (rule->methods.count == 0 || any_matches(&rule->methods, method)))
            return true;
    }
    return false;
}
