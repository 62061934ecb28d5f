/* Client sessions by host, so that new connections resume. Small and behind one lock: it is asked once per new
 * connection, which costs a handshake anyway. It does not persist anything. */
#include "tls_sessions.h"

#include <time.h>

#include "base/mem.h"

struct tls_peer {
    SSL_SESSION *sessions[SESSIONS_PER_HOST]; /* newest first */
    unsigned count;
};

void sessions_init(struct tls_sessions *s) {
    *s = (struct tls_sessions){0};
    pthread_mutex_init(&s->lock, NULL);
}

void sessions_clear(struct tls_sessions *s) {
    size_t cursor = 0;
    struct slice host;
    void *value;
    while (map_next(&s->peers, &cursor, &host, &value)) {
        struct tls_peer *peer = value;
        for (unsigned i = 0; i < peer->count; i++) SSL_SESSION_free(peer->sessions[i]);
        mem_free(peer);
    }
    map_clear(&s->peers);
    pthread_mutex_destroy(&s->lock);
}

struct tls_peer *sessions_peer(struct tls_sessions *s, const char *host) {
    pthread_mutex_lock(&s->lock);
    struct tls_peer *peer = map_get(&s->peers, slice_of(host));
    if (peer == NULL && s->peers.count < SESSION_HOSTS_MAX) {
        peer = mem_zalloc(sizeof *peer);
        map_put(&s->peers, slice_of(host), peer);
    }
    pthread_mutex_unlock(&s->lock);
    return peer;
}

static void newest_remove(struct tls_peer *peer) {
    peer->count--;
    for (unsigned i = 0; i < peer->count; i++) peer->sessions[i] = peer->sessions[i + 1];
}

void sessions_put(struct tls_sessions *s, struct tls_peer *peer, SSL_SESSION *session) {
    pthread_mutex_lock(&s->lock);
    if (peer->count == SESSIONS_PER_HOST) SSL_SESSION_free(peer->sessions[--peer->count]);
    for (unsigned i = peer->count; i > 0; i--) peer->sessions[i] = peer->sessions[i - 1];
    peer->sessions[0] = session;
    peer->count++;
    pthread_mutex_unlock(&s->lock);
}

static bool usable(const SSL_SESSION *session) {
    return SSL_SESSION_is_resumable(session) &&
           SSL_SESSION_get_time(session) + SSL_SESSION_get_timeout(session) > (long)time(NULL);
}

SSL_SESSION *sessions_take(struct tls_sessions *s, struct tls_peer *peer) {
    SSL_SESSION *found = NULL;
    pthread_mutex_lock(&s->lock);
    while (peer->count > 0 && found == NULL) {
        SSL_SESSION *newest = peer->sessions[0];
        if (!usable(newest)) {
            SSL_SESSION_free(newest);
            newest_remove(peer);
            continue;
        }
        found = newest;
        if (SSL_SESSION_get_protocol_version(newest) >= TLS1_3_VERSION)
            newest_remove(peer);
        else
            SSL_SESSION_up_ref(newest);
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}
