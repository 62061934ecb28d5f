/* Accepting: the main thread accepts and gives each connection to the worker with the least to do, counting what is
 * still in that worker's inbox. At `http.max_connections` it stops accepting until there is room: the kernel's queue
 * waits. */
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "parts.h"

#define CEILING_CHECK_NS (50 * NS_PER_MS)

struct handover { /* a connection on its way to a worker */
    struct message message;
    struct thread *thread;
    struct tls_context *tls;
    uint64_t accepted_ns;
    int fd;
};

static void handover_run(struct message *m, void *context) {
    struct handover *h = (struct handover *)((char *)m - offsetof(struct handover, message));
    client_accept(context, h->fd, h->tls, h->accepted_ns);
    atomic_fetch_sub_explicit(&h->thread->handed_over, 1, memory_order_relaxed);
    mem_free(h);
}

static uint32_t load_of(struct thread *t) {
    return atomic_load_explicit(&t->worker.client_count, memory_order_relaxed) +
           atomic_load_explicit(&t->worker.in_flight, memory_order_relaxed) +
           2 * atomic_load_explicit(&t->handed_over, memory_order_relaxed);
}

static struct thread *least_loaded(struct gateway *g) {
    struct thread *least = g->threads[0];
    for (unsigned i = 1; i < g->thread_count; i++)
        if (load_of(g->threads[i]) < load_of(least)) least = g->threads[i];
    return least;
}

uint64_t gateway_clients(void *gateway) {
    struct gateway *g = gateway;
    uint64_t sum = 0;
    for (unsigned i = 0; i < g->thread_count; i++)
        sum += atomic_load_explicit(&g->threads[i]->worker.client_count, memory_order_relaxed) +
               atomic_load_explicit(&g->threads[i]->handed_over, memory_order_relaxed);
    return sum;
}

uint64_t gateway_in_flight(void *gateway) {
    struct gateway *g = gateway;
    uint64_t sum = 0;
    for (unsigned i = 0; i < g->thread_count; i++)
        sum += atomic_load_explicit(&g->threads[i]->worker.in_flight, memory_order_relaxed);
    return sum;
}

static void ceiling_reached(struct gateway *g) {
    static _Atomic uint64_t gate;
    if (log_once_a_minute(&gate)) log_warn("http.max_connections is reached: accepting waits");
    for (size_t i = 0; i < g->port_count; i++) listener_pause(g->ports[i].listener);
    g->accepting = false;
    timer_set(&g->loop->wheel, &g->tick, g->loop->now_ns + CEILING_CHECK_NS);
}

static void accepted(void *context, int fd, const struct sockaddr *peer, uint64_t accepted_ns) {
    struct port *p = context;
    struct gateway *g = p->gateway;
    (void)peer;
    struct thread *t = least_loaded(g);
    struct handover *h = mem_alloc(sizeof *h);
    *h = (struct handover){
        .message.run = handover_run, .thread = t, .tls = p->tls, .accepted_ns = accepted_ns, .fd = fd};
    atomic_fetch_add_explicit(&t->handed_over, 1, memory_order_relaxed);
    if (!inbox_post(&t->worker.inbox, &h->message)) {
        atomic_fetch_sub_explicit(&t->handed_over, 1, memory_order_relaxed);
        close(fd);
        mem_free(h);
    }
    if (gateway_clients(g) >= g->conf->config->http.max_connections) ceiling_reached(g);
}

void accept_check(struct gateway *g) {
    if (g->accepting || g->draining) return;
    if (gateway_clients(g) >= g->conf->config->http.max_connections) {
        timer_set(&g->loop->wheel, &g->tick, g->loop->now_ns + CEILING_CHECK_NS);
        return;
    }
    for (size_t i = 0; i < g->port_count; i++) listener_resume(g->ports[i].listener);
    g->accepting = true;
}

static bool port_open(struct gateway *g, const struct config_listener *l) {
    char message[256];
    struct port *p = &g->ports[g->port_count];
    *p = (struct port){.gateway = g, .fd = -1};
    if (l->tls.certificate.text.p != NULL) {
        p->tls = tls_server_new(l->tls.certificate.text.p, l->tls.key.text.p, message, sizeof message);
        if (p->tls == NULL) {
            fprintf(stderr, "weir: listen.tls: %s\n", message);
            return false;
        }
    }
    p->fd = listen_open(l->address.host.p, l->address.port.p, message, sizeof message);
    g->port_count++;
    if (p->fd >= 0) return true;
    fprintf(stderr, "weir: listen.address %s: %s\n", l->address.text.p, message);
    return false;
}

bool accept_open(struct gateway *g) {
    const struct config *c = g->conf->config;
    char message[256];
    for (size_t i = 0; i < c->listen.count && i < LISTENERS_MAX; i++)
        if (!port_open(g, &c->listen.items[i])) return false;
    g->admin_fd = -1;
    if (c->admin.address.text.p == NULL) return true;
    g->admin_fd = listen_open(c->admin.address.host.p, c->admin.address.port.p, message, sizeof message);
    if (g->admin_fd < 0) fprintf(stderr, "weir: admin.address %s: %s\n", c->admin.address.text.p, message);
    return g->admin_fd >= 0;
}

void accept_start(struct gateway *g) {
    for (size_t i = 0; i < g->port_count; i++)
        g->ports[i].listener = listener_new(g->loop, g->ports[i].fd, accepted, &g->ports[i]);
    g->accepting = true;
}

void accept_stop(struct gateway *g) {
    for (size_t i = 0; i < g->port_count; i++) {
        if (g->ports[i].listener != NULL) listener_free(g->ports[i].listener);
        if (g->ports[i].fd >= 0) close(g->ports[i].fd);
        g->ports[i].listener = NULL;
        g->ports[i].fd = -1;
    }
    g->accepting = false;
}
