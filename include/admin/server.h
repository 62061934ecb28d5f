/* admin/server.h: the admin port: /metrics, /healthz, /readyz, /api/live, /api/usage; later the dashboard. On
 * a thread of its own. */
#pragma once
#include "admin/metrics.h"
#include "telemetry/live.h"
#include "redis/client.h"
#include "telemetry/usage.h"

struct admin_options {
    int listen_fd;        /* borrowed: bound and listening */
    struct slice token;   /* empty: none is required (loopback only) */
    bool loopback;        /* only loopback Host values are served (DNS rebinding) */
    struct slice replica; /* this one's name */
    struct live *live;
    const char *(*health)(void *context, uint32_t provider, uint32_t model); /* of a target by name ids; may be NULL */
    struct metrics_sources metrics;
    struct usage_book *usage;
    struct redis *redis; /* NULL: nothing is shared between replicas */
    struct slice redis_prefix;
    struct resolver *resolver;         /* with redis; until admin_stop() has returned */
    struct redis_client *redis_client; /* the admin's own: made by admin_start() */
    bool (*ready)(void *context);
    void *context;
};

struct admin;
struct admin *admin_start(const struct admin_options *o);
void admin_token_set(struct admin *a, struct slice token); /* from the next request on, also on open connections */
/* Accepts no more, and closes listen_fd, which is its own from here on; connections end with their next answer. */
void admin_leave(struct admin *a);
void admin_stop(struct admin *a); /* joins its thread; NULL is allowed */
void admin_free(struct admin *a); /* … and after the resolver, which may owe it an answer, frees it */
