/* Reloading the configuration. A thread of its own reads and compiles everything that takes time or can fail: files,
 * certificates, authorities, sockets, the log. The main thread then only swaps: no worker waits, no connection is
 * closed, and what is wrong with a file changes nothing. What is counted and known (limits, health, connections) does
 * not belong to a configuration and stays. */
#include <stdatomic.h>
#include <stddef.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "parts.h"

struct reload {
    struct message message;
    struct gateway *gateway;
    pthread_t thread;
    struct ports known; /* addresses only */
    bool log_was_on;
    struct slice log_was_at; /* empty: standard output */
    uint64_t begun_ns;
    /* what it brings */
    struct snapshot *conf; /* NULL: nothing, and `said` tells why */
    struct ports ports;
    int log_fd; /* -1: the access log stays what it is */
    struct buf said;
};

/* ---- what cannot change while it runs ---- */

static bool text_differs(struct slice a, struct slice b) {
    return !slice_equal(a, b);
}

static bool workers_differ(const struct config *a, const struct config *b) {
    return a->workers != b->workers;
}

static bool instance_differs(const struct config *a, const struct config *b) {
    return text_differs(a->instance.name.text, b->instance.name.text) ||
           text_differs(a->instance.region.text, b->instance.region.text) ||
           text_differs(a->instance.environment.text, b->instance.environment.text);
}

static bool admin_differs(const struct config *a, const struct config *b) {
    return text_differs(a->admin.address.text, b->admin.address.text);
}

static bool state_differs(const struct config *a, const struct config *b) {
    return a->state.backend != b->state.backend || text_differs(a->state.redis.url.text, b->state.redis.url.text) ||
           text_differs(a->state.redis.prefix.text, b->state.redis.prefix.text) ||
           text_differs(a->state.redis.tls.ca.text, b->state.redis.tls.ca.text) ||
           a->state.redis.tls.verify != b->state.redis.tls.verify ||
           a->state.redis.timeout_ns != b->state.redis.timeout_ns || a->state.redis.mode != b->state.redis.mode ||
           a->state.redis.on_failure != b->state.redis.on_failure;
}

static bool store_differs(const struct config *a, const struct config *b) {
    return a->store.enabled != b->store.enabled || text_differs(a->store.path.text, b->store.path.text);
}

static bool receive_differs(const struct config *a, const struct config *b) {
    return text_differs(a->otlp.receive.address.text, b->otlp.receive.address.text);
}

static bool texts_differ(const struct conf_texts *a, const struct conf_texts *b) {
    bool differ = a->count != b->count;
    for (size_t i = 0; !differ && i < a->count; i++) differ = text_differs(a->items[i].text, b->items[i].text);
    return differ;
}

static bool pairs_differ(const struct conf_pairs *a, const struct conf_pairs *b) {
    bool differ = a->count != b->count;
    for (size_t i = 0; !differ && i < a->count; i++)
        differ = text_differs(a->items[i].name.text, b->items[i].name.text) ||
                 text_differs(a->items[i].value.text, b->items[i].value.text);
    return differ;
}

static bool exporter_differs(const struct config_exporter *a, const struct config_exporter *b) {
    return text_differs(a->endpoint.text, b->endpoint.text) || pairs_differ(&a->headers, &b->headers) ||
           texts_differ(&a->signals, &b->signals) || a->dialect != b->dialect || a->compression != b->compression ||
           a->timeout_ns != b->timeout_ns || text_differs(a->tls.ca.text, b->tls.ca.text) ||
           a->tls.verify != b->tls.verify;
}

/* The exporters that run learn of new providers; where they send to stays. */
static bool exporters_differ(const struct config *a, const struct config *b) {
    bool differ = a->otlp.exporters.count != b->otlp.exporters.count;
    for (size_t i = 0; !differ && i < a->otlp.exporters.count; i++)
        differ = exporter_differs(&a->otlp.exporters.items[i], &b->otlp.exporters.items[i]);
    return differ;
}

static const struct {
    const char *key;
    bool (*differs)(const struct config *a, const struct config *b);
} fixed[] = {
    {"workers", workers_differ},       {"instance", instance_differs}, {"admin.address", admin_differs},
    {"state", state_differs},          {"store", store_differs},       {"otlp.receive", receive_differs},
    {"otlp.export", exporters_differ},
};

static void fixed_tell(const struct config *before, const struct config *now) {
    for (size_t i = 0; i < sizeof fixed / sizeof fixed[0]; i++)
        if (fixed[i].differs(before, now)) log_warn("reload: a changed `%s` takes effect with a restart", fixed[i].key);
}

/* ---- the loader's thread ---- */

/* Opens the access log when it is another than before. */
static bool log_prepare(struct reload *r, const struct config *c, struct conf_errors *errors) {
    char message[256];
    bool on = c->log.access != CONFIG_ACCESS_NONE;
    struct slice at = c->log.access_file.text;
    r->log_fd = -1;
    if (!on || (r->log_was_on && slice_equal(at, r->log_was_at))) return true;
    r->log_fd = recorder_log_open(at.p, message, sizeof message);
    if (r->log_fd < 0) conf_error_add(errors, c->log.access_file.at, "log.access: %s", message);
    return r->log_fd >= 0;
}

