/* Listening sockets as the configuration has them: certificates are read and sockets opened before anything changes, so
 * that a reload either can have all of them or leaves all as it was. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "crypto/random.h"
#include "parts.h"
#include "takeover.h"

struct port *ports_find(const struct ports *p, const char *address) {
    for (size_t i = 0; i < p->count; i++)
        if (strcmp(p->items[i]->address, address) == 0) return p->items[i];
    return NULL;
}

void port_free(struct port *p) {
    if (p->listener != NULL) listener_free(p->listener);
    if (p->fd >= 0) close(p->fd);
    if (p->tls != NULL) tls_context_unref(p->tls);
    mem_free(p->address);
    mem_free(p);
}

void ports_clear(struct ports *p) {
    for (size_t i = 0; i < p->count; i++) port_free(p->items[i]);
    p->count = 0;
}

static void file_add(struct buf *out, const char *path) {
    char bytes[4096];
    FILE *f = fopen(path, "re");
    if (f == NULL) return; /* tls_server_new() says why */
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, f)) > 0 && buf_length(out) < ((size_t)4 << 20);)
        buf_append(out, bytes, n);
    fclose(f);
}

static bool port_secure(struct port *p, const struct config_listener *l, struct conf_errors *errors) {
    char message[256];
    struct buf files = {0};
    if (l->tls.certificate.text.p == NULL) return true;
    file_add(&files, l->tls.certificate.text.p);
    file_add(&files, l->tls.key.text.p);
    digest_sha256(buf_slice(&files), p->tls_print);
    if (files.data != NULL) secret_wipe(files.data, files.capacity);
    buf_clear(&files);
    p->tls = tls_server_new(l->tls.certificate.text.p, l->tls.key.text.p, message, sizeof message);
    if (p->tls == NULL) conf_error_add(errors, l->tls.certificate.at, "listen.tls: %s", message);
    return p->tls != NULL;
}

static bool port_make(const struct config_listener *l, const struct ports *known, struct takeover *inherited,
                      struct ports *out, struct conf_errors *errors) {
    char message[256];
    struct port *p = mem_zalloc(sizeof *p);
    p->fd = -1;
    p->address = mem_strndup(l->address.text.p, l->address.text.n);
    out->items[out->count++] = p;
    if (!port_secure(p, l, errors)) return false;
    if (ports_find(known, p->address) != NULL) return true;
    p->fd = takeover_socket(inherited, "listen", p->address);
    if (p->fd >= 0) return true;
    p->fd = listen_open(l->address.host.p, l->address.port.p, message, sizeof message);
    if (p->fd < 0) conf_error_add(errors, l->address.at, "listen.address %s: %s", p->address, message);
    return p->fd >= 0;
}

bool ports_make(const struct config *c, const struct ports *known, struct takeover *inherited, struct ports *out,
                struct conf_errors *errors) {
    bool good = true;
    *out = (struct ports){0};
    for (size_t i = 0; i < c->listen.count && i < LISTENERS_MAX; i++)
        good = port_make(&c->listen.items[i], known, inherited, out, errors) && good;
    return good;
}
