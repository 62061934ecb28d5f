/* TLS over memory: OpenSSL reads what one recv brought and writes into a buffer that one send empties, whatever the
 * number of records. The hard part of TLS on sockets (a write that must be repeated with the same bytes, reads that
 * want to write, bytes hidden inside the SSL) cannot happen this way: all input is taken out in the turn it came,
 * output always fits. What an SSL writes by itself while reading is counted and bounded. */
#include "tls.h"

#include <assert.h>
#include <openssl/err.h>
#include <pthread.h>

#include "base/mem.h"
#include "crypto/tls_context.h"

static int memory_read(BIO *bio, char *out, int n) {
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n <= 0) return 0;
    if (t->source_bytes == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t taken = (size_t)n < t->source_bytes ? (size_t)n : t->source_bytes;
    memcpy(out, t->source, taken);
    t->source += taken;
    t->source_bytes -= taken;
    return (int)taken;
}

static int memory_write(BIO *bio, const char *p, int n) {
    struct tls *t = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (n > 0) buf_append(t->sink, p, (size_t)n);
    return n;
}

static long memory_control(BIO *bio, int command, long number, void *pointer) {
    (void)bio, (void)number, (void)pointer;
    return command == BIO_CTRL_FLUSH ? 1 : 0;
}

static BIO_METHOD *memory_method;
static pthread_once_t memory_once = PTHREAD_ONCE_INIT;

static void memory_method_make(void) {
    memory_method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "loop memory");
    assert(memory_method != NULL);
    BIO_meth_set_read(memory_method, memory_read);
    BIO_meth_set_write(memory_method, memory_write);
    BIO_meth_set_ctrl(memory_method, memory_control);
}

struct tls *tls_new(struct tls_context *context, const char *host) {
    pthread_once(&memory_once, memory_method_make);
    struct tls *t = mem_zalloc(sizeof *t);
    t->context = tls_context_ref(context);
    t->ssl = tls_ssl_new(context, host);
    BIO *bio = BIO_new(memory_method);
    assert(bio != NULL);
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(t->ssl, bio, bio);
    return t;
}

void tls_free(struct tls *t) {
    if (t == NULL) return;
    tls_ssl_free(t->ssl, t->failed);
    tls_context_unref(t->context);
    buf_clear(&t->early);
    mem_free(t);
}

/* SSL_get_error() goes by the thread's error queue too, so that must be empty before each call; it nearly always is. */
static void errors_forget(void) {
    if (ERR_peek_error() != 0) ERR_clear_error();
}

static enum tls_result judge(struct tls *t, int outcome) {
    if (outcome > 0) return TLS_DONE;
    switch (SSL_get_error(t->ssl, outcome)) {
    case SSL_ERROR_WANT_READ:
        return TLS_MORE;
    case SSL_ERROR_ZERO_RETURN:
        return TLS_ENDED;
    default:
        break;
    }
    if (!t->failed) t->error = ERR_peek_last_error();
    t->failed = true;
    ERR_clear_error();
    return TLS_FAILED;
}

enum tls_result tls_handshake(struct tls *t, struct buf *sink) {
    t->sink = sink;
    t->begun = true;
    errors_forget();
    enum tls_result result = judge(t, SSL_do_handshake(t->ssl));
    assert(result != TLS_MORE || t->source_bytes == 0);
    return result == TLS_ENDED ? TLS_FAILED : result;
}

enum tls_result tls_read(struct tls *t, char *out, size_t out_bytes, size_t *n, struct buf *sink) {
    t->sink = sink;
    *n = 0;
    if (t->failed) return TLS_FAILED;
    errors_forget();
    size_t before = buf_length(sink);
    enum tls_result result = judge(t, SSL_read_ex(t->ssl, out, out_bytes, n));
    t->reply_bytes += buf_length(sink) - before;
    if (t->reply_bytes > TLS_REPLIES_MAX_BYTES) t->failed = true;
    return t->failed ? TLS_FAILED : result;
}

/* Pending is also the beginning of a record whose end has not come: then one read too many is made. */
bool tls_has_more(const struct tls *t) {
    return t->source_bytes > 0 || SSL_has_pending(t->ssl);
}

bool tls_write(struct tls *t, const char *p, size_t n, struct buf *sink) {
    t->sink = sink;
    while (n > 0 && !t->failed) {
        size_t written = 0;
        errors_forget();
        if (judge(t, SSL_write_ex(t->ssl, p, n, &written)) != TLS_DONE) {
            t->failed = true;
            break;
        }
        p += written;
        n -= written;
    }
    return !t->failed;
}

void tls_farewell(struct tls *t, struct buf *sink) {
    if (t->failed || !SSL_is_init_finished(t->ssl) || (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN) != 0) return;
    t->sink = sink;
    errors_forget();
    SSL_shutdown(t->ssl);
    errors_forget();
}
