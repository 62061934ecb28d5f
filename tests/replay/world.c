/* A worker in time of its own. The hard part is to know when nothing is ready any more: a turn of the loop without a
 * callback, nothing to accept, to read or to send at the test's own ends, and nothing on its way between them. */
#include "world.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "kernel.h"

enum { NARROW_BYTES = 4096, PATIENCE_MS = 5000 };

/* ---- sockets ---- */

static int listen_anywhere(unsigned short *port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(fd, 512), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

/* A gateway that does not want to hear any more is no fault of the test's. */
static bool peer_flush(struct peer *p) {
    if (p->fd < 0 || buf_length(&p->unsent) == 0) return false;
    struct slice unsent = buf_slice(&p->unsent);
    ssize_t n = send(p->fd, unsent.p, unsent.n, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) return false;
    buf_consume(&p->unsent, n < 0 ? unsent.n : (size_t)n);
    return true;
}

void peer_send(struct peer *p, const char *bytes, size_t n) {
    if (p->fd >= 0) buf_append(&p->unsent, bytes, n);
    peer_flush(p);
}

static bool peer_read(struct peer *p) {
    static char bytes[65536];
    if (p->fd < 0 || p->paused || p->ended || p->reset) return false;
    ssize_t n = recv(p->fd, bytes, sizeof bytes, MSG_DONTWAIT);
    if (n < 0 && errno == EAGAIN) return false;
    p->ended = n == 0;
    p->reset = n < 0;
    if (n > 0) buf_append(&p->got, bytes, (size_t)n);
    return true;
}

void peer_end(struct peer *p) {
    if (p->fd >= 0) shutdown(p->fd, SHUT_WR);
}

void peer_close(struct peer *p) {
    if (p->fd >= 0) close(p->fd);
    p->fd = -1;
    buf_clear(&p->unsent);
}

void peer_reset(struct peer *p) {
    struct linger now = {.l_onoff = 1};
    if (p->fd >= 0) setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    peer_close(p);
}

static bool providers_accept(struct world *w) {
    int fd = w->back < 0 ? -1 : accept4(w->back, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) return false;
    int on = 1;
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
    if (w->provider_count == PEERS_MAX) fail_msg("more than %d connections to the provider", PEERS_MAX);
    w->providers[w->provider_count++] = (struct peer){.fd = fd, .port = kernel_port(fd, false)};
    return true;
}

/* ---- what the main thread does for a worker ---- */

struct errand {
    struct message message;
    struct world *world;
    int fd;
    uint64_t busy_ns;
};

static void errand_send(struct world *w, void (*run)(struct message *m, void *context), int fd, uint64_t busy_ns) {
    struct errand *e = mem_zalloc(sizeof *e);
    *e = (struct errand){.message.run = run, .world = w, .fd = fd, .busy_ns = busy_ns};
    assert_true(inbox_post(&w->worker->inbox, &e->message));
}

static void run_accept(struct message *m, void *context) {
    struct errand *e = (struct errand *)m;
    client_accept(context, e->fd, NULL, clock_now_ns());
    mem_free(e);
}

static void run_busy(struct message *m, void *context) {
    struct errand *e = (struct errand *)m;
    (void)context;
    fake_clock_set(fake_clock_ns() + e->busy_ns);
    mem_free(e);
}

static void run_drain(struct message *m, void *context) {
    worker_drain(context);
    mem_free(m);
}

static void run_leave(struct message *m, void *context) {
    worker_leave(context);
    mem_free(m);
}

static void run_cut(struct message *m, void *context) {
    worker_cut(context);
    mem_free(m);
}

static void run_end(struct message *m, void *context) {
    worker_end(context);
    mem_free(m);
}

void world_busy(struct world *w, uint64_t ns) {
    errand_send(w, run_busy, -1, ns); /* found ready first by the next turn */
}

void world_drain(struct world *w) {
    w->draining = true;
    errand_send(w, run_drain, -1, 0);
}

void world_leave(struct world *w) {
    errand_send(w, run_leave, -1, 0);
}

void world_cut(struct world *w) {
    errand_send(w, run_cut, -1, 0);
}

struct peer *world_client(struct world *w, bool narrow) {
    struct sockaddr_in address;
    socklen_t size = sizeof address;
    int bytes = NARROW_BYTES, on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0 && w->client_count < PEERS_MAX);
    if (narrow) setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    assert_int_equal(getsockname(w->front, (struct sockaddr *)&address, &size), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&address, size), 0);
    int accepted = accept4(w->front, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(accepted >= 0);
    if (narrow) setsockopt(accepted, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    setsockopt(fd, IPPROTO_TCP, 1 /* TCP_NODELAY */, &on, sizeof on);
    struct peer *p = &w->clients[w->client_count++];
    *p = (struct peer){.fd = fd, .port = kernel_port(fd, true)};
    errand_send(w, run_accept, accepted, 0);
    return p;
}

/* ---- connecting takes as long as the test says ---- */

static void connects_keep(struct world *w) {
    if (!w->connects_held) return;
    for (struct conn *c = w->worker->loop->conns; c != NULL; c = c->next)
        if (c->connecting && c->writing) event_del(&c->wr);
}

void world_connects_hold(struct world *w, bool hold) {
    w->connects_held = hold;
    for (struct conn *c = w->worker->loop->conns; c != NULL && !hold; c = c->next)
        if (c->connecting && c->writing) event_add(&c->wr, NULL);
}

void world_refuse(struct world *w) {
    close(w->back);
    w->back = -1;
}

/* ---- time ---- */

static bool turn(struct world *w) {
    bool busy = loop_turn(w->worker->loop);
    connects_keep(w);
    while (providers_accept(w)) busy = true;
    for (unsigned i = 0; i < w->client_count; i++) busy = peer_flush(&w->clients[i]) || busy;
    for (unsigned i = 0; i < w->provider_count; i++) busy = peer_flush(&w->providers[i]) || busy;
    for (unsigned i = 0; i < w->client_count; i++) busy = peer_read(&w->clients[i]) || busy;
    for (unsigned i = 0; i < w->provider_count; i++) busy = peer_read(&w->providers[i]) || busy;
    return busy;
}

/* Everybody reads, and yet something is left to be sent: the kernel has it and will move. */
static bool is_moving(const struct world *w) {
    size_t queued = 0;
    for (unsigned i = 0; i < w->client_count; i++) {
        if (w->clients[i].paused) return false;
        queued += buf_length(&w->clients[i].unsent);
    }
    for (unsigned i = 0; i < w->provider_count; i++) {
        if (w->providers[i].paused) return false;
        queued += buf_length(&w->providers[i].unsent);
    }
    for (const struct conn *c = w->worker->loop->conns; c != NULL; c = c->next)
        queued += c->connecting ? 0 : conn_queued_bytes(c);
    return queued > 0;
}

void world_settle(struct world *w) {
    for (unsigned waited = 0; waited < PATIENCE_MS; waited++) {
        while (turn(w)) continue;
        if (!is_moving(w) && !kernel_is_moving(w)) return;
        usleep(waited < 20 ? 20 : 1000);
    }
    fail_msg("something is to be sent, everybody reads, and nothing moves");
}

void world_advance(struct world *w, uint64_t until_ns) {
    until_ns += FAKE_EPOCH_NS;
    for (;;) {
        uint64_t next = wheel_next_ns(&w->worker->loop->wheel);
        if (next > until_ns) break;
        if (next > fake_clock_ns()) fake_clock_set(next);
        world_settle(w);
    }
    if (until_ns > fake_clock_ns()) fake_clock_set(until_ns);
}

/* ---- records ---- */

const struct record *world_record(struct world *w) {
    size_t n;
    const struct record *r = ring_peek(w->records, &n);
    if (r == NULL) return NULL;
    assert_true(n >= r->size_bytes);
    uint64_t sum = 0;
    for (int i = 0; i < PHASE_COUNT; i++) sum += r->phase_ns[i];
    assert_int_equal(sum, r->total_ns);
    return r;
}

void world_record_done(struct world *w) {
    ring_release(w->records);
}

/* ---- its beginning and end ---- */

/* The key is sk-weir-replay. Its tenant has a limit that nobody reaches, so that what is held is counted. */
static const char base_settings[] =
    "tenants:\n"
    "  acme:\n"
    "    keys: [{name: ci, sha256: 7e634dbf53d73d415a95486f1dff0644a61f036a33b529e10d46a956a8a1d4f9}]\n"
    "    limits: {concurrent_requests: 1000}\n"
    "    passthrough: [{provider: openai, paths: [\"/v1/files*\"], methods: [GET, POST]}]\n";

static void provider_write(struct buf *out, const struct world *w, const char *dialect, const char *path,
                           const char *models, const char *settings) {
    buf_printf(out, "  %s:\n    dialect: %s\n    base_url: http://127.0.0.1:%s%s\n", dialect, dialect, w->port, path);
    buf_printf(out, "    api_key: provider-secret-key\n    models: [\"%s\"]\n%s", models, settings);
}

static struct snapshot *configure(struct world *w, const char *settings, const char *provider_settings) {
    struct conf_errors errors = {0};
    struct buf text = {0}, messages = {0};
    buf_printf(&text, "%s%sproviders:\n", base_settings, settings);
    provider_write(&text, w, "openai", "/v1", "gpt-*", provider_settings);
    provider_write(&text, w, "anthropic", "", "claude-*", provider_settings);
    provider_write(&text, w, "gemini", "", "gemini-*", provider_settings);
    struct config *c = config_load_text("replay", buf_slice(&text), &errors, NULL);
    struct snapshot *s = c != NULL ? snapshot_compile(c, w->origins, &errors) : NULL;
    conf_errors_write(&errors, &messages);
    if (s == NULL) fail_msg("%.*s", (int)buf_length(&messages), messages.data);
    conf_errors_clear(&errors);
    buf_clear(&messages);
    buf_clear(&text);
    return s;
}

/* It outlives configurations, and so it would outlive a world. */
static void healths_forget(void) {
    unsigned cursor = 0;
    for (struct health *h; (h = health_next(&cursor)) != NULL;) {
        h->word = h->ttft_ns = h->ttft_at_ns = 0;
        h->failures = h->coolings = 0;
    }
}

/* Nobody is under way or waits any more, wherever it was counted. */
static void traffic_judge(const struct traffic *t) {
    unsigned cursor = 0;
    for (const struct traffic_group *g; (g = traffic_next(t, &cursor)) != NULL;) {
        assert_int_equal(g->in_flight, 0);
        assert_int_equal(g->queued, 0);
    }
}

/* Each try has told how it ended. */
static void healths_judge(void) {
    unsigned cursor = 0;
    for (struct health *h; (h = health_next(&cursor)) != NULL;) {
        assert_int_equal(h->in_flight, 0);
        assert_int_not_equal(health_state_of(h), HEALTH_PROBING);
    }
}

void world_open(struct world *w, const char *settings, const char *provider_settings) {
    unsigned short port;
    char text[8];
    *w = (struct world){.blocks_before_bytes = blocks_in_use_bytes()};
    signal(SIGPIPE, SIG_IGN);
    log_level_set(LOG_LEVEL_ERROR);
    fake_clock_set(FAKE_EPOCH_NS);
    healths_forget();
    w->front = listen_anywhere(&port);
    w->back = listen_anywhere(&port);
    snprintf(text, sizeof text, "%u", port);
    w->port = mem_strndup(text, strlen(text));
    w->origins = origins_new();
    w->conf = configure(w, settings, provider_settings);
    w->limiter = limiter_new();
    w->waiting = waiting_new();
    w->resolver = resolver_new(1, NS_PER_S);
    w->records = ring_new((size_t)1 << 20);
    w->worker = mem_zalloc(sizeof *w->worker);
    w->pin = (struct pin){.conf = w->conf};
    worker_init(w->worker, 0, &w->pin, w->resolver, w->records);
    w->worker->limiter = w->limiter;
    w->worker->waiting = w->waiting;
    w->worker->loop->wheel.rearm = NULL; /* no timer of the system's: loop_turn() looks at the wheel */
}

/* What the gateway itself says of the tenant's only limit: nothing is used any more. */
static void limits_judge(struct world *w) {
    static const char ask[] = "GET /weir/usage HTTP/1.1\r\nhost: w\r\nx-api-key: sk-weir-replay\r\n\r\n";
    static const char nothing[] = "\"concurrent_requests\",\"model\":null,\"max\":1000,\"used\":0,\"reserved\":0";
    w->client_count = 0;
    struct peer *p = world_client(w, false);
    peer_send(p, ask, sizeof ask - 1);
    world_settle(w);
    struct slice got = buf_slice(&p->got);
    if (got.n == 0 || memmem(got.p, got.n, nothing, sizeof nothing - 1) == NULL)
        fail_msg("a limit is still held: %.*s", (int)got.n, got.p);
    peer_close(p);
    world_settle(w);
    assert_non_null(world_record(w));
    world_record_done(w);
    buf_clear(&p->got);
}

static void pool_judge(struct pool *p) {
    assert_int_equal(p->open_count, p->idle_count);
    assert_int_equal(p->origin->permits.used, p->open_count);
    assert_int_equal(p->origin->permits.queued_count, 0);
    assert_int_equal(p->origin->permits.waiting_count, 0);
    assert_int_equal(p->origin->permits.promised, 0);
    assert_int_equal(p->waiting_count, 0);
    for (const struct upstream *u = p->idle; u != NULL; u = u->next)
        assert_true(u->conn->reading && conn_queued_bytes(u->conn) == 0); /* the next answer on it would not be heard */
}

static void worker_judge(struct world *w) {
    struct worker *k = w->worker;
    assert_int_equal(k->in_flight, 0);
    assert_int_equal(k->client_count, 0);
    assert_null(k->clients);
    assert_null(k->dead);
    healths_judge();
    traffic_judge(&k->traffic);
    assert_int_equal(blocks_in_use_bytes(), w->blocks_before_bytes);
    for (size_t i = 0; i < w->conf->provider_count; i++) pool_judge(&k->pools[w->conf->providers[i]->origin->slot]);
}

static void peers_close(struct peer *peers, unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        peer_close(&peers[i]);
        buf_clear(&peers[i].got);
    }
}

