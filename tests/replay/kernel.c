/* Over loopback the kernel mostly hands bytes over within the call that sends them, but on a busy machine it may do so
 * a moment later, and then a turn of the loop that finds nothing means nothing. So both ends of each connection are
 * asked what they have sent and got. The hard part is the end of a connection, which has no number: the states tell it.
 */
#include "kernel.h"

#include <arpa/inet.h>
#include <linux/tcp.h>

enum { ESTABLISHED = 1, SYN_SENT = 2, FIN_WAIT1 = 4, FIN_WAIT2 = 5 }; /* tcpi_state */

unsigned short kernel_port(int fd, bool own) {
    struct sockaddr_in address = {0};
    socklen_t size = sizeof address;
    int failed =
        own ? getsockname(fd, (struct sockaddr *)&address, &size) : getpeername(fd, (struct sockaddr *)&address, &size);
    return failed != 0 ? 0 : ntohs(address.sin_port);
}

static struct tcp_info info_of(int fd) {
    struct tcp_info info = {0};
    socklen_t size = sizeof info;
    getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size);
    return info;
}

static uint64_t sent(const struct tcp_info *i) {
    return i->tcpi_bytes_sent - i->tcpi_bytes_retrans;
}

/* May still hear from its peer: neither an end nor a reset has come. */
static bool is_listening(const struct tcp_info *i) {
    return i->tcpi_state == ESTABLISHED || i->tcpi_state == FIN_WAIT1 || i->tcpi_state == FIN_WAIT2;
}

static bool has_ended(const struct tcp_info *i) {
    return i->tcpi_state != ESTABLISHED && i->tcpi_state != 8; /* 8: CLOSE_WAIT, it only heard an end */
}

/* Behind bytes that are not read, an end may not have been sent. */
static bool pair_is_moving(const struct conn *c, const struct peer *p) {
    bool ends_count = c->reading && !p->paused;
    struct tcp_info a = info_of(c->fd);
    if (p->fd < 0) return ends_count && is_listening(&a);
    struct tcp_info b = info_of(p->fd);
    if (sent(&a) > b.tcpi_bytes_received && is_listening(&b)) return true;
    if (sent(&b) > a.tcpi_bytes_received && is_listening(&a)) return true;
    return ends_count && ((has_ended(&a) && is_listening(&b)) || (has_ended(&b) && is_listening(&a)));
}

static const struct peer *find(const struct peer *peers, unsigned count, unsigned short port) {
    for (unsigned i = count; i > 0; i--)
        if (peers[i - 1].port == port) return &peers[i - 1];
    return NULL;
}

static bool conn_is_moving(const struct world *w, const struct conn *c) {
    if (c->connecting) {
        struct tcp_info info = info_of(c->fd);
        if (info.tcpi_state == SYN_SENT) return true;
    }
    const struct peer *client = find(w->clients, w->client_count, kernel_port(c->fd, false));
    const struct peer *provider = find(w->providers, w->provider_count, kernel_port(c->fd, true));
    if (client == NULL && provider == NULL) return c->connecting && !c->broken && w->back >= 0;
    return pair_is_moving(c, client != NULL ? client : provider);
}

/* The gateway has closed its end: the test's must have heard. */
static bool orphan_is_moving(const struct world *w, const struct peer *p, bool is_client) {
    if (p->fd < 0 || p->ended || p->reset || p->paused) return false;
    for (const struct conn *c = w->worker->loop->conns; c != NULL; c = c->next)
        if (kernel_port(c->fd, !is_client) == p->port) return false;
    struct tcp_info info = info_of(p->fd);
    return is_listening(&info);
}

bool kernel_is_moving(const struct world *w) {
    for (const struct conn *c = w->worker->loop->conns; c != NULL; c = c->next)
        if (conn_is_moving(w, c)) return true;
    for (unsigned i = 0; i < w->client_count; i++)
        if (orphan_is_moving(w, &w->clients[i], true)) return true;
    for (unsigned i = 0; i < w->provider_count; i++)
        if (orphan_is_moving(w, &w->providers[i], false)) return true;
    return false;
}
