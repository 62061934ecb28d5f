/* Shutting down: no new work; what is under way finishes, or is cut when `http.drain` is over; then everything recorded
 * is written. A second signal cuts at once. */
#include "base/clock.h"
#include "base/log.h"
#include "parts.h"

#include <stdatomic.h>

#define DRAIN_CHECK_NS (10 * NS_PER_MS)

static void work_ends(struct gateway *g) {
    g->draining = true;
    atomic_store(&g->ready, false);
    log_info("draining: %llu connections, %llu requests under way", (unsigned long long)gateway_clients(g),
             (unsigned long long)gateway_in_flight(g));
    accept_stop(g);
    g->drain_until_ns = loop_stamp(g->loop) + g->conf->config->http.drain_ns;
    timer_set(&g->loop->wheel, &g->tick, g->loop->now_ns + DRAIN_CHECK_NS);
}

void drain_begin(struct gateway *g) {
    if (!g->draining) work_ends(g);
    g->leaving = false;
    for (unsigned i = 0; i < g->thread_count; i++) thread_post(g, g->threads[i], &g->threads[i]->drain);
}

void drain_leave(struct gateway *g) {
    work_ends(g);
    g->leaving = true;
    for (unsigned i = 0; i < g->thread_count; i++) thread_post(g, g->threads[i], &g->threads[i]->leave);
}

void drain_cut(struct gateway *g) {
    if (g->cutting) return;
    g->cutting = true;
    for (unsigned i = 0; i < g->thread_count; i++) thread_post(g, g->threads[i], &g->threads[i]->cut);
    g->drain_until_ns = loop_stamp(g->loop) + 500 * NS_PER_MS; /* for the last bytes to leave */
}

void drain_check(struct gateway *g) {
    if (gateway_in_flight(g) == 0 && gateway_clients(g) == 0) {
        loop_stop(g->loop);
        return;
    }
    if (g->loop->now_ns >= g->drain_until_ns) {
        if (g->cutting) {
            loop_stop(g->loop);
            return;
        }
        log_warn("draining: time is up, %llu requests are cut", (unsigned long long)gateway_in_flight(g));
        drain_cut(g);
    }
    timer_set(&g->loop->wheel, &g->tick, g->loop->now_ns + DRAIN_CHECK_NS);
}
