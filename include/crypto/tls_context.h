/* crypto/tls_context.h: OpenSSL contexts: what is verified, which versions, session resumption. TLS 1.2 and newer, no
 * renegotiation, no compression, no early data. Shared by all threads; reference-counted. */
#pragma once
#include "base/slice.h"

struct ssl_ctx_st;
struct ssl_st;
struct tls_context;

struct tls_context *tls_server_new(const char *certificate_file, const char *key_file, char *error, size_t error_bytes);
/* ca_file NULL: the system's authorities (else only those of the file). verify false only for tests and private
 * networks. Keeps the sessions of this context's peers, per thread-safe cache keyed by host, so that new connections
 * resume. */
struct tls_context *tls_client_new(const char *ca_file, bool verify, char *error, size_t error_bytes);
struct tls_context *tls_context_ref(struct tls_context *t);
void tls_context_unref(struct tls_context *t);
/* A new connection of this context, owned by the caller and freed by tls_ssl_free(), which must come before the
 * context's last unref. Client contexts need `host`: what the certificate must be for, the name sent (RFC 6066 3; never
 * for an IP address), and whose stored session is offered. */
struct ssl_st *tls_ssl_new(struct tls_context *t, const char *host);
void tls_ssl_free(struct ssl_st *ssl, bool failed); /* failed: its session is not to be resumed */
struct ssl_ctx_st *tls_context_ssl(const struct tls_context *t);
bool tls_context_verifies(const struct tls_context *t);
