/* What the clients of all threads share: options, counts with one writer each, and one voice in the log. */
#include "redis/redis.h"

#include <assert.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/random.h"
#include "site.h"

enum { DETAIL_MAX = 120 };

struct slice redis_failure_name(enum redis_failure f) {
#define FAILURE_NAME(id, name) SLICE_INIT(#name),
    static const struct slice names[] = {REDIS_FAILURES(FAILURE_NAME)};
#undef FAILURE_NAME
    return names[f];
}

struct redis *redis_new(const struct redis_options *o, char *error, size_t error_bytes) {
    struct tls_context *tls = NULL;
    if (o->tls) {
        tls = tls_client_new(o->ca_file, o->verify, error, error_bytes);
        if (tls == NULL) return NULL;
    }
    struct redis *r = mem_zalloc(sizeof *r);
    r->tls = tls;
    r->host = mem_strndup(o->host.p, o->host.n);
    r->port = mem_strndup(o->port.p, o->port.n);
    r->user = mem_strndup(o->user.p, o->user.n);
    r->user_length = o->user.n;
    r->password = mem_strndup(o->password.p, o->password.n);
    r->password_length = o->password.n;
    r->database = o->database;
    r->timeout_ns = o->timeout_ns;
    return r;
}

void redis_free(struct redis *r) {
    if (r == NULL) return;
    secret_wipe(r->password, r->password_length);
    for (size_t i = 0; i < REDIS_CLIENTS_MAX; i++) histogram_clear(&r->counts[i].latency);
    mem_free(r->password);
    mem_free(r->user);
    mem_free(r->host);
    mem_free(r->port);
    if (r->tls != NULL) tls_context_unref(r->tls);
    mem_free(r);
}

uint64_t redis_timeout_ns(const struct redis *r) {
    return r->timeout_ns;
}

/* ---- counts ---- */

struct client_counts *site_join(struct redis *r, bool counted) {
    size_t i = 0;
    while (i < REDIS_CLIENTS_MAX && atomic_exchange(&r->counts[i].used, true)) i++;
    assert(i < REDIS_CLIENTS_MAX);
    atomic_store(&r->counts[i].counted, counted);
    return &r->counts[i];
}

void site_leave(struct client_counts *counts) {
    atomic_store(&counts->up, false);
    atomic_store(&counts->counted, false);
    atomic_store(&counts->used, false);
}

void site_ended(struct client_counts *counts, enum redis_failure failure, uint64_t waited_ns) {
    count_add(&counts->ended[failure], 1);
    if (failure == REDIS_OK || failure == REDIS_REFUSED) histogram_add(&counts->latency, waited_ns);
}

static uint64_t load(const _Atomic uint64_t *counter) {
    return atomic_load_explicit(counter, memory_order_relaxed);
}

void redis_stats_read(const struct redis *r, struct redis_stats *out) {
    *out = (struct redis_stats){0};
    for (size_t i = 0; i < REDIS_CLIENTS_MAX; i++) {
        const struct client_counts *c = &r->counts[i];
        for (size_t f = 0; f < REDIS_FAILURE_COUNT; f++) out->ended[f] += load(&c->ended[f]);
        out->connects += load(&c->connects);
        out->redirects += load(&c->redirects);
        out->script_loads += load(&c->script_loads);
        out->late_replies += load(&c->late_replies);
        bool counted = atomic_load_explicit(&c->counted, memory_order_relaxed);
        out->clients += counted;
        out->clients_up += counted && atomic_load_explicit(&c->up, memory_order_relaxed);
    }
}

void redis_latency_read(const struct redis *r, struct histogram_view *out) {
    for (size_t i = 0; i < REDIS_CLIENTS_MAX; i++) histogram_read(&r->counts[i].latency, out);
}

bool redis_is_up(const struct redis *r) {
    struct redis_stats s;
    redis_stats_read(r, &s);
    return s.clients > 0 && s.clients_up == s.clients;
}

/* ---- the log ---- */

/* What a server says may be anything, also the password it was just given. */
static void detail_append(struct buf *out, const struct redis *r, struct slice detail) {
    if (detail.n == 0) return;
    bool secret = r->password_length > 0 && memmem(detail.p, detail.n, r->password, r->password_length) != NULL;
    if (secret) detail = slice_of(redis_error_word(redis_error_of(detail)));
    buf_append(out, ": ", 2);
    for (size_t i = 0; i < detail.n && i < DETAIL_MAX; i++)
        buf_append(out, detail.p[i] >= ' ' && detail.p[i] <= '~' ? &detail.p[i] : "?", 1);
}

void site_tell_trouble(struct redis *r, const char *where, const char *what, struct slice detail) {
    if (!log_once_a_minute(&r->told_gate)) return;
    struct buf text = {0};
    atomic_store(&r->told, true);
    detail_append(&text, r, detail);
    log_warn("redis: %s %s%.*s; until it answers again, state.redis.on_failure decides", where, what,
             (int)buf_length(&text), text.data != NULL ? text.data : "");
    buf_clear(&text);
}

void site_tell_up(struct redis *r, struct client_counts *counts, bool up) {
    bool was = atomic_exchange(&counts->up, up);
    if (up && !was && redis_is_up(r) && atomic_exchange(&r->told, false))
        log_info("redis: %s:%s answers again", r->host, r->port);
}
