/* crypto/tls_context.h: OpenSSL contexts: what is verified, which versions, session resumption. TLS 1.2 and newer, no
 * renegotiation, no compression, no early data. Shared by all threads; reference-counted. */
#pragma once
#include "base/slice.h"

struct ssl_ctx_st;
struct tls_context;

struct tls_context *tls_server_new(const char *certificate_file, const char *key_file, char *error, size_t error_bytes);
/* ca_file NULL: the system's authorities. verify false only for tests and private networks. Keeps the sessions of this
 * context's peers, per thread-safe cache keyed by host, so that new connections resume. */
struct tls_context *tls_client_new(const char *ca_file, bool verify, char *error, size_t error_bytes);
struct tls_context *tls_context_ref(struct tls_context *t);
void tls_context_unref(struct tls_context *t);
struct ssl_ctx_st *tls_context_ssl(const struct tls_context *t);
bool tls_context_verifies(const struct tls_context *t);
