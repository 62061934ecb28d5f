/* Planning where signals go: the configured exporters; without any, what the environment names. Headers from the
 * environment belong to its own endpoint and are sent nowhere else: they hold keys. */
#include "destinations.h"

#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/url.h"
#include "crypto/random.h"

#define TIMEOUT_NS (10 * NS_PER_S)

static struct slice copy(struct slice s) {
    return (struct slice){mem_strndup(s.p, s.n), s.n};
}

/* scheme://host[:port][/path]; `suffix` is put behind the path, which stands alone as "/" otherwise. */
static bool url_read(struct destination *d, struct slice url, struct slice suffix, bool *tls) {
    struct url parts;
    if (!url_split(url, &parts)) return false;
    *tls = parts.tls;
    for (const char *at = parts.authority.p, *end = url.p + url.n; at < end; at++)
        if (*at <= 0x20 || *at >= 0x7f || strchr("@?#\\\"", *at) != NULL) return false;
    if (parts.host.n == 0 || parts.port.n == 0) return false;
    struct slice path = parts.path;
    if (suffix.n > 0)
        while (path.n > 0 && path.p[path.n - 1] == '/') path.n--;
    d->host = mem_strndup(parts.host.p, parts.host.n);
    d->port = mem_strndup(parts.port.p, parts.port.n);
    d->authority = copy(parts.authority);
    char *text = mem_alloc(path.n + suffix.n + 2);
    memcpy(text, path.p, path.n);
    memcpy(text + path.n, suffix.p, suffix.n);
    if (path.n + suffix.n == 0) text[0] = '/';
    d->path = (struct slice){text, path.n + suffix.n == 0 ? 1 : path.n + suffix.n};
    return true;
}

static struct slice suffix_of(enum signal s) {
    static const struct slice suffixes[SIGNAL_COUNT] = {SLICE_INIT("/v1/traces"), SLICE_INIT("/v1/metrics"),
                                                        SLICE_INIT("/v1/logs")};
    return suffixes[s];
}

/* ---- header lines ---- */

static char *line_put(char *at, struct slice name, struct slice value) {
    memcpy(at, name.p, name.n);
    at += name.n;
    *at++ = ':', *at++ = ' ';
    memcpy(at, value.p, value.n);
    at += value.n;
    *at++ = '\r', *at++ = '\n';
    return at;
}

static void fields_from_config(struct destination *d, const struct conf_pairs *headers) {
    size_t bytes = 1;
    for (size_t i = 0; i < headers->count; i++)
        bytes += headers->items[i].name.text.n + headers->items[i].value.text.n + 4;
    char *text = mem_alloc(bytes), *at = text;
    for (size_t i = 0; i < headers->count; i++)
        at = line_put(at, headers->items[i].name.text, headers->items[i].value.text);
    d->fields = (struct slice){text, (size_t)(at - text)};
}

static bool fields_from_environment(struct destination *d, struct slice headers) {
    size_t bytes = 5 * headers.n + 8; /* `a=b,` becomes `a: b` and a line's end */
    char *room = mem_alloc(headers.n + 1), *text = mem_alloc(bytes), *at = text;
    struct slice key, value;
    bool bad = false;
    while (environment_pair(&headers, &key, &value, room, &bad)) {
        bad |= exporter_header_is_own(key);
        at = line_put(at, key, value);
    }
    d->fields = (struct slice){text, (size_t)(at - text)};
    secret_wipe(room, headers.n + 1);
    mem_free(room);
    return !bad;
}

/* ---- the plan ---- */

static struct planned *plan_add(struct plan *p, enum signal signal, enum semconv dialect) {
    if (p->count == DESTINATIONS_MAX) return NULL;
    struct planned *next = &p->items[p->count++];
    *next = (struct planned){.signal = signal, .dialect = dialect};
    return next;
}

static bool tls_make(struct destination *d, const char *ca, bool verify, const char *what, char *error, size_t bytes) {
    char message[200];
    d->tls = tls_client_new(ca, verify, message, sizeof message);
    if (d->tls != NULL) return true;
    snprintf(error, bytes, "%s: %s", what, message);
    return false;
}

