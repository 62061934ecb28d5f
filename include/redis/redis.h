/* redis/redis.h: the Redis this process keeps its shared state in: where it is, how to log in, how it is doing. One for
 * the process; each thread that uses it has a `struct redis_client` of its own (redis/client.h) on its loop. */
#pragma once
#include "base/slice.h"
#include "telemetry/histogram.h"

struct redis_options {           /* all of it is copied */
    struct slice host, port;     /* a name or a literal address (no brackets), digits */
    struct slice user, password; /* password empty: no AUTH; user empty: that of the user `default` */
    unsigned database;           /* SELECT; 0 with a cluster */
    bool tls, verify;            /* verify false only for tests and private networks */
    const char *ca_file;         /* NULL: the system's authorities */
    uint64_t timeout_ns;         /* what a call may take, from redis_call() to its result: state.redis.timeout */
};

/* What became of a call. The server answered only with OK and REFUSED. */
#define REDIS_FAILURES(X)                                                                                              \
    X(OK, ok)                                                                                                          \
    X(TIMEOUT, timeout)     /* no answer in time; it may have been carried out, or may be later */                     \
    X(LOST, lost)           /* the connection ended, or there was none; may have been carried out when `sent` */       \
    X(REFUSED, refused)     /* an error reply (enum redis_error): it was not carried out, or not to its end */         \
    X(UNTAKEN, untaken)     /* only counted: redis_call() returned false */                                            \
    X(CANCELLED, cancelled) /* only counted */                                                                         \
    X(CLOSED, closed)       /* this client is being closed */
#define REDIS_FAILURE_ENUM(id, name) REDIS_##id,
enum redis_failure { REDIS_FAILURES(REDIS_FAILURE_ENUM) REDIS_FAILURE_COUNT };
#undef REDIS_FAILURE_ENUM
struct slice redis_failure_name(enum redis_failure f);

struct redis_stats {                                          /* since the process began, over all its clients */
    uint64_t ended[REDIS_FAILURE_COUNT];                      /* calls by how they ended; cancelled ones count too */
    uint64_t connects, redirects, script_loads, late_replies; /* late: its call had ended, in time out or cancelled */
    unsigned clients, clients_up; /* up: connected, logged in, and its calls are being answered */
};

struct redis;
/* NULL with `error` written when the TLS authorities cannot be read. Connects nothing yet. */
struct redis *redis_new(const struct redis_options *o, char *error, size_t error_bytes);
void redis_free(struct redis *r);                                      /* after its clients; wipes the password */
void redis_stats_read(const struct redis *r, struct redis_stats *out); /* any thread; never waits */
/* Adds how long the calls took that ended OK or REFUSED. Any thread. */
void redis_latency_read(const struct redis *r, struct histogram_view *out);
/* weir_redis_up: every client of this process is up. Any thread. */
bool redis_is_up(const struct redis *r);
uint64_t redis_timeout_ns(const struct redis *r);
