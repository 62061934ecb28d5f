/* Compiling a provider: its base_url taken apart, its TLS context made, and the fields that every request carries
 * written once, so that a request to it only copies them. */
#include "upstream/provider.h"

#include <assert.h>

#include "base/buf.h"
#include "base/mem.h"
#include "crypto/random.h"
#include "facts/names.h"

static char *slice_dup(struct slice s) {
    return mem_strndup(s.p, s.n);
}

/* base_url was checked when the configuration was read: scheme://host[:port][/path]. */
static void base_url_split(struct provider *p, struct slice url, struct slice *authority, bool *tls) {
    *tls = slice_starts(url, SLICE("https://"));
    struct slice rest = url;
    rest.p += *tls ? 8 : 7;
    rest.n -= *tls ? 8 : 7;
    const char *slash = memchr(rest.p, '/', rest.n);
    size_t n = slash ? (size_t)(slash - rest.p) : rest.n;
    *authority = (struct slice){rest.p, n};
    p->base_path = (struct slice){rest.p + n, rest.n - n};
    struct slice host = *authority, port = *tls ? SLICE("443") : SLICE("80");
    const char *bracket = memchr(host.p, ']', host.n), *after = bracket ? bracket : host.p;
    const char *colon = memchr(after, ':', (size_t)(host.p + host.n - after));
    if (colon != NULL) {
        port = (struct slice){colon + 1, (size_t)(host.p + host.n - colon - 1)};
        host.n = (size_t)(colon - host.p);
    }
    if (host.n > 1 && host.p[0] == '[') host = (struct slice){host.p + 1, host.n - 2};
    p->host = slice_dup(host);
    p->port = slice_dup(port);
}

static void field_add(struct buf *out, struct slice name, struct slice value) {
    buf_append_slice(out, name);
    buf_append(out, ": ", 2);
    buf_append_slice(out, value);
    buf_append(out, "\r\n", 2);
}

static size_t fields_bytes_max(const struct config_provider *c, struct slice authority) {
    size_t names_and_ends = 256, bytes = names_and_ends + authority.n + c->api_key.text.n;
    for (size_t i = 0; i < c->headers.count; i++)
        bytes += c->headers.items[i].name.text.n + c->headers.items[i].value.text.n + 4;
    return bytes;
}

static void fields_write(struct provider *p, struct slice authority) {
    const struct config_provider *c = p->conf;
    struct buf out = {0};
    buf_reserve(&out, fields_bytes_max(c, authority)); /* once: growing would leave the key behind in freed memory */
    const char *memory = out.data;
    field_add(&out, SLICE("host"), authority);
    if (c->auth == AUTH_BEARER) {
        buf_append_text(&out, "authorization: Bearer ");
        buf_append_slice(&out, c->api_key.text);
        buf_append(&out, "\r\n", 2);
    } else if (c->auth != AUTH_NONE) {
        field_add(&out, slice_of(auth_header(c->auth)), c->api_key.text);
    }
    for (size_t i = 0; i < c->headers.count; i++)
        field_add(&out, c->headers.items[i].name.text, c->headers.items[i].value.text);
    field_add(&out, SLICE("accept-encoding"), SLICE("identity"));
    assert(out.data == memory);
    p->fields = (struct slice){mem_strndup(out.data, buf_length(&out)), buf_length(&out)};
    secret_wipe(out.data, out.capacity);
    buf_clear(&out);
}

struct provider *provider_compile(const struct config_provider *c, unsigned slot, struct conf_errors *errors) {
    struct provider *p = mem_zalloc(sizeof *p);
    struct slice authority;
    bool tls;
    p->conf = c;
    p->slot = slot;
    p->name = c->name.text;
    p->name_id = name_id(p->name);
    p->dialect = c->dialect;
    if (c->auth != AUTH_NONE) p->secret = c->api_key.text;
    permits_init(&p->permits, c->max_connections);
    base_url_split(p, c->base_url.text, &authority, &tls);
    fields_write(p, authority);
    char message[256];
    if (tls && (p->tls = tls_client_new(c->tls.ca.text.p, c->tls.verify, message, sizeof message)) == NULL) {
        conf_error_add(errors, c->tls.ca.text.p ? c->tls.ca.at : c->base_url.at, "%s", message);
        provider_free(p);
        return NULL;
    }
    return p;
}

void provider_free(struct provider *p) {
    if (p == NULL) return;
    if (p->fields.p != NULL) secret_wipe((void *)(uintptr_t)p->fields.p, p->fields.n);
    mem_free((void *)(uintptr_t)p->fields.p);
    mem_free((void *)(uintptr_t)p->host);
    mem_free((void *)(uintptr_t)p->port);
    if (p->tls != NULL) tls_context_unref(p->tls);
    permits_clear(&p->permits);
    mem_free(p);
}

bool provider_serves(const struct provider *p, struct slice bare_model) {
    for (size_t i = 0; i < p->conf->models.count; i++)
        if (slice_matches(bare_model, p->conf->models.items[i].text)) return true;
    return false;
}
