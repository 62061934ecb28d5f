/* The Redis that instances share, where one is configured: made before the threads that use it. Each worker has a link
 * to it of its own, and the limits that hold over all instances; one thread tells it what was used. */
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "parts.h"
#include "redis/redis.h"

#define LEAVE_NS (400 * NS_PER_MS) /* and twice what a call may take */

bool shared_open(struct gateway *g) {
    const struct config *c = g->conf->config;
    const struct config_redis_target *t = &c->state.redis.target;
    char message[256];
    if (c->state.backend != CONFIG_BACKEND_REDIS) return true;
    struct redis_options o = {.host = t->host,
                              .port = t->port,
                              .user = t->user,
                              .password = t->password,
                              .database = (unsigned)t->database,
                              .tls = t->tls,
                              .verify = c->state.redis.tls.verify,
                              .ca_file = c->state.redis.tls.ca.text.p,
                              .timeout_ns = c->state.redis.timeout_ns};
    g->redis_prefix = mem_strndup(c->state.redis.prefix.text.p, c->state.redis.prefix.text.n);
    g->redis = redis_new(&o, message, sizeof message);
    g->boot = random_u64();
    if (g->redis == NULL) fprintf(stderr, "weir: state.redis: %s\n", message);
    return g->redis != NULL;
}

bool shared_begin(struct gateway *g) {
    if (g->redis == NULL) return true;
    g->counts = counts_start(&(struct counts_options){.redis = g->redis,
                                                      .resolver = g->resolver,
                                                      .usage = g->usage,
                                                      .prefix = slice_of(g->redis_prefix),
                                                      .replica = g->boot});
    if (g->counts == NULL) fprintf(stderr, "weir: the thread that tells Redis what was used could not be started\n");
    return g->counts != NULL;
}

void shared_close(struct gateway *g) {
    redis_free(g->redis);
    g->redis = NULL;
    mem_free(g->redis_prefix);
}

void shared_join(struct gateway *g, struct worker *w) {
    const struct config *c = g->conf->config;
    w->usage = g->usage;
    w->redis_prefix = slice_of(g->redis_prefix);
    if (g->redis == NULL) return;
    w->redis = redis_client_new(g->redis, w->loop, &w->inbox, g->resolver);
    w->shared = limit_shared_new(&(struct limit_shared_options){.local = g->limiter,
                                                                .redis = w->redis,
                                                                .loop = w->loop,
                                                                .prefix = w->redis_prefix,
                                                                .boot = g->boot,
                                                                .worker = w->index,
                                                                .lease = c->state.redis.mode == CONFIG_REDIS_LEASE,
                                                                .on_failure = c->state.redis.on_failure});
}

void shared_leave(struct thread *t) {
    struct worker *w = &t->worker;
    if (w->shared == NULL) return;
    t->stop_until_ns = loop_stamp(w->loop) + LEAVE_NS + 2 * w->conf->config->state.redis.timeout_ns;
    limit_shared_leave(w->shared);
}

bool shared_has_left(const struct thread *t) {
    const struct worker *w = &t->worker;
    if (w->shared == NULL || (limit_shared_is_settled(w->shared) && redis_client_waiting(w->redis) == 0)) return true;
    if (w->loop->now_ns < t->stop_until_ns) return false;
    log_warn("limits: stopped before all that was used was told to Redis");
    return true;
}
