/* The running process: what starts in which order, and what the main thread does with signals. */
#include "notify.h"
#include "parts.h"
#include "takeover.h"

#include <errno.h>
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
#include "facts/names.h"

static sigset_t handled_signals(void) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR1);
    sigaddset(&set, SIGUSR2);
    sigaddset(&set, SIGCHLD);
    return set;
}

void gateway_process_prepare(void) {
    sigset_t set = handled_signals();
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a log that may not grow further is a failed write, not the end */
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    prctl(PR_SET_DUMPABLE, 0);
    setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
}

void errors_print(struct conf_errors *errors) {
    struct buf text = {0};
    conf_errors_write(errors, &text);
    if (buf_length(&text) > 0) fwrite(text.data, 1, buf_length(&text), stderr);
    buf_clear(&text);
    conf_errors_clear(errors);
}

enum { FILES_OWN = 32, FILES_A_WORKER = 4 };

/* As many descriptors as the system lets us have: two for each connection and some of our own. False, said on stderr,
 * when those are too few to begin with. */
static bool descriptors_raise(const struct config *c) {
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return true;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < 2 * c->http.max_connections)
        log_warn("http.max_connections is %llu, but only %llu files may be open (two a connection)",
                 (unsigned long long)c->http.max_connections, (unsigned long long)limit.rlim_cur);
    unsigned workers = threads_wanted(c);
    uint64_t own = FILES_OWN + c->listen.count + (uint64_t)FILES_A_WORKER * workers;
    if (limit.rlim_cur >= own) return true;
    fprintf(stderr, "weir: only %llu files may be open: %u workers need %llu and two for each connection (ulimit -n)\n",
            (unsigned long long)limit.rlim_cur, workers, (unsigned long long)own);
    return false;
}

static void stop_asked(struct gateway *g) {
    notify_manager("STOPPING=1");
    if (g->draining && !g->leaving)
        drain_cut(g);
    else
        drain_begin(g);
    upgrade_cancel(g);
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
    case SIGUSR2:
        upgrade_begin(g);
        break;
    case SIGCHLD:
        upgrade_child_ended(g);
        break;
    case SIGHUP:
        reload_begin(g);
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

static void retry_fire(struct timer *t) {
    threads_retry((struct gateway *)((char *)t - offsetof(struct gateway, retry)));
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

static bool dropped(void *context, unsigned sink, struct metrics_dropped *d) {
    const struct gateway *g = context;
    if (sink == 0) *d = (struct metrics_dropped){.sink = SLICE("log"), .records = recorder_log_dropped(g->recorder)};
    if (sink == 1) *d = (struct metrics_dropped){.sink = SLICE("otlp"), .records = exports_spans_dropped(g->exports)};
    return sink < 2;
}

static bool exporters(void *context, unsigned i, struct metrics_exporter *e) {
    const struct gateway *g = context;
    struct exports_count c;
    if (!exports_count(g->exports, i, &c)) return false;
    *e = (struct metrics_exporter){.endpoint = c.endpoint,
                                   .signal = slice_of(c.signal),
                                   .sent = c.sent,
                                   .dropped = c.dropped,
                                   .rejected = c.rejected};
    return true;
}

static bool connections(void *context, unsigned provider, struct metrics_connections *c) {
    struct gateway *g = context;
    pthread_mutex_lock(&g->conf_lock);
    bool found = provider < g->conf->provider_count;
    const struct provider *of = found ? g->conf->providers[provider] : NULL;
    if (found) *c = (struct metrics_connections){.provider = name_of(of->name_id)};
    for (unsigned i = 0; found && i < g->thread_count; i++) {
        const struct pool *p = &g->threads[i]->worker.pools[of->origin->slot];
        c->idle += atomic_load_explicit(&p->idle_count, memory_order_relaxed);
        c->open += atomic_load_explicit(&p->open_count, memory_order_relaxed);
    }
    pthread_mutex_unlock(&g->conf_lock);
    return found;
}

static void reloads(void *context, struct metrics_reloads *r) {
    struct gateway *g = context;
    *r = (struct metrics_reloads){.good = atomic_load(&g->reloads_good),
                                  .bad = atomic_load(&g->reloads_bad),
                                  .last_was_good = atomic_load(&g->reload_was_good),
                                  .loaded_unix_s = atomic_load(&g->reloaded_unix_s)};
}

static const char *target_health(void *context, uint32_t provider, uint32_t model) {
    (void)context;
    return health_tell(provider, model);
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
                                          .exemplars = g->exemplars,
                                          .redis = g->redis,
                                          .in_flight = gateway_in_flight,
                                          .open_clients = gateway_clients,
                                          .dropped = dropped,
                                          .exporters = exporters,
                                          .connections = connections,
                                          .reloads = reloads,
                                          .context = g},
                              .replica = c->instance.name.text,
                              .live = g->live,
                              .usage = g->usage,
                              .redis = g->redis,
                              .redis_prefix = slice_of(g->redis_prefix),
                              .resolver = g->resolver,
                              .health = target_health,
                              .ready = is_ready,
                              .context = g};
    g->admin = admin_start(&o);
}

