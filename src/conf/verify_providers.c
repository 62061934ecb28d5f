/* Providers: names that are paths, credentials, headers that weir writes itself, URLs that do not fit their dialect. */
#include <stdio.h>

#include "address.h"
#include "verify.h"

enum { NAMES_SHOWN_MAX = 12 };

static const struct slice reserved[] = {SLICE_INIT("v1"), SLICE_INIT("v1beta"), SLICE_INIT("weir"),
                                        SLICE_INIT("healthz"), SLICE_INIT("readyz")};
static const struct slice own_headers[] = {
    SLICE_INIT("host"),       SLICE_INIT("content-length"),  SLICE_INIT("transfer-encoding"),
    SLICE_INIT("connection"), SLICE_INIT("keep-alive"),      SLICE_INIT("proxy-connection"),
    SLICE_INIT("te"),         SLICE_INIT("trailer"),         SLICE_INIT("upgrade"),
    SLICE_INIT("expect"),     SLICE_INIT("accept-encoding"), SLICE_INIT("content-encoding")};

static bool listed(const struct slice *list, size_t count, struct slice s) {
    for (size_t i = 0; i < count; i++)
        if (slice_equal_nocase(list[i], s)) return true;
    return false;
}

static void verify_headers(const struct config_provider *p, struct conf_errors *errors) {
    const char *credential = p->auth < AUTH_COUNT ? auth_header(p->auth) : NULL;
    for (size_t i = 0; i < p->headers.count; i++) {
        const struct conf_text *name = &p->headers.items[i].name;
        const char *quoted = conf_quote(errors, name->text);
        if (listed(own_headers, sizeof own_headers / sizeof *own_headers, name->text))
            conf_error_add(errors, name->at, "the header `%s` is written by weir itself", quoted);
        else if (credential != NULL && slice_equal_nocase(name->text, slice_of(credential)))
            conf_error_add(errors, name->at, "the header `%s` carries `api_key`: set that, or `auth: none`", quoted);
        for (size_t j = 0; j < i; j++)
            if (slice_equal_nocase(name->text, p->headers.items[j].name.text))
                conf_error_add(errors, name->at, "the header `%s` is given twice", quoted);
    }
}

static void verify_credential(const struct config_provider *p, struct conf_errors *errors) {
    bool has_key = text_given(&p->api_key);
    if (p->auth == AUTH_NONE && has_key)
        conf_error_add(errors, p->api_key.at, "`api_key` is never sent, because `auth` is none");
    else if (p->auth != AUTH_NONE && !has_key)
        conf_error_add(errors, p->name.at, "`api_key` is missing (`auth: none` if this provider takes none)");
}

static bool ends_with(struct slice s, const char *end) {
    size_t n = strlen(end);
    return s.n >= n && memcmp(s.p + s.n - n, end, n) == 0;
}

static void verify_url(const struct config_provider *p, struct conf_errors *errors) {
    struct slice url = p->base_url.text;
    if (url.p == NULL) return;
    bool loopback, plain = slice_starts(url, SLICE("http://"));
    struct slice authority = address_url_authority(url, &loopback);
    bool no_path = authority.p + authority.n == url.p + url.n;
    if (plain && !loopback && p->auth != AUTH_NONE)
        conf_warning_add(errors, p->base_url.at, "the provider's key travels unencrypted (http://)");
    if (plain && text_given(&p->tls.ca)) conf_warning_add(errors, p->tls.ca.at, "`tls` has no effect with http://");
    if (!plain && !p->tls.verify)
        conf_warning_add(errors, p->base_url.at, "`tls.verify` is off: whoever answers gets the key");
    if (p->dialect == DIALECT_OPENAI && no_path)
        conf_warning_add(errors, p->base_url.at, "a base_url of the openai dialect usually ends in /v1");
    if (p->dialect != DIALECT_OPENAI && (ends_with(url, "/v1") || ends_with(url, "/v1beta")))
        conf_warning_add(errors, p->base_url.at, "a base_url of the %s dialect usually has no version at its end",
                         dialect_name(p->dialect));
}

void verify_providers(const struct config *c, struct conf_errors *errors) {
    for (size_t i = 0; i < c->providers.count; i++) {
        const struct config_provider *p = &c->providers.items[i];
        if (listed(reserved, sizeof reserved / sizeof *reserved, p->name.text))
            conf_error_add(errors, p->name.at, "`%s` is reserved: paths of weir's own begin with it",
                           conf_quote(errors, p->name.text));
        verify_credential(p, errors);
        verify_headers(p, errors);
        verify_url(p, errors);
    }
}

void provider_names_init(struct provider_names *n, const struct config *c) {
    *n = (struct provider_names){.config = c};
    for (size_t i = 0; i < c->providers.count; i++)
        map_put(&n->by_name, c->providers.items[i].name.text, &c->providers.items[i]);
}

void provider_names_clear(struct provider_names *n) {
    map_clear(&n->by_name);
}

void unknown_reference_add(struct conf_errors *errors, const struct conf_text *name, const char *kind,
                           const struct slice *known, size_t known_count) {
    const char *quoted = conf_quote(errors, name->text);
    struct slice near = conf_nearest(name->text, known, known_count);
    struct buf list = {0};
    for (size_t i = 0; i < known_count && i < NAMES_SHOWN_MAX; i++)
        buf_printf(&list, "%s%s", i > 0 ? ", " : "", conf_quote(errors, known[i]));
    if (known_count > NAMES_SHOWN_MAX) buf_append_text(&list, ", …");
    if (near.n > 0)
        conf_error_add(errors, name->at, "unknown %s `%s`, did you mean `%s`?", kind, quoted, conf_quote(errors, near));
    else if (known_count > 0)
        conf_error_add(errors, name->at, "unknown %s `%s`; there are: %.*s", kind, quoted, (int)buf_length(&list),
                       buf_slice(&list).p);
    else
        conf_error_add(errors, name->at, "unknown %s `%s`: none is configured", kind, quoted);
    buf_clear(&list);
}

void provider_resolve(const struct provider_names *n, const struct conf_text *name, size_t *index,
                      struct conf_errors *errors) {
    if (name->text.p == NULL) return;
    const struct config *c = n->config;
    const struct config_provider *found = map_get(&n->by_name, name->text);
    if (found != NULL) {
        *index = (size_t)(found - c->providers.items);
        return;
    }
    struct slice *known = arena_alloc(&errors->arena, (c->providers.count + 1) * sizeof *known);
    for (size_t i = 0; i < c->providers.count; i++) known[i] = c->providers.items[i].name.text;
    unknown_reference_add(errors, name, "provider", known, c->providers.count);
}
