/* The running process: what starts in which order, and what the main thread does with signals. */
#include "parts.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"

static sigset_t handled_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    return set;
}

void gateway_process_prepare(void) {
    sigset_t set = handled_signals();
    signal(SIGPIPE, SIG_IGN);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

/* As many descriptors as the system lets us have: two for each connection and some of our own. */
static void descriptors_raise(const struct config *c) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2 * c->http.max_connections)
        log_warn("http.max_connections is %llu, but only %llu files may be open (two a connection)",
                 (unsigned long long)c->http.max_connections, (unsigned long long)limit.rlim_cur);
}

static void stop_asked(struct gateway *g) {
    if (g->draining)
        drain_cut(g);
    else
        drain_begin(g);
}

static void signal_take(struct gateway *g, uint32_t number) {
    switch (number) {
    case SIGTERM:
    case SIGINT:
        stop_asked(g);
        break;
    case SIGUSR1:
        recorder_reopen(g->recorder);
        break;
    case SIGHUP:
        log_warn("SIGHUP: reloading is not built yet; restart to change the configuration");
        break;
    default:
        break;
    }
}

static void signal_ready(evutil_socket_t fd, short what, void *context) {
    struct gateway *g = context;
    struct signalfd_siginfo info;
    (void)what;
    loop_callback_begin(g->loop);
    while (read((int)fd, &info, sizeof info) == (ssize_t)sizeof info) signal_take(g, info.ssi_signo);
    loop_callback_end(g->loop);
}

static void tick_fire(struct timer *t) {
    struct gateway *g = (struct gateway *)((char *)t - offsetof(struct gateway, tick));
    if (g->draining)
        drain_check(g);
    else
        accept_check(g);
}

static bool signals_open(struct gateway *g) {
    sigset_t set = handled_signals();
    g->signal_fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
    if (g->signal_fd < 0) return false;
    event_assign(&g->signal_event, g->loop->base, g->signal_fd, EV_READ | EV_PERSIST, signal_ready, g);
    return event_add(&g->signal_event, NULL) == 0;
}

static bool is_ready(void *context) {
    struct gateway *g = context;
    return atomic_load(&g->ready);
}

static uint64_t log_dropped(void *context) {
    struct gateway *g = context;
    return recorder_log_dropped(g->recorder);
}

static bool connections(void *context, unsigned provider, struct metrics_connections *c) {
    const struct gateway *g = context;
    if (provider >= g->conf->provider_count) return false;
    *c = (struct metrics_connections){.provider = g->conf->providers[provider]->name};
    for (unsigned i = 0; i < g->thread_count; i++) {
        const struct pool *p = &g->threads[i]->worker.pools[g->conf->providers[provider]->slot];
        c->idle += atomic_load_explicit(&p->idle_count, memory_order_relaxed);
        c->open += atomic_load_explicit(&p->open_count, memory_order_relaxed);
    }
    return true;
}

static void admin_open(struct gateway *g) {
    if (g->admin_fd < 0) return;
    const struct config *c = g->conf->config;
    struct admin_options o = {.listen_fd = g->admin_fd,
                              .token = c->admin.token.text,
                              .loopback = c->admin.address.loopback,
                              .metrics = {.traffics = g->traffics,
                                          .loop_lags = g->loop_lags,
                                          .worker_count = g->thread_count,
                                          .limiter = g->limiter,
                                          .in_flight = gateway_in_flight,
                                          .open_clients = gateway_clients,
                                          .log_dropped = log_dropped,
                                          .connections = connections,
                                          .context = g},
                              .ready = is_ready,
                              .context = g};
    g->admin = admin_start(&o);
}

static bool start(struct gateway *g) {
    blocks_budget_set(g->conf->config->http.buffered_bytes);
    log_level_set(g->conf->config->log.level);
    descriptors_raise(g->conf->config);
    g->loop = loop_new();
    g->tick.fire = tick_fire;
    g->resolver = resolver_new(4, 30 * NS_PER_S);
    g->limiter = limiter_new();
    if (!accept_open(g) || !signals_open(g) || !threads_start(g)) return false;
    admin_open(g);
    accept_start(g);
    atomic_store(&g->ready, true);
    return true;
}

static void stop(struct gateway *g) {
    accept_stop(g);
    admin_stop(g->admin); /* it reads what the workers count */
    threads_stop(g);
    if (g->admin_fd >= 0) close(g->admin_fd);
    if (g->signal_fd > 0) {
        event_del(&g->signal_event);
        close(g->signal_fd);
    }
    for (size_t i = 0; i < g->port_count; i++)
        if (g->ports[i].tls != NULL) tls_context_unref(g->ports[i].tls);
    loop_free(g->loop);
    limiter_free(g->limiter);
    snapshot_free(g->conf);
    mem_free(g);
}

static struct snapshot *compile(struct config *config) {
    struct conf_errors errors = {0};
    struct buf text = {0};
    struct snapshot *s = snapshot_compile(config, &errors);
    conf_errors_write(&errors, &text);
    if (buf_length(&text) > 0) fwrite(text.data, 1, buf_length(&text), stderr);
    buf_clear(&text);
    conf_errors_clear(&errors);
    return s;
}

int gateway_run(const struct gateway_options *o) {
    struct snapshot *conf = compile(o->config);
    if (conf == NULL) {
        config_free(o->config);
        return 1;
    }
    struct gateway *g = mem_zalloc(sizeof *g);
    g->conf = conf;
    g->admin_fd = -1;
    bool started = start(g);
    if (started) {
        log_info("weir %s: %zu listeners, %u workers, %zu providers, %zu tenants", WEIR_VERSION, g->port_count,
                 g->thread_count, conf->provider_count, conf->config->tenants.count);
        if (o->started != NULL) o->started(o->context, listen_port(g->ports[0].fd));
        loop_run(g->loop);
        log_info("stopping: everything recorded is being written");
    }
    stop(g);
    return started ? 0 : 1;
}
