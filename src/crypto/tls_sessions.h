/* tls_sessions.h: the sessions a client context keeps for its peers, a few per host, newest first. Any thread. */
#pragma once
#include <openssl/ssl.h>
#include <pthread.h>

#include "base/hash.h"

#define SESSIONS_PER_HOST 4
#define SESSION_HOSTS_MAX 1024 /* hosts come from the configuration; one more than this is simply not resumed */

struct tls_peer;
struct tls_sessions {
    pthread_mutex_t lock;
    struct map peers; /* host -> struct tls_peer, owned */
};

void sessions_init(struct tls_sessions *s);
void sessions_clear(struct tls_sessions *s);
/* Lives as long as `s`; NULL: too many hosts. */
struct tls_peer *sessions_peer(struct tls_sessions *s, const char *host);
void sessions_put(struct tls_sessions *s, struct tls_peer *peer, SSL_SESSION *session); /* takes over the reference */
/* The newest session still valid, with a reference for the caller, or NULL. A TLS 1.3 ticket is given once (RFC 8446
 * C.4). */
SSL_SESSION *sessions_take(struct tls_sessions *s, struct tls_peer *peer);
