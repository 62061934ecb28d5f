/* Looking names up in threads. One entry per host and port holds the last good answer and whoever waits for a new one.
 * The hard part is the end: a look-up cannot be interrupted and may take half a minute, so a thread caught in one is
 * left to itself and the last user frees what is shared. It does not read record lifetimes: getaddrinfo(3) has none to
 * give. */
#include "net/resolver.h"

#include <arpa/inet.h>
#include <assert.h>
#include <netdb.h>
#include <string.h>
#include <time.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/log.h"
#include "base/mem.h"

#define FAILURE_NS NS_PER_S
#define STALE_TTLS 10
enum { POST_TRIES = 2000 /* of a millisecond each */, ENTRIES_MANY = 1024 /* from then on old ones are let go */ };

struct entry {
    char *host, *port;
    struct addresses answer; /* the last good one; count 0: none yet */
    uint64_t answered_ns;    /* when it was good */
    uint64_t retry_ns;       /* no new look-up before */
    bool looking;
    struct resolve *waiting;
    struct entry *next_job;
};

enum thread_state { THREAD_IDLE, THREAD_LOOKING, THREAD_POSTING };
struct lookup_thread {
    pthread_t id;
    struct resolver *resolver;
    enum thread_state state;
    bool detached; /* the owner's thread only */
};

struct resolver {
    pthread_mutex_t lock;
    pthread_cond_t work;
    struct map entries;
    struct entry *jobs, **jobs_tail;
    uint64_t ttl_ns;
    unsigned users; /* threads and the owner */
    _Atomic bool stopping;
    unsigned thread_count;
    struct lookup_thread threads[];
};

static bool lookup(const char *host, const char *port, int flags, struct addresses *out) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = flags}, *found = NULL;
    out->count = 0;
    if (getaddrinfo(host, port, &hints, &found) != 0) return false;
    for (const struct addrinfo *a = found; a != NULL && out->count < RESOLVE_ADDRESSES_MAX; a = a->ai_next) {
        memcpy(&out->list[out->count], a->ai_addr, a->ai_addrlen);
        out->lengths[out->count++] = a->ai_addrlen;
    }
    freeaddrinfo(found);
    return out->count > 0;
}

static void entry_free(struct entry *e) {
    mem_free(e->host);
    mem_free(e->port);
    mem_free(e);
}

static void release(struct resolver *x) {
    pthread_mutex_lock(&x->lock);
    bool last = --x->users == 0;
    pthread_mutex_unlock(&x->lock);
    if (!last) return;
    size_t cursor = 0;
    struct slice name;
    void *value;
    while (map_next(&x->entries, &cursor, &name, &value)) entry_free(value);
    map_clear(&x->entries);
    pthread_cond_destroy(&x->work);
    pthread_mutex_destroy(&x->lock);
    mem_free(x);
}

/* ---- in the threads ---- */

/* A full inbox is waited for: an asker whose answer is lost would wait until its own deadline. */
static void post(struct resolver *x, struct resolve *r) {
    struct timespec pause = {.tv_nsec = (long)NS_PER_MS};
    for (int i = 0; i < POST_TRIES && !x->stopping; i++) {
        if (inbox_post(r->inbox, &r->message)) return;
        nanosleep(&pause, NULL);
    }
    if (!x->stopping) log_warn("an address look-up's answer was dropped: its asker's inbox stayed full");
}

static void post_all(struct resolver *x, struct resolve *waiting, const struct addresses *answer) {
    while (waiting != NULL) {
        struct resolve *next = waiting->next;
        waiting->answer = *answer;
        post(x, waiting);
        waiting = next;
    }
}

static struct resolve *entry_update(struct resolver *x, struct entry *e, const struct addresses *found, bool good) {
    uint64_t now = clock_now_ns();
    if (good) {
        e->answer = *found;
        e->answered_ns = now;
    }
    e->retry_ns = now + (good ? x->ttl_ns : FAILURE_NS);
    e->looking = false;
    struct resolve *waiting = e->waiting;
    e->waiting = NULL;
    return waiting;
}

static void *lookups_run(void *context) {
    struct lookup_thread *own = context;
    struct resolver *x = own->resolver;
    struct addresses found;
    pthread_mutex_lock(&x->lock);
    while (!x->stopping) {
        struct entry *e = x->jobs;
        if (e == NULL) {
            pthread_cond_wait(&x->work, &x->lock);
            continue;
        }
        x->jobs = e->next_job;
        if (x->jobs == NULL) x->jobs_tail = &x->jobs;
        own->state = THREAD_LOOKING;
        pthread_mutex_unlock(&x->lock);
        bool good = lookup(e->host, e->port, AI_NUMERICSERV, &found);
        pthread_mutex_lock(&x->lock);
        if (x->stopping) break;
        struct resolve *waiting = entry_update(x, e, &found, good);
        own->state = THREAD_POSTING;
        pthread_mutex_unlock(&x->lock);
        post_all(x, waiting, &found);
        pthread_mutex_lock(&x->lock);
        own->state = THREAD_IDLE;
    }
    pthread_mutex_unlock(&x->lock);
    release(x);
    return NULL;
}