/* Lingering connections have 12 s to go. */
static void peers_leave(struct world *w) {
    peers_close(w->clients, w->client_count);
    world_connects_hold(w, false);
    world_settle(w);
    world_advance(w, world_ns() + 15 * NS_PER_S);
    world_settle(w);
}

static void worker_end_now(struct world *w) {
    errand_send(w, run_drain, -1, 0);
    errand_send(w, run_end, -1, 0);
    world_settle(w);
    peers_close(w->providers, w->provider_count);
    world_settle(w);
    assert_int_equal(loop_conn_count(w->worker->loop), 0);
    assert_int_equal(w->worker->loop->wheel.count, 0);
    assert_null(world_record(w));
}

void world_close(struct world *w) {
    peers_leave(w);
    const struct record *left = world_record(w);
    if (left != NULL)
        fail_msg("a record nobody expected: status %u, error %s", left->status,
                 left->error ? failure_row(left->error)->name : "none");
    assert_int_equal(ring_dropped(w->records), 0);
    worker_judge(w);
    if (!w->draining) limits_judge(w);
    worker_end_now(w);
    worker_clear(w->worker);
    mem_free(w->worker);
    ring_free(w->records);
    waiting_free(w->waiting);
    limiter_free(w->limiter);
    resolver_free(w->resolver);
    snapshot_free(w->conf);
    origins_free(w->origins);
    mem_free(w->port);
    close(w->front);
    if (w->back >= 0) close(w->back);
}
