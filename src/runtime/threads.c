/* Starting and stopping the worker threads. */
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/sysinfo.h>

#include "base/clock.h"
#include "base/mem.h"
#include "parts.h"
#include "recorder/access_log.h"

#define STOP_WAIT_NS (4 * NS_PER_MS)

static void *worker_run(void *context) {
    struct thread *t = context;
    char name[16];
    snprintf(name, sizeof name, "worker-%u", t->worker.index);
    pthread_setname_np(pthread_self(), name);
    loop_run(t->worker.loop);
    return NULL;
}

static void drain_run(struct message *m, void *context) {
    (void)m;
    worker_drain(context);
}

static void leave_run(struct message *m, void *context) {
    (void)m;
    worker_leave(context);
}

static void cut_run(struct message *m, void *context) {
    (void)m;
    worker_cut(context);
}

/* What was settled last is still on its way to Redis: its answers come, or their time is over soon. */
static void stopping_fire(struct timer *timer) {
    struct thread *t = (struct thread *)((char *)timer - offsetof(struct thread, stopping));
    struct loop *l = t->worker.loop;
    if (!shared_has_left(t))
        timer_set(&l->wheel, timer, loop_stamp(l) + STOP_WAIT_NS);
    else
        loop_stop(l);
}

static void stop_run(struct message *m, void *context) {
    struct worker *w = context;
    struct thread *t = (struct thread *)((char *)m - offsetof(struct thread, stop));
    worker_end(w);
    shared_leave(t);
    t->stopping.fire = stopping_fire;
    stopping_fire(&t->stopping);
}

static void clear_run(struct message *m, void *context) {
    struct worker *w = context;
    const struct thread *t = (const struct thread *)((char *)w - offsetof(struct thread, worker));
    worker_origin_clear(w, (unsigned)(m - t->clear));
}

#define RETRY_NS (20 * NS_PER_MS)

void thread_post(struct gateway *g, struct thread *t, struct message *m) {
    if (t->backlog == NULL && inbox_post(&t->worker.inbox, m)) return;
    m->next = NULL;
    if (t->backlog == NULL) t->backlog_tail = &t->backlog;
    *t->backlog_tail = m;
    t->backlog_tail = &m->next;
    timer_set(&g->loop->wheel, &g->retry, g->loop->now_ns + RETRY_NS);
}

void threads_retry(struct gateway *g) {
    for (unsigned i = 0; i < g->thread_count; i++) {
        struct thread *t = g->threads[i];
        while (t->backlog != NULL) {
            struct message *next = t->backlog->next; /* posting overwrites it */
            if (!inbox_post(&t->worker.inbox, t->backlog)) break;
            t->backlog = next;
        }
        if (t->backlog != NULL) timer_set(&g->loop->wheel, &g->retry, g->loop->now_ns + RETRY_NS);
    }
}

unsigned threads_wanted(const struct config *c) {
    uint64_t n = c->workers != 0 ? c->workers : (uint64_t)get_nprocs();
    return n > WORKERS_MAX ? WORKERS_MAX : n < 1 ? 1 : (unsigned)n;
}

static bool exports_open(struct gateway *g) {
    char message[256];
    struct exports_options o = {.config = g->conf->config, .line_write = access_log_line};
    g->exports = exports_start(&o, message, sizeof message);
    if (g->exports == NULL && message[0] != '\0') fprintf(stderr, "weir: %s\n", message);
    return g->exports != NULL || message[0] == '\0';
}

bool threads_start(struct gateway *g) {
    const struct config *c = g->conf->config;
    char message[256];
    unsigned wanted = threads_wanted(c);
    if (!exports_open(g)) return false;
    struct recorder_options o = {.replica = c->instance.name.text,
                                 .access_file = c->log.access_file.text.p,
                                 .access = c->log.access != CONFIG_ACCESS_NONE,
                                 .exemplars = g->exemplars,
                                 .sinks = {{.take = usage_take, .context = g->usage},
                                           {.take = live_take, .context = g->live},
                                           {.record = exports_record, .context = g->exports}},
                                 .rings = wanted};
    g->recorder = recorder_start(&o, message, sizeof message);
    if (g->recorder == NULL) {
        struct conf_errors errors = {0};
        conf_error_add(&errors, c->log.access_file.at, "log.access: %s", message);
        errors_print(&errors);
        return false;
    }
    struct trace_sampler sampler = exports_sampler();
    struct generation *first = generation_add(g, g->conf, wanted);
    for (unsigned i = 0; i < wanted; i++) {
        struct thread *t = mem_zalloc(sizeof *t);
        worker_init(&t->worker, i, generation_pin(first, i), g->resolver, recorder_ring(g->recorder, i));
        t->worker.limiter = g->limiter;
        t->worker.sampler = sampler;
        t->worker.waiting = g->waiting;
        shared_join(g, &t->worker);
        t->worker.live = g->live;
        live_watch_lag(g->live, &t->worker.loop_lag);
        t->worker.record_ready = recorder_wake;
        t->worker.record_context = g->recorder;
        recorder_watch(g->recorder, &t->worker.traffic);
        t->drain.run = drain_run;
        t->leave.run = leave_run;
        t->cut.run = cut_run;
        t->stop.run = stop_run;
        for (unsigned slot = 0; slot < ORIGINS_MAX; slot++) t->clear[slot].run = clear_run;
        g->threads[g->thread_count] = t;
        g->loop_lags[g->thread_count] = &t->worker.loop_lag;
        g->traffics[g->thread_count++] = &t->worker.traffic;
        t->running = pthread_create(&t->id, NULL, worker_run, t) == 0;
        if (!t->running) {
            fprintf(stderr, "weir: a worker thread could not be started\n");
            return false;
        }
    }
    exports_measure(g->exports, &(struct exports_sources){.traffics = g->traffics,
                                                          .loop_lags = g->loop_lags,
                                                          .worker_count = g->thread_count,
                                                          .in_flight = gateway_in_flight,
                                                          .context = g});
    return shared_begin(g);
}

void threads_stop(struct gateway *g) {
    for (unsigned i = 0; i < g->thread_count; i++)
        if (g->threads[i]->running) inbox_post(&g->threads[i]->worker.inbox, &g->threads[i]->stop);
    for (unsigned i = 0; i < g->thread_count; i++)
        if (g->threads[i]->running) pthread_join(g->threads[i]->id, NULL);
    recorder_stop(g->recorder);
    counts_stop(g->counts);   /* what the recorder has seen last is told, too */
    exports_stop(g->exports); /* the last records are with it; it reads what the workers counted */
    g->exports = NULL;
    resolver_free(g->resolver); /* it posts to the workers' inboxes and others', and they asked until here */
    g->resolver = NULL;
    counts_free(g->counts);
    for (unsigned i = 0; i < g->thread_count; i++) {
        worker_clear(&g->threads[i]->worker);
        mem_free(g->threads[i]);
    }
    g->thread_count = 0;
}
