/* A tenant's queue. The first in line asks the limiter again when something of
 * its tenant was settled, and when the last refusal said that it would help;
 * the others wait until it is their turn. Nobody waits longer than
 * `queue.wait`, nor for what comes later than that: such a request is refused
 * at once, as without a queue. */
#include "queueing.h"

#include <stddef.h>

#include "base/clock.h"
#include "limit/waiting.h"
#include "limiting.h"
#include "pipeline/exchange.h"
#include "telemetry/traffic.h"

#define ASK_AGAIN_NS (250 * NS_PER_MS) /* for a slot: nobody may tell when it was another instance's */
#define LOOK_NS NS_PER_S               /* who has become the first is told so, unless an inbox was full */
#define ASK_SOON_NS                                                                                                    \
    (10 * NS_PER_MS) /* what was settled between the refusal and joining the                                           \
                        line told nobody */

struct queued { /* in the exchange's arena */
    struct exchange *x;
    struct waiter *waiter; /* NULL: not in line */
    struct timer timer;    /* when to ask again, or to give up */
    uint64_t due_ns;
    bool called; /* it may ask */
};

static uint64_t sooner(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static const struct config_queue *queue_of(const struct exchange *x) {
    return x->tenant->queue;
}

static bool may_wait(const struct exchange *x) {
    const struct config_queue *q = queue_of(x);
    return x->worker->waiting != NULL && q->wait_ns > 0 && q->size > 0;
}

static void go_on(struct queued *q) {
    struct exchange *x = q->x;
    q->called = true;
    exchange_callback_begin(x);
    stage_run(x);
    exchange_callback_end(x);
}

static void on_told(struct waiter *own) {
    go_on(own->context);
}

static void on_timer(struct timer *t) {
    struct queued *q = (struct queued *)((char *)t - offsetof(struct queued, timer));
    struct exchange *x = q->x;
    uint64_t now = x->worker->loop->now_ns;
    if (now < q->due_ns && !q->called && !waiter_is_first(q->waiter)) {
        timer_set(&x->worker->loop->wheel, t, sooner(now + LOOK_NS, q->due_ns));
        return;
    }
    if (now < q->due_ns) {
        go_on(q);
        return;
    }
    exchange_callback_begin(x);
    limits_explain(x, FAILURE_QUEUE_TIMEOUT);
    exchange_fail(x, FAILURE_QUEUE_TIMEOUT);
    exchange_callback_end(x);
}

/* A line of the whole tenant, or of one model. False: it is full. */
static bool line_join(struct exchange *x, bool of_model) {
    struct worker *w = x->worker;
    const struct config_queue *c = queue_of(x);
    struct queued *q = x->queued;
    if (q == NULL) q = x->queued = arena_alloc(&x->arena, sizeof *q);
    *q = (struct queued){.x = x, .timer.fire = on_timer, .due_ns = w->loop->now_ns + c->wait_ns};
    q->waiter = waiting_join(w->waiting, x->tenant->name, of_model ? x->model_requested : SLICE(""), c->size, &w->inbox,
                             on_told, q);
    if (q->waiter == NULL) return false;
    exchange_phase(x, PHASE_QUEUE, w->loop->now_ns);
    timer_set(&w->loop->wheel, &q->timer, sooner(w->loop->now_ns + LOOK_NS, q->due_ns));
    if (x->flight != NULL) traffic_queue(x->flight, true);
    return true;
}

static bool is_in_line(const struct exchange *x) {
    return x->queued != NULL && x->queued->waiter != NULL;
}

static enum step refuse(struct exchange *x, enum failure f) {
    queue_leave(x);
    x->failure = f;
    return STEP_FAIL;
}

enum step queue_before(struct exchange *x) {
    bool of_model;
    if (is_in_line(x)) return x->queued->called ? STEP_NEXT : STEP_WAIT;
    if (!may_wait(x) || !waiting_is_behind(x->worker->waiting, x->tenant->name, x->model_requested, &of_model))
        return STEP_NEXT;
    return line_join(x, of_model) ? STEP_WAIT : refuse(x, FAILURE_QUEUE_FULL);
}

/* May waiting until due_ns help? Of a slot nobody knows when it comes. */
static bool would_help(const struct exchange *x, uint64_t due_ns) {
    const struct limit_refusal *why = &x->refusal;
    uint64_t now = x->worker->loop->now_ns;
    return why->kind == LIMIT_CONCURRENT || (due_ns > now && why->retry_after_ns <= due_ns - now);
}

static void ask_again_later(struct exchange *x, uint64_t soonest_ns) {
    struct queued *q = x->queued;
    uint64_t now = x->worker->loop->now_ns, wait_ns = x->refusal.retry_after_ns;
    if (x->refusal.kind == LIMIT_CONCURRENT) wait_ns = ASK_AGAIN_NS;
    if (wait_ns > soonest_ns) wait_ns = soonest_ns;
    uint64_t next_ns = waiter_is_first(q->waiter) ? now + wait_ns : now + LOOK_NS;
    q->called = false;
    timer_set(&x->worker->loop->wheel, &q->timer, sooner(next_ns, q->due_ns));
}

enum step queue_after(struct exchange *x, enum step asked) {
    if (asked == STEP_WAIT) return asked;
    if (asked == STEP_NEXT || x->failure != FAILURE_LIMIT_EXCEEDED) {
        queue_leave(x);
        return asked;
    }
    bool joins = !is_in_line(x);
    if (joins && (!may_wait(x) || !would_help(x, x->worker->loop->now_ns + queue_of(x)->wait_ns))) return asked;
    if (joins && !line_join(x, x->refusal.of_model)) return refuse(x, FAILURE_QUEUE_FULL);
    if (!would_help(x, x->queued->due_ns)) { /* what is missing now is another
                                                limit, for longer */
        queue_leave(x);
        return asked;
    }
    ask_again_later(x, joins ? ASK_SOON_NS : UINT64_MAX);
    return STEP_WAIT;
}

void queue_leave(struct exchange *x) {
    struct queued *q = x->queued;
    if (!is_in_line(x)) return;
    waiter_leave(q->waiter);
    q->waiter = NULL;
    timer_cancel(&x->worker->loop->wheel, &q->timer);
    if (x->flight != NULL) traffic_queue(x->flight, false);
}

void queue_settled(struct exchange *x) {
    if (x->worker->waiting != NULL && x->tenant != NULL) waiting_settled(x->worker->waiting, x->tenant->name);
}
