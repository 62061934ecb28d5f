/* Accepting: the main thread accepts and gives each connection to the worker with the least to do, counting what is
 * still in that worker's inbox. At `http.max_connections` it stops accepting until there is room: the kernel's queue
 * waits. */
#include <stdatomic.h>
#include <stddef.h>
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
    struct tls_context *tls; /* a reference */
    uint64_t accepted_ns;
    int fd;
};

static void handover_run(struct message *m, void *context) {
    struct handover *h = (struct handover *)((char *)m - offsetof(struct handover, message));
    client_accept(context, h->fd, h->tls, h->accepted_ns);
    if (h->tls != NULL) tls_context_unref(h->tls);
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

static void listeners_pause(struct gateway *g) {
    for (size_t i = 0; i < g->ports.count; i++) listener_pause(g->ports.items[i]->listener);
    g->accepting = false;
}

static void ceiling_reached(struct gateway *g) {
    static _Atomic uint64_t gate;
    if (log_once_a_minute(&gate)) log_warn("http.max_connections is reached: accepting waits");
    listeners_pause(g);
    timer_set(&g->loop->wheel, &g->tick, g->loop->now_ns + CEILING_CHECK_NS);
}

static void accepted(void *context, int fd, const struct sockaddr *peer, uint64_t accepted_ns) {
    struct port *p = context;
    struct gateway *g = p->gateway;
    (void)peer;
    struct thread *t = least_loaded(g);
    struct handover *h = mem_alloc(sizeof *h);
    *h = (struct handover){
        .message.run = handover_run, .thread = t, .tls = tls_context_ref(p->tls), .accepted_ns = accepted_ns, .fd = fd};
    atomic_fetch_add_explicit(&t->handed_over, 1, memory_order_relaxed);
    if (!inbox_post(&t->worker.inbox, &h->message)) {
        atomic_fetch_sub_explicit(&t->handed_over, 1, memory_order_relaxed);
        close(fd);
        tls_context_unref(p->tls);
        mem_free(h);
    }
    if (gateway_clients(g) >= g->conf->config->http.max_connections) ceiling_reached(g);
}

void accept_check(struct gateway *g) {
    if (g->accepting || g->draining || g->handing_over) return;
    if (gateway_clients(g) >= g->conf->config->http.max_connections) {
        timer_set(&g->loop->wheel, &g->tick, g->loop->now_ns + CEILING_CHECK_NS);
        return;
    }
    for (size_t i = 0; i < g->ports.count; i++) listener_resume(g->ports.items[i]->listener);
    g->accepting = true;
}

void accept_pause(struct gateway *g) {
    g->handing_over = true;
    listeners_pause(g);
}

void accept_resume(struct gateway *g) {
    if (!g->handing_over) return;
    g->handing_over = false;
    accept_check(g);
}

static void port_start(struct gateway *g, struct port *p) {
    p->gateway = g;
    p->listener = listener_new(g->loop, p->fd, accepted, p);
    if (!g->accepting) listener_pause(p->listener);
}

void accept_start(struct gateway *g) {
    g->accepting = true;
    for (size_t i = 0; i < g->ports.count; i++) port_start(g, g->ports.items[i]);
}

/* Sessions go on with a certificate that has not changed: its context has their tickets' keys. */
static void port_renew(struct port *p, struct port *next) {
    bool same = (p->tls == NULL) == (next->tls == NULL) && memcmp(p->tls_print, next->tls_print, DIGEST_BYTES) == 0;
    if (!same) {
        struct tls_context *before = p->tls;
        p->tls = next->tls;
        next->tls = before;
        memcpy(p->tls_print, next->tls_print, DIGEST_BYTES);
    }
    port_free(next);
}

/* What the kernel has accepted already is served: who connected in time notices nothing. */
static void port_end(struct port *p) {
    log_info("no longer listening on %s", p->address);
    listener_accept_all(p->listener);
    port_free(p);
}

void accept_follow(struct gateway *g, struct ports *next) {
    struct ports before = g->ports;
    g->ports = (struct ports){0};
    for (size_t i = 0; i < next->count; i++) {
        struct port *n = next->items[i], *known = ports_find(&before, n->address);
        if (known != NULL) {
            port_renew(known, n);
        } else {
            log_info("listening on %s", n->address);
            port_start(g, n);
        }
        g->ports.items[g->ports.count++] = known != NULL ? known : n;
    }
    for (size_t i = 0; i < before.count; i++)
        if (ports_find(&g->ports, before.items[i]->address) == NULL) port_end(before.items[i]);
    next->count = 0;
}

void accept_stop(struct gateway *g) {
    g->accepting = false;
    ports_clear(&g->ports);
}
