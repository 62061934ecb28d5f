/* The export thread. Records come through a ring from the recorder, which never waits; the thread looks into it 20
 * times a second, makes spans of what is there, once for each dialect that is wanted, and gives them to the senders.
 * The hard part is the end: everything that was recorded is to be sent, but a collector that does not take it must not
 * hold the process up. */
#include "otlp/export.h"

#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/ring.h"
#include "destinations.h"
#include "http/trace_context.h"
#include "logs.h"
#include "metrics.h"
#include "resource.h"
#include "spans.h"

#define LOOK_NS (50 * NS_PER_MS)
#define MEASURE_NS (60 * NS_PER_S)
#define FLUSH_NS (5 * NS_PER_S)
#define DELAY_NS (1 * NS_PER_S)
#define RING_BYTES ((size_t)4 << 20)
#define QUEUE_BYTES ((size_t)16 << 20)
#define BATCH_BYTES ((size_t)1 << 20)
enum { QUEUE_ITEMS = 65536, BATCH_ITEMS = 4096, RECORDS_A_LOOK = 2000 };

struct exports {
    struct exports_options options;
    char *replica;
    struct environment environment;
    struct places *places;
    struct ring *ring;
    struct loop *loop;
    struct inbox inbox;
    struct message stop;
    struct resolver *resolver;
    struct sender_shared shared;
    struct sender *senders[DESTINATIONS_MAX];
    enum semconv dialects[DESTINATIONS_MAX];
    unsigned sender_count;
    bool per_record; /* some sender takes spans or lines */
    bool per_minute; /* … metrics */
    struct timer look, measure;
    struct exports_sources sources;
    struct message measured;
    int64_t begun_unix_ns;
    struct view view;
    struct buf scratch, line;
    _Atomic uint64_t ring_spans_dropped;
    pthread_t thread;
};

/* ---- a record on its way ---- */

/* Spans that a record makes, without making them: for the count of those that found no room in the ring. */
static unsigned spans_of(const struct record *r) {
    unsigned count = 1 + (r->attempts > 0 ? 2 : 0);
    for (int i = 0; i < PHASE_COUNT; i++) count += r->phase_ns[i] > 0;
    return count;
}

void exports_record(void *exports, const struct record *r) {
    struct exports *e = exports;
    if (e == NULL || !e->per_record || !(r->trace_flags & TRACE_SAMPLED)) return;
    void *room = ring_reserve(e->ring, r->size_bytes);
    if (room == NULL) {
        atomic_fetch_add_explicit(&e->ring_spans_dropped, spans_of(r), memory_order_relaxed);
        return;
    }
    memcpy(room, r, r->size_bytes);
    ring_commit(e->ring);
}

static void spans_give(struct exports *e, enum semconv dialect) {
    unsigned count = 0;
    for (unsigned i = 0; i < e->sender_count; i++) {
        if (sender_signal(e->senders[i]) != SIGNAL_TRACES || e->dialects[i] != dialect) continue;
        if (count == 0) {
            e->scratch.start = e->scratch.end = 0;
            count = spans_put(&e->scratch, &e->view, dialect);
        }
        sender_add(e->senders[i], buf_slice(&e->scratch), count);
    }
}

static void line_give(struct exports *e) {
    bool made = false;
    for (unsigned i = 0; i < e->sender_count; i++) {
        if (sender_signal(e->senders[i]) != SIGNAL_LOGS) continue;
        if (!made) {
            e->scratch.start = e->scratch.end = e->line.start = e->line.end = 0;
            e->options.line_write(&e->line, e->view.r, slice_of(e->replica));
            log_record_put(&e->scratch, &e->view, slice_trim(buf_slice(&e->line)));
            made = true;
        }
        sender_add(e->senders[i], buf_slice(&e->scratch), 1);
    }
}

static bool ring_drain(struct exports *e) {
    static const enum semconv dialects[] = {SEMCONV_GENAI_ONLY, SEMCONV_OPENINFERENCE, SEMCONV_LANGFUSE};
    size_t n;
    unsigned taken = 0;
    for (const struct record *r; taken < RECORDS_A_LOOK && (r = ring_peek(e->ring, &n)) != NULL; taken++) {
        view_make(&e->view, r, e->places);
        for (size_t i = 0; i < sizeof dialects / sizeof *dialects; i++) spans_give(e, dialects[i]);
        line_give(e);
        ring_release(e->ring);
    }
    return taken == RECORDS_A_LOOK;
}

/* ---- metrics ---- */

