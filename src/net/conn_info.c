/* What a connection can tell about itself and its peer. */
#include <arpa/inet.h>
#include <linux/tcp.h> /* the C library's own knows no tcpi_min_rtt */
#include <openssl/err.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "conn_private.h"
#include "tls.h"

static const char *tls_reason(const struct tls *t) {
    long verified = SSL_get_verify_result(t->ssl);
    if (verified != X509_V_OK && SSL_get_verify_mode(t->ssl) != SSL_VERIFY_NONE)
        return X509_verify_cert_error_string(verified);
    const char *reason = ERR_reason_error_string(t->error);
    return reason != NULL ? reason : "TLS failed";
}

void conn_error_text(const struct conn *c, char *out, size_t out_bytes) {
    char text[128] = "";
    if (c->tls != NULL && c->tls->failed)
        snprintf(out, out_bytes, "%s", tls_reason(c->tls));
    else
        snprintf(out, out_bytes, "%s", c->error != 0 ? strerror_r(c->error, text, sizeof text) : "");
}

bool conn_tls_reused(const struct conn *c) {
    return c->tls != NULL && SSL_session_reused(c->tls->ssl) == 1;
}

/* The least that the kernel has seen of late, not its smoothed figure: a peer may put its acknowledgements off for 40
 * ms and more, to send them with its answer, which would make the way to it look longer than it is. The kernel is asked
 * at most four times a second a connection. */
#define RTT_FRESH_NS (250 * NS_PER_MS)

uint64_t conn_rtt_ns(struct conn *c) {
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    if (c->rtt_read_ns != 0 && c->loop->now_ns - c->rtt_read_ns < RTT_FRESH_NS) return c->rtt_ns;
    c->rtt_read_ns = c->loop->now_ns;
    c->rtt_ns = 0;
    if (getsockopt(c->fd, IPPROTO_TCP, TCP_INFO, &info, &size) != 0) return 0;
    if (info.tcpi_min_rtt == UINT32_MAX) return 0; /* none was seen */
    return c->rtt_ns = info.tcpi_min_rtt * NS_PER_US;
}

void conn_acks_put_off(struct conn *c) {
    int at_once = 0;
    setsockopt(c->fd, IPPROTO_TCP, TCP_QUICKACK, &at_once, sizeof at_once); /* refused: it stays as it was */
}

size_t conn_peer_text(const struct conn *c, char out[INET6_ADDRSTRLEN]) {
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage storage;
    } peer = {0};
    socklen_t size = sizeof peer;
    const char *text = NULL;
    out[0] = '\0';
    if (getpeername(c->fd, &peer.any, &size) != 0) return 0;
    if (peer.any.sa_family == AF_INET)
        text = inet_ntop(AF_INET, &peer.v4.sin_addr, out, INET6_ADDRSTRLEN);
    else if (peer.any.sa_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&peer.v6.sin6_addr))
        text = inet_ntop(AF_INET, &peer.v6.sin6_addr.s6_addr[12], out, INET6_ADDRSTRLEN);
    else if (peer.any.sa_family == AF_INET6)
        text = inet_ntop(AF_INET6, &peer.v6.sin6_addr, out, INET6_ADDRSTRLEN);
    return text != NULL ? strlen(text) : 0;
}

size_t loop_conn_count(const struct loop *l) {
    return l->conn_count;
}
