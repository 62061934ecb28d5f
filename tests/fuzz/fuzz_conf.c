/* Any bytes as a configuration. Must hold: no crash, no leak, no long wait; refused exactly when there is an error;
 * each message has a place within the text; what is accepted keeps what config.h promises; the literal secret is never
 * told. */
/* fuzz-sources: src/conf/config.c src/conf/files.c src/conf/tree.c src/conf/value.c src/conf/rules.c src/conf/store.c
 */
/* fuzz-sources: src/conf/address.c src/conf/units.c src/conf/read.c src/conf/print.c src/conf/grammar.c
 * src/conf/errors.c */
/* fuzz-sources: src/conf/nearest.c src/conf/finish.c src/conf/verify_addresses.c src/conf/verify_providers.c */
/* fuzz-sources: src/conf/verify_models.c src/conf/verify_tenants.c src/conf/verify_exporters.c src/conf/verify_rest.c
 * src/conf/redis_url.c
 * src/facts/tables.c */
/* fuzz-sources: src/base/arena.c src/base/buf.c src/base/json_text.c src/base/url.c */
/* fuzz-sources: src/base/mem.c src/base/slice.c src/base/hash.c src/base/random.c */
/* fuzz-sources: src/base/clock.c src/base/clock_source.c */
#include <assert.h>
#include <stdlib.h>

#include "conf/config.h"

static const struct slice secret = SLICE_INIT("S3CRET");

static bool contains(struct slice s, const char *part) {
    return s.n > 0 && memmem(s.p, s.n, part, strlen(part)) != NULL;
}

static void check_messages(const struct conf_errors *errors, struct slice text) {
    unsigned lines = 1;
    for (size_t i = 0; i < text.n; i++) lines += text.p[i] == '\n' || text.p[i] == '\r';
    for (size_t i = 0; i < errors->count; i++) {
        const struct conf_message *m = &errors->messages[i];
        assert(m->text[0] != '\0');
        bool wide = text.n > 1 && ((unsigned char)text.p[0] >= 0xFE); /* UTF-16: bytes are no characters */
        bool other_breaks = contains(text, "\xe2\x80") || contains(text, "\xc2\x85"); /* YAML breaks lines there too */
        assert(m->at.line <= lines + 1 || wide || other_breaks);
    }
}

static void check_config(const struct config *c) {
    assert(c->listen.count >= 1 && c->http.buffered_bytes >= c->http.body_bytes);
    for (size_t i = 0; i < c->listen.count; i++) {
        const struct config_listener *l = &c->listen.items[i];
        assert(l->address.host.p != NULL && l->address.port_number <= 65535);
        assert(l->address.loopback || c->tenants.count > 0);
        assert(l->address.loopback || l->insecure || l->tls.key.text.p != NULL);
        assert((l->tls.key.text.p == NULL) == (l->tls.certificate.text.p == NULL));
    }
    assert(c->admin.address.loopback || c->admin.token.text.n > 0);
    for (size_t i = 0; i < c->providers.count; i++) {
        const struct config_provider *p = &c->providers.items[i];
        assert(p->auth < AUTH_COUNT && p->dialect < DIALECT_COUNT && p->base_url.text.n > 7);
        assert((p->auth == AUTH_NONE) == (p->api_key.text.p == NULL));
    }
    for (size_t i = 0; i < c->models.count; i++) {
        assert(c->models.items[i].targets.count > 0);
        for (size_t j = 0; j < c->models.items[i].targets.count; j++)
            assert(c->models.items[i].targets.items[j].provider_index < c->providers.count);
    }
    for (size_t i = 0; i < c->tenants.count; i++)
        for (size_t j = 0; j < c->tenants.items[i].keys.count; j++)
            assert(c->tenants.items[i].keys.items[j].name.text.n > 0);
}

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

int LLVMFuzzerInitialize(int *argc, char ***argv) {
    (void)argc, (void)argv;
    setenv("SECRET", secret.p, 1);
    setenv("NAME", "info", 1);
    return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
    struct conf_errors errors = {0};
    struct buf print = {0}, messages = {0};
    struct slice text = {(const char *)data, n};
    struct config *c = config_load_text("fuzz.yaml", text, &errors, &print);
    assert((c == NULL) == (errors.error_count > 0));
    check_messages(&errors, text);
    conf_errors_write(&errors, &messages);
    bool written = contains(text, secret.p); /* as a name it may be told */
    assert(written || !contains((struct slice){messages.data, messages.end}, secret.p));
    if (c != NULL) check_config(c);
    config_free(c);
    conf_errors_clear(&errors);
    buf_clear(&print);
    buf_clear(&messages);
    return 0;
}
