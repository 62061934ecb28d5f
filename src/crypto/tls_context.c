/* OpenSSL contexts. The hard part is what OpenSSL does not do unless told: verify the peer, compare its name, send the
 * name, keep sessions. It knows nothing of sockets: bytes are moved by whoever owns the SSL. */
#include "crypto/tls_context.h"

#include <arpa/inet.h>
#include <assert.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <stdatomic.h>
#include <stdio.h>

#include "base/mem.h"
#include "tls_sessions.h"

struct tls_context {
    _Atomic unsigned references;
    bool client, verify;
    SSL_CTX *ssl;
    struct tls_sessions sessions;
};

static const unsigned char PROTOCOLS[] = "\x08http/1.1"; /* RFC 7301 3.1; the one that weir asks providers for */
static const unsigned char TAKEN[] = "\x08http/1.1\x08http/1.0"; /* from clients, the better one first */
enum { PROTOCOLS_BYTES = sizeof PROTOCOLS - 1, TAKEN_BYTES = sizeof TAKEN - 1 };
static const unsigned char SESSION_SCOPE[] = "weir";

static const char *reason_text(unsigned long code, char *text, size_t text_bytes) {
    if (ERR_SYSTEM_ERROR(code)) return strerror_r(ERR_GET_REASON(code), text, text_bytes);
    const char *reason = code != 0 ? ERR_reason_error_string(code) : NULL;
    return reason != NULL ? reason : "OpenSSL gave no reason";
}

/* The certificate chain and key come from files the operator may have made wrongly: the first reason is the useful one.
 */
static struct tls_context *fail(struct tls_context *t, const char *what, const char *file, char *error,
                                size_t error_bytes) {
    char text[128];
    const char *reason = reason_text(ERR_get_error(), text, sizeof text);
    snprintf(error, error_bytes, "%s%s%s: %s", what, file != NULL ? " " : "", file != NULL ? file : "", reason);
    ERR_clear_error();
    tls_context_unref(t);
    return NULL;
}