static bool exporter_has(const struct config_exporter *x, enum signal s) {
    for (size_t i = 0; i < x->signals.count; i++)
        if (slice_equal(x->signals.items[i].text, slice_of(signal_name(s)))) return true;
    return false;
}

static enum semconv dialect_of(const struct config_exporter *x) {
    static const enum semconv dialects[] = {SEMCONV_GENAI_ONLY, SEMCONV_OPENINFERENCE, SEMCONV_LANGFUSE};
    return dialects[x->dialect];
}

static bool exporter_plan(struct plan *p, const struct config_exporter *x, enum signal s, const struct environment *e,
                          char *error, size_t bytes) {
    struct planned *next = plan_add(p, s, dialect_of(x));
    bool tls;
    if (next == NULL) return true;
    struct destination *d = &next->to;
    if (!url_read(d, x->endpoint.text, suffix_of(s), &tls)) {
        snprintf(error, bytes, "otlp.export.endpoint: not a usable URL");
        return false;
    }
    fields_from_config(d, &x->headers);
    d->gzip = x->compression == CONFIG_COMPRESSION_DEFAULT ? e->gzip[s] : x->compression == CONFIG_COMPRESSION_GZIP;
    d->timeout_ns = x->timeout_ns != CONF_NEVER ? x->timeout_ns : e->timeout_ns[s] != 0 ? e->timeout_ns[s] : TIMEOUT_NS;
    return !tls || tls_make(d, x->tls.ca.text.p, x->tls.verify, "otlp.export.tls", error, bytes);
}

static bool environment_plan(struct plan *p, enum signal s, const struct environment *e, char *error, size_t bytes) {
    struct planned *next = plan_add(p, s, SEMCONV_GENAI_ONLY);
    struct destination *d = &next->to;
    bool tls;
    if (!url_read(d, e->endpoint[s], e->whole_url[s] ? SLICE("") : suffix_of(s), &tls)) {
        snprintf(error, bytes, "OTEL_EXPORTER_OTLP_ENDPOINT: expected http://host[:port][/path] or https://…");
        return false;
    }
    if (!fields_from_environment(d, e->headers[s])) {
        snprintf(error, bytes,
                 "OTEL_EXPORTER_OTLP_HEADERS: expected name=value,name=value, and none that weir writes itself");
        return false;
    }
    d->gzip = e->gzip[s];
    d->timeout_ns = e->timeout_ns[s] != 0 ? e->timeout_ns[s] : TIMEOUT_NS;
    const char *ca = e->certificate[s].n > 0 ? e->certificate[s].p : NULL;
    return !tls || tls_make(d, ca, true, "OTEL_EXPORTER_OTLP_CERTIFICATE", error, bytes);
}

bool plan_make(struct plan *p, const struct config *c, const struct environment *e, char *error, size_t error_bytes) {
    *p = (struct plan){0};
    if (e->disabled) return true;
    for (size_t i = 0; i < c->otlp.exporters.count; i++) {
        const struct config_exporter *x = &c->otlp.exporters.items[i];
        for (enum signal s = 0; s < SIGNAL_COUNT; s++)
            if (exporter_has(x, s) && !exporter_plan(p, x, s, e, error, error_bytes)) return false;
    }
    for (enum signal s = 0; s < SIGNAL_COUNT && c->otlp.exporters.count == 0; s++)
        if (e->wanted[s] && !environment_plan(p, s, e, error, error_bytes)) return false;
    return true;
}

void plan_clear(struct plan *p) {
    for (unsigned i = 0; i < p->count; i++) destination_clear(&p->items[i].to);
    p->count = 0;
}

void destination_clear(struct destination *d) {
    if (d->fields.p != NULL) secret_wipe((void *)(uintptr_t)d->fields.p, d->fields.n);
    mem_free(d->host);
    mem_free(d->port);
    mem_free((void *)(uintptr_t)d->authority.p);
    mem_free((void *)(uintptr_t)d->path.p);
    mem_free((void *)(uintptr_t)d->fields.p);
    if (d->tls != NULL) tls_context_unref(d->tls);
    *d = (struct destination){0};
}
