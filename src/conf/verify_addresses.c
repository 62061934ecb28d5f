/* Who can reach what: plain HTTP and open doors only on loopback, and no address twice. */
#include "verify.h"

static bool is_wildcard(struct slice host) {
    return slice_equal(host, SLICE("0.0.0.0")) || slice_equal(host, SLICE("::"));
}

static bool collide(const struct conf_address *a, const struct conf_address *b) {
    if (a->text.p == NULL || b->text.p == NULL) return false;
    if (a->port_number != b->port_number || a->port_number == 0) return false;
    return slice_equal_nocase(a->host, b->host) || is_wildcard(a->host) || is_wildcard(b->host);
}

static void collision_add(const struct conf_address *first, const struct conf_address *second, const char *first_key,
                          struct conf_errors *errors) {
    if (!collide(first, second)) return;
    struct conf_position at = second->at.file != NULL ? second->at : first->at;
    conf_error_add(errors, at, "%s is taken by `%s` already", conf_quote(errors, second->text), first_key);
}

static void verify_collisions(const struct config *c, struct conf_errors *errors) {
    for (size_t i = 0; i < c->listen.count; i++) {
        const struct conf_address *a = &c->listen.items[i].address;
        for (size_t j = i + 1; j < c->listen.count; j++)
            collision_add(a, &c->listen.items[j].address, "listen", errors);
        collision_add(a, &c->admin.address, "listen", errors);
        collision_add(a, &c->otlp.receive.address, "listen", errors);
    }
    collision_add(&c->admin.address, &c->otlp.receive.address, "admin.address", errors);
}

static void verify_listener(const struct config *c, const struct config_listener *l, struct conf_errors *errors) {
    const struct conf_text *certificate = &l->tls.certificate, *key = &l->tls.key;
    bool tls = text_given(certificate) || text_given(key);
    if (tls && !text_given(certificate)) conf_error_add(errors, key->at, "`certificate` is missing beside `key`");
    if (tls && !text_given(key)) conf_error_add(errors, certificate->at, "`key` is missing beside `certificate`");
    if (l->address.text.p == NULL || l->address.loopback) return;
    if (!tls && !l->insecure)
        conf_error_add(errors, l->address.at,
                       "plain HTTP on an address that is not loopback: add `tls`, or `insecure: true` if it is meant");
    if (c->tenants.count == 0)
        conf_error_add(errors, l->address.at,
                       "without tenants only loopback addresses are allowed: anyone could spend the providers' keys");
}

void verify_addresses(const struct config *c, struct conf_errors *errors) {
    for (size_t i = 0; i < c->listen.count; i++) verify_listener(c, &c->listen.items[i], errors);
    const struct conf_address *admin = &c->admin.address, *otlp = &c->otlp.receive.address;
    if (admin->text.p != NULL && !admin->loopback && !text_given(&c->admin.token))
        conf_error_add(errors, admin->at, "an admin address that is not loopback needs `admin.token`");
    if (otlp->text.p != NULL && !otlp->loopback && c->tenants.count == 0)
        conf_error_add(errors, otlp->at, "an OTLP address that is not loopback needs tenants, whose keys it asks for");
    if (c->admin.token.text.p != NULL && c->admin.token.text.n < 16)
        conf_warning_add(errors, c->admin.token.at, "a token of fewer than 16 characters can be guessed");
    verify_collisions(c, errors);
}