/* ---- in the askers' threads ---- */

struct resolver *resolver_new(unsigned threads, uint64_t ttl_ns) {
    assert(threads > 0);
    struct resolver *x = mem_zalloc(sizeof *x + threads * sizeof x->threads[0]);
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->work, NULL);
    x->jobs_tail = &x->jobs;
    x->ttl_ns = ttl_ns;
    x->users = threads + 1;
    x->thread_count = threads;
    for (unsigned i = 0; i < threads; i++) {
        x->threads[i].resolver = x;
        int failed = pthread_create(&x->threads[i].id, NULL, lookups_run, &x->threads[i]);
        assert(failed == 0);
    }
    return x;
}

void resolver_free(struct resolver *x) {
    if (x == NULL) return;
    pthread_mutex_lock(&x->lock);
    x->stopping = true;
    for (unsigned i = 0; i < x->thread_count; i++) {
        x->threads[i].detached = x->threads[i].state == THREAD_LOOKING;
        if (x->threads[i].detached) pthread_detach(x->threads[i].id);
    }
    pthread_cond_broadcast(&x->work);
    pthread_mutex_unlock(&x->lock);
    for (unsigned i = 0; i < x->thread_count; i++)
        if (!x->threads[i].detached) pthread_join(x->threads[i].id, NULL);
    release(x);
}

/* Under the lock. Names of configurations that have gone: nobody has asked for them while they grew too old to use. */
static void entries_purge(struct resolver *x) {
    struct map kept = {0};
    size_t cursor = 0;
    struct slice name;
    void *value;
    uint64_t now = clock_now_ns();
    while (map_next(&x->entries, &cursor, &name, &value)) {
        struct entry *e = value;
        bool used = e->looking || now < e->retry_ns + STALE_TTLS * x->ttl_ns;
        if (used)
            map_put(&kept, name, e);
        else
            entry_free(e);
    }
    map_clear(&x->entries);
    x->entries = kept;
}

static struct entry *entry_get(struct resolver *x, const char *host, const char *port) {
    struct buf name = {0};
    buf_printf(&name, "%s %s", host, port);
    struct entry *e = map_get(&x->entries, buf_slice(&name));
    if (e == NULL) {
        if (x->entries.count >= ENTRIES_MANY) entries_purge(x);
        e = mem_zalloc(sizeof *e);
        e->host = mem_strndup(host, strlen(host));
        e->port = mem_strndup(port, strlen(port));
        map_put(&x->entries, buf_slice(&name), e);
    }
    buf_clear(&name);
    return e;
}

static void look_up(struct resolver *x, struct entry *e) {
    e->looking = true;
    e->next_job = NULL;
    *x->jobs_tail = e;
    x->jobs_tail = &e->next_job;
    pthread_cond_signal(&x->work);
}

static bool is_literal(const char *host) {
    unsigned char bytes[sizeof(struct in6_addr)];
    return strchr(host, ':') != NULL || inet_pton(AF_INET, host, bytes) == 1;
}

bool resolver_peek(struct resolver *x, const char *host, const char *port, struct addresses *answer) {
    if (is_literal(host)) return false;
    pthread_mutex_lock(&x->lock);
    struct entry *e = entry_get(x, host, port);
    if (clock_now_ns() >= e->retry_ns && !e->looking) look_up(x, e);
    bool known = e->answer.count > 0;
    if (known) *answer = e->answer;
    pthread_mutex_unlock(&x->lock);
    return known;
}

bool resolver_ask(struct resolver *x, struct resolve *r) {
    if (is_literal(r->host)) {
        lookup(r->host, r->port, AI_NUMERICHOST | AI_NUMERICSERV, &r->answer);
        return true;
    }
    pthread_mutex_lock(&x->lock);
    uint64_t now = clock_now_ns();
    struct entry *e = entry_get(x, r->host, r->port);
    bool usable = e->answer.count > 0 && now < e->answered_ns + STALE_TTLS * x->ttl_ns;
    if (now >= e->retry_ns && !e->looking) look_up(x, e);
    bool answered = usable || !e->looking;
    if (answered && usable)
        r->answer = e->answer;
    else if (answered)
        r->answer.count = 0;
    else {
        r->next = e->waiting;
        e->waiting = r;
    }
    pthread_mutex_unlock(&x->lock);
    return answered;
}
