/* site.h: what the files of the client share of `struct redis`: the options, and what its clients say of themselves. */
#pragma once
#include <stdatomic.h>

#include "crypto/tls_context.h"
#include "redis/client.h"

struct client_counts { /* one client's; that client writes, all read */
    _Atomic uint64_t ended[REDIS_FAILURE_COUNT];
    struct histogram latency; /* of those that were answered */
    _Atomic uint64_t connects, redirects, script_loads, late_replies;
    _Atomic bool used, counted /* for weir_redis_up */, up;
};

struct redis {
    char *host, *port, *user, *password; /* owned, NUL-terminated; password "": no AUTH */
    size_t user_length, password_length; /* they may hold any byte */
    unsigned database;
    uint64_t timeout_ns;
    struct tls_context *tls; /* NULL: plain */
    _Atomic uint64_t told_gate;
    _Atomic bool told;       /* trouble was told, and not yet that it is over */
    _Atomic bool slots_told; /* that CLUSTER SLOTS is refused */
    struct client_counts counts[REDIS_CLIENTS_MAX];
};

static inline void count_add(_Atomic uint64_t *counter, uint64_t n) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n, memory_order_relaxed);
}
struct client_counts *site_join(struct redis *r, bool counted); /* any thread; a client's own, until site_leave() */
void site_leave(struct client_counts *counts);
void site_ended(struct client_counts *counts, enum redis_failure failure, uint64_t waited_ns);
/* Says what is wrong with Redis at `where`, at most once a minute whoever says it. `detail` may come from the peer: it
 * is cut and cleaned, and the password is taken out. */
void site_tell_trouble(struct redis *r, const char *where, const char *what, struct slice detail);
void site_tell_up(struct redis *r, struct client_counts *counts,
                  bool up); /* notes it; says so when all is well again */
