/* Birth, accounting and death of an exchange. */
#include "pipeline/exchange.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/mem.h"
#include "base/random.h"
#include "http/trace_context.h"

/* The exchange's own deadline: the provider's `total`, or the client's slowness while no provider is known. */
static void total_fire(struct timer *t) {
    struct exchange *x = (struct exchange *)((char *)t - offsetof(struct exchange, total));
    exchange_callback_begin(x);
    exchange_fail(x, FAILURE_TOTAL_TIMEOUT);
    exchange_callback_end(x);
}

struct exchange *exchange_new(struct client *c, uint64_t first_byte_ns) {
    struct worker *w = c->worker;
    struct exchange *x = mem_alloc(sizeof *x);
    memset(x, 0, offsetof(struct exchange, own_target));
    x->worker = w;
    x->client = c;
    x->conf = pins_take(&w->pins);
    x->total.fire = total_fire;
    x->attempt = &x->first_attempt;
    x->first_attempt.exchange = x;
    arena_init(&x->arena);
    x->client_tls = c->tls;
    x->address_length = c->address_length;
    memcpy(x->address, c->address, c->address_length);
    ledger_begin(&x->ledger, PHASE_RECEIVE, first_byte_ns);
    random_id(x->trace_id, 16);
    random_id(x->span_id, 8);
    x->trace_flags = TRACE_RANDOM | (trace_sampler_takes(&w->sampler, x->trace_id) ? TRACE_SAMPLED : 0);
    x->in_flight_at_start = atomic_load_explicit(&w->in_flight, memory_order_relaxed);
    atomic_store_explicit(&w->in_flight, x->in_flight_at_start + 1, memory_order_relaxed);
    return x;
}

void exchange_conf_renew(struct exchange *x) {
    struct worker *w = x->worker;
    if (x->conf == w->conf) return;
    pins_give(&w->pins, x->conf);
    x->conf = pins_take(&w->pins);
}

void exchange_free(struct exchange *x) {
    assert(x->settled && x->attempt->up == NULL);
    timer_cancel(&x->worker->loop->wheel, &x->total);
    pins_give(&x->worker->pins, x->conf);
    body_clear(&x->body, &x->worker->blocks);
    buf_clear(&x->attempt->held);
    buf_clear(&x->attempt->stash);
    buf_clear(&x->attempt->head_part);
    arena_clear(&x->arena);
    mem_free(x);
}

static void callback_begin(struct exchange *x, struct ledger *ledger) {
    const struct loop *l = x->worker->loop;
    if (x->settled) return;
    x->callback_begin_ns = l->now_ns;
    histogram_add(&x->worker->loop_lag, l->now_ns - l->wake_ns);
    ledger_woke(ledger, l->wake_ns, l->now_ns);
}

void exchange_callback_begin(struct exchange *x) {
    callback_begin(x, exchange_ledger(x));
}

void attempt_callback_begin(struct attempt *a) {
    callback_begin(a->exchange, &a->ledger);
}

void exchange_callback_end(struct exchange *x) {
    if (x->settled) return;
    uint64_t now = loop_callback_ends(x->worker->loop);
    x->callback_ns += now - x->callback_begin_ns;
}
