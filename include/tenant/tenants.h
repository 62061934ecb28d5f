/* tenant/tenants.h: who may call: keys by their digests, and what each tenant may use. Compiled once per configuration,
 * immutable, read by all workers. */
#pragma once
#include "conf/config.h"
#include "crypto/digest.h"
#include "facts/failures.h"

struct tenant {
    uint32_t name_id;
    struct slice name;
    bool disabled;
    const struct conf_texts *models;  /* patterns of what it may ask for; none: everything */
    const struct config_tenant *conf; /* NULL for the tenant `default` of a configuration without tenants */
    const struct config_limits *limits;
    const struct config_queue *queue; /* for limits */
};

struct tenant_key {
    uint8_t digest[DIGEST_BYTES];
    uint32_t name_id;
    int64_t expires_unix_s; /* 0: never */
    const struct tenant *tenant;
};

struct tenants;
struct tenants *tenants_compile(const struct config *c); /* borrows c, which must outlive it */
void tenants_free(struct tenants *t);

/* NULL when keys are required; else the tenant that everybody is (no tenants configured: loopback only). */
const struct tenant *tenants_open_to_all(const struct tenants *t);
/* Looks a key up by its SHA-256; the digest is compared in constant time. An unknown key costs what a known one does.
 * FAILURE_NONE, UNKNOWN_KEY, EXPIRED_KEY or TENANT_DISABLED; *key is set for the last two as well. */
enum failure tenants_find(const struct tenants *t, struct slice key_text, int64_t now_unix_s,
                          const struct tenant_key **key);

/* The same for callers that ask again and again: a client's connection brings the same key with every request. The memo
 * holds the key's text for as long as the connection lives; key_memo_clear() wipes it. */
#define KEY_MEMO_BYTES 120
struct key_memo {    /* zero-initialise */
    uint64_t serial; /* of the table `key` is in */
    const struct tenant_key *key;
    uint8_t length;
    char text[KEY_MEMO_BYTES];
};
enum failure tenants_find_again(const struct tenants *t, struct key_memo *memo, struct slice key_text,
                                int64_t now_unix_s, const struct tenant_key **key);
void key_memo_clear(struct key_memo *memo);

/* Would a caller that was let in by an older configuration be let in by this one? `digest` NULL: it came without a key.
 */
enum failure tenants_still_allow(const struct tenants *t, const uint8_t *digest, int64_t now_unix_s);

bool tenant_may_use(const struct tenant *t, struct slice model); /* the name as the client asked for it */
/* NOT_FOUND is never given away here: what is not allowed is PATH_NOT_ALLOWED, whatever exists at the provider. */
bool tenant_may_pass(const struct tenant *t, struct slice provider, struct slice method, struct slice path);
