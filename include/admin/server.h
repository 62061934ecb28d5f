/* admin/server.h: the admin port: /metrics, /healthz, /readyz; later the dashboard and the API. On a thread of its own.
 */
#pragma once
#include "admin/metrics.h"

struct admin_options {
    int listen_fd;      /* borrowed: bound and listening */
    struct slice token; /* empty: none is required (loopback only) */
    bool loopback;      /* only loopback Host values are served (DNS rebinding) */
    struct metrics_sources metrics;
    bool (*ready)(void *context);
    void *context;
};

struct admin;
struct admin *admin_start(const struct admin_options *o);
void admin_stop(struct admin *a); /* joins its thread */
