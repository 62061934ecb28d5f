/* tls.h: one TLS connection without a socket: ciphertext goes in and out of memory. */
#pragma once
#include <openssl/ssl.h>

#include "base/buf.h"

#define TLS_RECORD_BYTES ((size_t)16384) /* RFC 8446 5.1: plaintext a record holds */
/* What reading may make us write (key updates) in a connection's life. */
#define TLS_REPLIES_MAX_BYTES ((size_t)65536)

struct tls_context;
enum tls_result { TLS_MORE /* needs more input */, TLS_DONE, TLS_ENDED /* close_notify came */, TLS_FAILED };

struct tls {
    SSL *ssl;
    struct tls_context *context; /* a reference */
    const char *source;          /* ciphertext to read, borrowed for the call */
    size_t source_bytes;
    struct buf *sink; /* where ciphertext is written, borrowed for the call */
    struct buf early; /* plaintext queued before the handshake ended */
    size_t reply_bytes;
    unsigned long error; /* OpenSSL's, of the first failure */
    bool begun, failed;
};

struct tls *tls_new(struct tls_context *context, const char *host); /* host NULL: the server side */
void tls_free(struct tls *t);
enum tls_result tls_handshake(struct tls *t, struct buf *sink); /* may queue an alert when it fails */
enum tls_result tls_read(struct tls *t, char *out, size_t out_bytes, size_t *n, struct buf *sink); /* DONE: *n bytes */
/* May another tls_read() bring something? Asking costs nothing, beside a read that is in vain. */
bool tls_has_more(const struct tls *t);
/* All n bytes, as records of at most 16 KiB; false when it failed. */
bool tls_write(struct tls *t, const char *p, size_t n, struct buf *sink);
void tls_farewell(struct tls *t, struct buf *sink); /* close_notify, unless it failed or was sent */