static struct tls_context *context_new(const SSL_METHOD *method) {
    struct tls_context *t = mem_zalloc(sizeof *t);
    atomic_init(&t->references, 1);
    sessions_init(&t->sessions);
    ERR_clear_error();
    t->ssl = SSL_CTX_new(method);
    if (t->ssl == NULL) return t;
    SSL_CTX_set_app_data(t->ssl, t);
    SSL_CTX_set_min_proto_version(t->ssl, TLS1_2_VERSION);
    SSL_CTX_set_options(t->ssl, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_set_mode(t->ssl,
                     SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER | SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_max_early_data(t->ssl, 0);
    return t;
}

/* Offers without HTTP/1 (an HTTP/2-only client) end in the alert RFC 7301 3.2 asks for. */
static int protocol_select(SSL *ssl, const unsigned char **out, unsigned char *out_bytes, const unsigned char *in,
                           unsigned in_bytes, void *context) {
    (void)ssl, (void)context;
    unsigned char *chosen = NULL;
    if (SSL_select_next_proto(&chosen, out_bytes, TAKEN, TAKEN_BYTES, in, in_bytes) != OPENSSL_NPN_NEGOTIATED)
        return SSL_TLSEXT_ERR_ALERT_FATAL;
    *out = chosen;
    return SSL_TLSEXT_ERR_OK;
}

/* OpenSSL would ask for it on the terminal, and wait: a reload with it. */
static int passphrase_needed(char *out, int bytes, int writes, void *needed) {
    (void)out, (void)bytes, (void)writes;
    *(bool *)needed = true;
    return -1;
}

static bool key_use(const struct tls_context *t, const char *key_file, bool *encrypted) {
    SSL_CTX_set_default_passwd_cb(t->ssl, passphrase_needed);
    SSL_CTX_set_default_passwd_cb_userdata(t->ssl, encrypted);
    bool used = SSL_CTX_use_PrivateKey_file(t->ssl, key_file, SSL_FILETYPE_PEM) == 1;
    SSL_CTX_set_default_passwd_cb_userdata(t->ssl, NULL);
    return used && SSL_CTX_check_private_key(t->ssl) == 1;
}

struct tls_context *tls_server_new(const char *certificate_file, const char *key_file, char *error,
                                   size_t error_bytes) {
    struct tls_context *t = context_new(TLS_server_method());
    if (t->ssl == NULL) return fail(t, "TLS", NULL, error, error_bytes);
    SSL_CTX_set_options(t->ssl, SSL_OP_CIPHER_SERVER_PREFERENCE | SSL_OP_PRIORITIZE_CHACHA);
    if (SSL_CTX_set_cipher_list(t->ssl, "ECDHE+AESGCM:ECDHE+CHACHA20") != 1)
        return fail(t, "TLS ciphers", NULL, error, error_bytes);
    if (SSL_CTX_use_certificate_chain_file(t->ssl, certificate_file) != 1)
        return fail(t, "certificate", certificate_file, error, error_bytes);
    bool encrypted = false;
    if (!key_use(t, key_file, &encrypted)) {
        fail(t, "key", key_file, error, error_bytes);
        if (encrypted) snprintf(error, error_bytes, "key %s: it has a passphrase, which weir never asks for", key_file);
        return NULL;
    }
    SSL_CTX_set_session_cache_mode(t->ssl, SSL_SESS_CACHE_OFF); /* tickets carry the state */
    SSL_CTX_set_session_id_context(t->ssl, SESSION_SCOPE, sizeof SESSION_SCOPE - 1);
    SSL_CTX_set_num_tickets(t->ssl, 2);
    SSL_CTX_set_alpn_select_cb(t->ssl, protocol_select, NULL);
    return t;
}

static int session_came(SSL *ssl, SSL_SESSION *session) {
    struct tls_context *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    struct tls_peer *peer = SSL_get_app_data(ssl);
    if (peer == NULL) return 0;
    sessions_put(&t->sessions, peer, session);
    return 1;
}

struct tls_context *tls_client_new(const char *ca_file, bool verify, char *error, size_t error_bytes) {
    struct tls_context *t = context_new(TLS_client_method());
    if (t->ssl == NULL) return fail(t, "TLS", NULL, error, error_bytes);
    t->client = true;
    t->verify = verify;
    if (ca_file != NULL && SSL_CTX_load_verify_file(t->ssl, ca_file) != 1)
        return fail(t, "authorities", ca_file, error, error_bytes);
    if (ca_file == NULL && verify && SSL_CTX_set_default_verify_paths(t->ssl) != 1)
        return fail(t, "the system's authorities", NULL, error, error_bytes);
    SSL_CTX_set_verify(t->ssl, verify ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_alpn_protos(t->ssl, PROTOCOLS, PROTOCOLS_BYTES);
    SSL_CTX_set_session_cache_mode(t->ssl, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(t->ssl, session_came);
    return t;
}

struct tls_context *tls_context_ref(struct tls_context *t) {
    if (t != NULL) atomic_fetch_add_explicit(&t->references, 1, memory_order_relaxed);
    return t;
}

void tls_context_unref(struct tls_context *t) {
    if (t == NULL || atomic_fetch_sub_explicit(&t->references, 1, memory_order_acq_rel) != 1) return;
    SSL_CTX_free(t->ssl);
    sessions_clear(&t->sessions);
    mem_free(t);
}

static bool is_address(const char *host) {
    unsigned char bytes[sizeof(struct in6_addr)];
    return inet_pton(AF_INET, host, bytes) == 1 || inet_pton(AF_INET6, host, bytes) == 1;
}

static void expect_host(SSL *ssl, const char *host) {
    X509_VERIFY_PARAM *expected = SSL_get0_param(ssl);
    int done = is_address(host) ? X509_VERIFY_PARAM_set1_ip_asc(expected, host)
                                : SSL_set1_host(ssl, host) && SSL_set_tlsext_host_name(ssl, host);
    assert(done == 1);
    X509_VERIFY_PARAM_set_hostflags(expected, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
}

static void client_prepare(struct tls_context *t, SSL *ssl, const char *host) {
    assert(host != NULL && host[0] != '\0');
    size_t n = strlen(host);
    if (n > 1 && host[n - 1] == '.') n--; /* the root's dot is no part of a name in a certificate */
    char *name = mem_strndup(host, n);
    expect_host(ssl, name);
    struct tls_peer *peer = sessions_peer(&t->sessions, name);
    mem_free(name);
    SSL_set_app_data(ssl, peer);
    SSL_set_connect_state(ssl);
    SSL_SESSION *session = peer != NULL ? sessions_take(&t->sessions, peer) : NULL;
    if (session == NULL) return;
    SSL_set_session(ssl, session);
    SSL_SESSION_free(session);
}

struct ssl_st *tls_ssl_new(struct tls_context *t, const char *host) {
    ERR_clear_error();
    SSL *ssl = SSL_new(t->ssl);
    assert(ssl != NULL);
    if (t->client)
        client_prepare(t, ssl, host);
    else
        SSL_set_accept_state(ssl);
    return ssl;
}

/* Without both flags OpenSSL takes the connection for one that broke and makes its session unusable. */
void tls_ssl_free(struct ssl_st *ssl, bool failed) {
    if (ssl == NULL) return;
    if (!failed) SSL_set_shutdown(ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(ssl);
}

struct ssl_ctx_st *tls_context_ssl(const struct tls_context *t) {
    return t->ssl;
}

bool tls_context_verifies(const struct tls_context *t) {
    return t->verify;
}
