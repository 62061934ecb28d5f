/* telemetry/live_parts.h (private): the windows. */
#pragma once
#include <pthread.h>

#include "telemetry/live.h"

enum { LIVE_LAGS_MAX = CHANGES_TRAFFICS_MAX, LIVE_CACHED = 16 };

struct live_window { /* immutable but for its count of holders */
    _Atomic unsigned holders;
    uint64_t from_ns, to_ns;
    int64_t to_unix_ns;
    struct row_table rows;
    struct sparse lag;
    size_t bytes;
};

struct live_cached { /* a tenant's answer */
    uint32_t tenant;
    uint64_t window_ns, to_ns;
    struct buf text;
};

struct live_peer { /* another replica; its windows have the Unix time where ours have the monotonic clock */
    uint64_t id;
    char name[LIVE_NAME_BYTES];
    struct live *windows;  /* owned; never freed before the whole is: who asks may be adding it up */
    int64_t heard_unix_ns; /* the end of its newest window; 0: the place is free */
};

struct live {
    pthread_mutex_t lock;
    struct live_window *fine[LIVE_FINE_MAX], *coarse[LIVE_COARSE_MAX]; /* oldest first; only live_take() changes them */
    unsigned fine_count, coarse_count;
    size_t bytes, bytes_max;
    struct live_cached cached[LIVE_CACHED];
    unsigned cached_next;
    const struct histogram *lags[LIVE_LAGS_MAX];
    _Atomic unsigned lag_count;
    struct histogram_view lag_seen, lag_now; /* the recorder's */
    struct live_peer peers[LIVE_PEERS_MAX];  /* under the lock; their windows have locks of their own */
    unsigned peer_count;
    int64_t known_unix_ns; /* when it was last known who is there; 0: never */
};

void live_windows_drop(struct live *l); /* all of them */
void live_window_release(struct live_window *w);
/* Holds the first window that ended after that instant; NULL: none. */
struct live_window *live_window_after(struct live *l, int64_t unix_ns);