/* All listening sockets; says on stderr what is wrong. */
static bool listen_all(struct gateway *g) {
    const struct config *c = g->conf->config;
    struct conf_errors errors = {0};
    char message[256];
    bool good = ports_make(c, &(struct ports){0}, g->takeover, &g->ports, &errors);
    const struct conf_address *admin = &c->admin.address;
    if (good && admin->text.p != NULL) {
        g->admin_address = mem_strndup(admin->text.p, admin->text.n);
        g->admin_fd = takeover_socket(g->takeover, "admin", admin->text.p);
        if (g->admin_fd < 0) g->admin_fd = listen_open(admin->host.p, admin->port.p, message, sizeof message);
        if (g->admin_fd < 0) conf_error_add(&errors, admin->at, "admin.address %s: %s", admin->text.p, message);
        good = g->admin_fd >= 0;
    }
    errors_print(&errors);
    return good;
}

static void serving_tell(const struct gateway *g) {
    char text[64];
    snprintf(text, sizeof text, "READY=1\nMAINPID=%d", (int)getpid());
    notify_manager(text);
    if (g->pid_file != NULL && !pid_file_write(g->pid_file))
        log_warn("--pid-file %s: %s", g->pid_file, strerror(errno));
}

static bool start(struct gateway *g) {
    blocks_budget_set(g->conf->config->http.buffered_bytes);
    g->loop = loop_new();
    g->tick.fire = tick_fire;
    g->retry.fire = retry_fire;
    inbox_init(&g->inbox, g->loop, 65536, g);
    g->resolver = resolver_new(4, 30 * NS_PER_S);
    g->limiter = limiter_new();
    g->usage = usage_new(clock_real_ns());
    g->waiting = waiting_new();
    g->exemplars = exemplars_new();
    g->live = live_new();
    if (!shared_open(g) || !listen_all(g) || !signals_open(g) || !threads_start(g)) return false;
    if (g->takeover != NULL && !takeover_counts(g->takeover, g)) return false;
    accept_start(g);
    atomic_store(&g->ready, true);
    admin_open(g); /* on a socket that was taken over others are asking already */
    if (g->takeover != NULL) takeover_serving(g->takeover, g);
    serving_tell(g);
    return true;
}

static void stop(struct gateway *g) {
    reload_stop(g);
    accept_stop(g);
    admin_stop(g->admin); /* it reads what the workers count */
    threads_stop(g);
    admin_free(g->admin);
    upgrade_stop(g);
    takeover_free(g->takeover);
    if (g->pid_file != NULL) pid_file_remove(g->pid_file);
    if (g->admin_fd >= 0) close(g->admin_fd);
    if (g->signal_fd > 0) {
        event_del(&g->signal_event);
        close(g->signal_fd);
    }
    inbox_clear(&g->inbox);
    loop_free(g->loop);
    waiting_free(g->waiting);
    limiter_free(g->limiter);
    usage_free(g->usage);
    shared_close(g);
    if (g->generations == NULL) snapshot_free(g->conf); /* no worker was to use it */
    generations_free(g);
    origins_free(g->origins);
    pthread_mutex_destroy(&g->conf_lock);
    exemplars_free(g->exemplars);
    live_free(g->live);
    mem_free(g->admin_address);
    mem_free(g);
}

static struct snapshot *compile(struct config *config, struct origins *origins) {
    struct conf_errors errors = {0};
    struct snapshot *s = snapshot_compile(config, origins, &errors);
    errors_print(&errors);
    return s;
}

int gateway_run(const struct gateway_options *o) {
    log_level_set(o->config->log.level);
    struct origins *origins = origins_new();
    struct snapshot *conf = descriptors_raise(o->config) ? compile(o->config, origins) : NULL;
    if (conf == NULL) {
        config_free(o->config);
        origins_free(origins);
        return 1;
    }
    struct gateway *g = mem_zalloc(sizeof *g);
    pthread_mutex_init(&g->conf_lock, NULL);
    g->conf = conf;
    g->origins = origins;
    g->path = o->path;
    g->program = o->program;
    g->arguments = o->arguments;
    g->pid_file = o->pid_file;
    g->takeover = takeover_begin();
    atomic_store(&g->reload_was_good, true);
    atomic_store(&g->reloaded_unix_s, clock_wall_ns(clock_now_ns()) / (int64_t)NS_PER_S);
    g->admin_fd = -1;
    bool started = start(g);
    if (started) {
        log_info("weir %s: %zu listeners, %u workers, %zu providers, %zu tenants", WEIR_VERSION, g->ports.count,
                 g->thread_count, conf->provider_count, conf->config->tenants.count);
        if (o->started != NULL)
            o->started(o->context, listen_port(g->ports.items[0]->fd), g->admin_fd >= 0 ? listen_port(g->admin_fd) : 0);
        loop_run(g->loop);
        log_info("stopping: everything recorded is being written");
    }
    stop(g);
    return started ? 0 : 1;
}