static void metric_send(void *context, struct slice metric, unsigned points) {
    struct exports *e = context;
    for (unsigned i = 0; i < e->sender_count; i++)
        if (sender_signal(e->senders[i]) == SIGNAL_METRICS) sender_add(e->senders[i], metric, points);
}

static void metrics_send(struct exports *e) {
    uint64_t now = loop_stamp(e->loop);
    const struct metrics_times times = {(uint64_t)e->begun_unix_ns, (uint64_t)clock_wall_ns(now)};
    if (e->per_minute && e->sources.traffics != NULL) metrics_give(&e->sources, e->places, &times, metric_send, e);
}

static void measure_fire(struct timer *t) {
    struct exports *e = (struct exports *)((char *)t - offsetof(struct exports, measure));
    uint64_t interval_ns = e->environment.metric_interval_ns;
    metrics_send(e);
    for (unsigned i = 0; i < e->sender_count; i++) sender_kick(e->senders[i]);
    timer_set(&e->loop->wheel, t, e->loop->now_ns + (interval_ns != 0 ? interval_ns : MEASURE_NS));
}

static void measured_run(struct message *m, void *context) {
    (void)m;
    struct exports *e = context;
    uint64_t interval_ns = e->environment.metric_interval_ns;
    timer_set(&e->loop->wheel, &e->measure, e->loop->now_ns + (interval_ns != 0 ? interval_ns : MEASURE_NS));
}

void exports_measure(struct exports *e, const struct exports_sources *s) {
    if (e == NULL) return;
    e->sources = *s; /* the message orders it before the thread's first look */
    e->measured.run = measured_run;
    inbox_post(&e->inbox, &e->measured);
}

/* ---- the thread ---- */

static bool all_idle(const struct exports *e) {
    for (unsigned i = 0; i < e->sender_count; i++)
        if (!sender_idle(e->senders[i])) return false;
    return true;
}

static void look_fire(struct timer *t) {
    struct exports *e = (struct exports *)((char *)t - offsetof(struct exports, look));
    bool more = ring_drain(e);
    for (unsigned i = 0; i < e->sender_count; i++) sender_kick(e->senders[i]);
    uint64_t now = loop_stamp(e->loop);
    if (e->shared.stopping && ((!more && all_idle(e)) || now >= e->shared.stop_ns))
        loop_stop(e->loop);
    else
        timer_set(&e->loop->wheel, &e->look, more ? now : now + LOOK_NS / (e->shared.stopping ? 10 : 1));
}

static void stop_run(struct message *m, void *context) {
    (void)m;
    struct exports *e = context;
    e->shared.stopping = true;
    e->shared.stop_ns = loop_stamp(e->loop) + FLUSH_NS;
    metrics_send(e);
    for (unsigned i = 0; i < e->sender_count; i++) sender_hurry(e->senders[i]);
    timer_set(&e->loop->wheel, &e->look, e->loop->now_ns);
}

struct follow {
    struct message message;
    struct places *places;
};

static void follow_run(struct message *m, void *context) {
    struct follow *f = (struct follow *)((char *)m - offsetof(struct follow, message));
    struct exports *e = context;
    places_free(e->places);
    e->places = f->places;
    mem_free(f);
}

void exports_follow(struct exports *e, const struct config *c) {
    if (e == NULL) return;
    struct follow *f = mem_zalloc(sizeof *f);
    f->message.run = follow_run;
    f->places = places_new(c);
    if (inbox_post(&e->inbox, &f->message)) return;
    places_free(f->places);
    mem_free(f);
}

static void *exports_run(void *context) {
    struct exports *e = context;
    pthread_setname_np(pthread_self(), "otlp-export");
    loop_run(e->loop);
    return NULL;
}

/* ---- life ---- */

static void started_tell(const struct exports *e) {
    for (unsigned i = 0; i < e->sender_count; i++) {
        struct slice to = sender_destination(e->senders[i])->authority;
        log_info("otlp: %s are sent to %.*s", signal_items(sender_signal(e->senders[i])), (int)to.n, to.p);
    }
}

static void senders_make(struct exports *e, struct plan *plan) {
    const struct environment *env = &e->environment;
    for (unsigned i = 0; i < plan->count; i++) {
        struct planned *p = &plan->items[i];
        struct sender *s = sender_new(&e->shared, p->signal, &p->to);
        sender_queue(s)->limits =
            (struct queue_limits){.items_max = env->queue_items != 0 ? env->queue_items : QUEUE_ITEMS,
                                  .batch_items_max = env->batch_items != 0 ? env->batch_items : BATCH_ITEMS,
                                  .bytes_max = QUEUE_BYTES,
                                  .batch_bytes_max = BATCH_BYTES,
                                  .delay_ns = env->delay_ns != 0 ? env->delay_ns : DELAY_NS};
        e->per_record |= p->signal != SIGNAL_METRICS;
        e->per_minute |= p->signal == SIGNAL_METRICS;
        e->dialects[e->sender_count] = p->dialect;
        e->senders[e->sender_count++] = s;
    }
}