static void load(struct reload *r) {
    struct conf_errors errors = {0};
    struct config *c = config_load(r->gateway->path, &errors, NULL);
    if (c != NULL) {
        bool good = ports_make(c, &r->known, NULL, &r->ports, &errors);
        good = log_prepare(r, c, &errors) && good;
        r->conf = snapshot_compile(c, r->gateway->origins, &errors);
        if (r->conf == NULL)
            config_free(c);
        else if (!good)
            snapshot_free(r->conf);
        if (!good) r->conf = NULL;
    }
    conf_errors_write(&errors, &r->said);
    conf_errors_clear(&errors);
}

static void *loader_run(void *context) {
    struct reload *r = context;
    pthread_setname_np(pthread_self(), "loader");
    r->log_fd = -1;
    load(r);
    inbox_post(&r->gateway->inbox, &r->message);
    return NULL;
}

/* ---- the main thread ---- */

static void reload_free(struct reload *r) {
    ports_clear(&r->known);
    ports_clear(&r->ports);
    snapshot_free(r->conf);
    if (r->log_fd > STDERR_FILENO) close(r->log_fd);
    mem_free((void *)(uintptr_t)r->log_was_at.p);
    buf_clear(&r->said);
    mem_free(r);
}

static void lines_log(struct slice text, bool failed) {
    struct slice line;
    while (slice_cut(&text, '\n', &line)) {
        if (line.n == 0) continue;
        if (failed)
            log_error("reload: %.*s", (int)line.n, line.p);
        else
            log_warn("reload: %.*s", (int)line.n, line.p);
    }
}

static void log_follow(struct gateway *g, struct reload *r) {
    const struct config *c = g->conf->config;
    bool on = c->log.access != CONFIG_ACCESS_NONE;
    if (on == r->log_was_on && r->log_fd < 0) return;
    recorder_log_move(g->recorder, on, c->log.access_file.text.p, r->log_fd);
    r->log_fd = -1;
}

static void apply(struct gateway *g, struct reload *r) {
    struct snapshot *conf = r->conf;
    bool token_changed = text_differs(g->conf->config->admin.token.text, conf->config->admin.token.text);
    r->conf = NULL;
    fixed_tell(g->conf->config, conf->config);
    generation_add(g, conf, g->thread_count);
    generations_adopt(g);
    for (size_t i = 0; i < conf->provider_count; i++)
        permits_max_set(&conf->providers[i]->origin->permits, conf->providers[i]->conf->max_connections);
    accept_follow(g, &r->ports);
    exports_follow(g->exports, conf->config);
    blocks_budget_set(conf->config->http.buffered_bytes);
    log_level_set(conf->config->log.level);
    log_follow(g, r);
    if (token_changed && g->admin != NULL) admin_token_set(g->admin, conf->config->admin.token.text);
    atomic_fetch_add(&g->reloads_good, 1);
    atomic_store(&g->reloaded_unix_s, clock_wall_ns(g->loop->now_ns) / (int64_t)NS_PER_S);
    log_info("reloaded in %llu ms: %zu listeners, %zu providers, %zu tenants",
             (unsigned long long)((loop_stamp(g->loop) - r->begun_ns) / NS_PER_MS), g->ports.count,
             conf->provider_count, conf->config->tenants.count);
}

static void loaded(struct message *m, void *context) {
    struct gateway *g = context;
    struct reload *r = (struct reload *)((char *)m - offsetof(struct reload, message));
    bool good = r->conf != NULL;
    pthread_join(r->thread, NULL);
    g->reload = NULL;
    lines_log(buf_slice(&r->said), !good);
    atomic_store(&g->reload_was_good, good);
    if (!good) {
        atomic_fetch_add(&g->reloads_bad, 1);
        log_error("reload: %s has errors: nothing has changed", g->path);
    } else if (!g->draining) {
        apply(g, r);
    }
    reload_free(r);
    if (g->reload_again)
        reload_begin(g);
    else if (g->upgrade_asked)
        upgrade_begin(g);
}

static void known_copy(const struct ports *from, struct ports *to) {
    for (; to->count < from->count; to->count++) {
        struct port *p = mem_zalloc(sizeof *p);
        p->fd = -1;
        p->address = mem_strndup(from->items[to->count]->address, strlen(from->items[to->count]->address));
        to->items[to->count] = p;
    }
}

void reload_begin(struct gateway *g) {
    if (g->draining) return;
    if (g->upgrade != NULL) {
        log_warn("reload: not now: an upgrade is under way");
        return;
    }
    if (g->path == NULL) {
        log_warn("reload: there is no file to load");
        return;
    }
    g->reload_again = g->reload != NULL;
    if (g->reload_again) return;
    const struct config *c = g->conf->config;
    struct reload *r = mem_zalloc(sizeof *r);
    r->message.run = loaded;
    r->gateway = g;
    r->begun_ns = loop_stamp(g->loop);
    r->log_was_on = c->log.access != CONFIG_ACCESS_NONE;
    r->log_was_at =
        (struct slice){mem_strndup(c->log.access_file.text.p, c->log.access_file.text.n), c->log.access_file.text.n};
    r->log_fd = -1;
    known_copy(&g->ports, &r->known);
    g->reload = r;
    if (pthread_create(&r->thread, NULL, loader_run, r) == 0) return;
    log_error("reload: a thread could not be started: nothing has changed");
    g->reload = NULL;
    reload_free(r);
}

void reload_stop(struct gateway *g) {
    struct reload *r = g->reload;
    if (r == NULL) return;
    pthread_join(r->thread, NULL);
    g->reload = NULL;
    reload_free(r);
}
