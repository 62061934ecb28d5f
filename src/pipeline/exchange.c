/* Birth, accounting and death of an exchange. */
#include "pipeline/exchange.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/mem.h"
#include "base/random.h"

/* The exchange's own deadline: the provider's `total`, or the client's slowness while no provider is known. */
static void total_fire(struct timer *t) {
    struct exchange *x = (struct exchange *)((char *)t - offsetof(struct exchange, total));
    exchange_callback_begin(x);
    exchange_fail(x, FAILURE_TOTAL_TIMEOUT);
    exchange_callback_end(x);
}

struct exchange *exchange_new(struct client *c, uint64_t first_byte_ns) {
    struct worker *w = c->worker;
    struct exchange *x = mem_zalloc(sizeof *x);
    x->worker = w;
    x->client = c;
    x->conf = w->conf;
    x->total.fire = total_fire;
    arena_init(&x->arena);
    x->address_length = c->address_length;
    memcpy(x->address, c->address, c->address_length);
    ledger_begin(&x->ledger, PHASE_RECEIVE, first_byte_ns);
    random_id(x->trace_id, 16);
    random_id(x->span_id, 8);
    x->in_flight_at_start = atomic_load_explicit(&w->in_flight, memory_order_relaxed);
    atomic_store_explicit(&w->in_flight, x->in_flight_at_start + 1, memory_order_relaxed);
    return x;
}

void exchange_free(struct exchange *x) {
    assert(x->settled && x->attempt.up == NULL);
    timer_cancel(&x->worker->loop->wheel, &x->total);
    body_clear(&x->body, &x->worker->blocks);
    buf_clear(&x->held);
    buf_clear(&x->attempt.head_part);
    arena_clear(&x->arena);
    mem_free(x);
}

void exchange_callback_begin(struct exchange *x) {
    const struct loop *l = x->worker->loop;
    if (x->settled) return;
    x->callback_begin_ns = l->now_ns;
    histogram_add(&x->worker->loop_lag, l->now_ns - l->wake_ns);
    ledger_woke(exchange_ledger(x), l->wake_ns, l->now_ns);
}

void exchange_callback_end(struct exchange *x) {
    if (x->settled) return;
    uint64_t now = loop_callback_ends(x->worker->loop);
    x->callback_ns += now - x->callback_begin_ns;
}