static void exports_free(struct exports *e) {
    resolver_free(e->resolver); /* it posts to the inbox */
    for (unsigned i = 0; i < e->sender_count; i++) sender_free(e->senders[i]);
    inbox_clear(&e->inbox);
    loop_free(e->loop);
    ring_free(e->ring);
    gzip_free(e->shared.gzip);
    places_free(e->places);
    buf_clear(&e->shared.resource);
    buf_clear(&e->shared.scope);
    buf_clear(&e->scratch);
    buf_clear(&e->line);
    mem_free(e->replica);
    mem_free(e);
}

static struct exports *exports_new(const struct exports_options *o, const struct environment *env, struct plan *plan) {
    struct exports *e = mem_zalloc(sizeof *e);
    e->options = *o;
    e->replica = mem_strndup(o->config->instance.name.text.p, o->config->instance.name.text.n);
    e->environment = *env;
    e->places = places_new(o->config);
    e->ring = ring_new(RING_BYTES);
    e->loop = loop_new();
    inbox_init(&e->inbox, e->loop, 1024, e);
    e->resolver = resolver_new(1, 30 * NS_PER_S);
    e->shared = (struct sender_shared){
        .loop = e->loop, .inbox = &e->inbox, .resolver = e->resolver, .gzip = gzip_new(), .stop_ns = UINT64_MAX};
    resource_put(&e->shared.resource, o->config, env);
    scope_put(&e->shared.scope);
    senders_make(e, plan);
    e->options.config = NULL;
    e->stop.run = stop_run;
    e->look.fire = look_fire;
    e->measure.fire = measure_fire;
    e->begun_unix_ns = clock_wall_ns(e->loop->now_ns);
    timer_set(&e->loop->wheel, &e->look, e->loop->now_ns + LOOK_NS);
    return e;
}

static const char *variable_get(const char *name) {
    return getenv(name);
}

struct exports *exports_start(const struct exports_options *o, char *error, size_t error_bytes) {
    struct environment env;
    struct plan plan;
    if (error_bytes > 0) error[0] = '\0';
    environment_read(&env, variable_get);
    if (env.disabled && o->config->otlp.exporters.count > 0)
        log_info("otlp: nothing is exported, because OTEL_SDK_DISABLED is true");
    if (!plan_make(&plan, o->config, &env, error, error_bytes) || plan.count == 0) {
        plan_clear(&plan);
        return NULL;
    }
    struct exports *e = exports_new(o, &env, &plan);
    started_tell(e);
    if (pthread_create(&e->thread, NULL, exports_run, e) == 0) return e;
    exports_free(e);
    snprintf(error, error_bytes, "otlp.export: a thread could not be started");
    return NULL;
}

struct trace_sampler exports_sampler(void) {
    return environment_sampler(variable_get);
}

bool exports_count(const struct exports *e, unsigned i, struct exports_count *c) {
    if (e == NULL || i >= e->sender_count) return false;
    struct sender_counts *counts = sender_counts_of(e->senders[i]);
    *c = (struct exports_count){.endpoint = sender_destination(e->senders[i])->authority,
                                .signal = signal_name(sender_signal(e->senders[i])),
                                .sent = atomic_load_explicit(&counts->sent, memory_order_relaxed),
                                .dropped = atomic_load_explicit(&counts->dropped, memory_order_relaxed),
                                .rejected = atomic_load_explicit(&counts->rejected, memory_order_relaxed),
                                .failures = atomic_load_explicit(&counts->failures, memory_order_relaxed)};
    return true;
}

uint64_t exports_spans_dropped(const struct exports *e) {
    if (e == NULL) return 0;
    uint64_t dropped = atomic_load_explicit(&e->ring_spans_dropped, memory_order_relaxed);
    struct exports_count c;
    for (unsigned i = 0; exports_count(e, i, &c); i++)
        if (slice_equal(slice_of(c.signal), SLICE("traces"))) dropped += c.dropped + c.rejected;
    return dropped;
}

void exports_stop(struct exports *e) {
    if (e == NULL) return;
    inbox_post(&e->inbox, &e->stop);
    pthread_join(e->thread, NULL);
    exports_free(e);
}
