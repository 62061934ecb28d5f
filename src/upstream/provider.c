/* Compiling a provider: its base_url taken apart, its origin found, and the fields that every request carries
 * written once, so that a request to it only copies them. */
#include "upstream/provider.h"

#include <assert.h>

#include "base/buf.h"
#include "base/mem.h"
#include "base/url.h"
#include "crypto/random.h"
#include "facts/names.h"

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

struct provider *provider_compile(const struct config_provider *c, struct origins *origins,
                                  struct conf_errors *errors) {
    struct provider *p = mem_zalloc(sizeof *p);
    struct url url;
    url_split(c->base_url.text, &url); /* checked when the configuration was read */
    struct origin_place place = {.name = c->name.text,
                                 .host = url.host,
                                 .port = url.port,
                                 .tls = url.tls,
                                 .ca_file = c->tls.ca.text.p,
                                 .verify = c->tls.verify};
    p->conf = c;
    p->name = c->name.text;
    p->name_id = name_id(p->name);
    p->dialect = c->dialect;
    if (c->auth != AUTH_NONE) p->secret = c->api_key.text;
    p->base_path = url.path;
    fields_write(p, url.authority);
    char message[256];
    p->origin = origin_get(origins, &place, c->max_connections, message, sizeof message);
    if (p->origin != NULL) return p;
    conf_error_add(errors, c->tls.ca.text.p ? c->tls.ca.at : c->base_url.at, "%s", message);
    provider_free(p);
    return NULL;
}

void provider_free(struct provider *p) {
    if (p == NULL) return;
    if (p->fields.p != NULL) secret_wipe((void *)(uintptr_t)p->fields.p, p->fields.n);
    mem_free((void *)(uintptr_t)p->fields.p);
    if (p->origin != NULL) origin_put(p->origin);
    mem_free(p);
}

bool provider_serves(const struct provider *p, struct slice bare_model) {
    for (size_t i = 0; i < p->conf->models.count; i++)
        if (slice_matches(bare_model, p->conf->models.items[i].text)) return true;
    return false;
}
