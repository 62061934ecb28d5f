/* Starting and stopping the worker threads. */
#include <pthread.h>
#include <stdio.h>
#include <sys/sysinfo.h>

#include "base/mem.h"
#include "parts.h"

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

static void cut_run(struct message *m, void *context) {
    (void)m;
    worker_cut(context);
}

static void stop_run(struct message *m, void *context) {
    (void)m;
    struct worker *w = context;
    worker_end(w);
    loop_stop(w->loop);
}

static unsigned workers_wanted(const struct config *c) {
    uint64_t n = c->workers != 0 ? c->workers : (uint64_t)get_nprocs();
    return n > WORKERS_MAX ? WORKERS_MAX : n < 1 ? 1 : (unsigned)n;
}

bool threads_start(struct gateway *g) {
    const struct config *c = g->conf->config;
    char message[256];
    unsigned wanted = workers_wanted(c);
    struct recorder_options o = {.replica = c->instance.name.text,
                                 .access_file = c->log.access_file.text.p,
                                 .access = c->log.access != CONFIG_ACCESS_NONE,
                                 .rings = wanted};
    g->recorder = recorder_start(&o, message, sizeof message);
    if (g->recorder == NULL) {
        fprintf(stderr, "weir: log.access: %s\n", message);
        return false;
    }
    for (unsigned i = 0; i < wanted; i++) {
        struct thread *t = mem_zalloc(sizeof *t);
        worker_init(&t->worker, i, g->conf, g->resolver, recorder_ring(g->recorder, i));
        t->worker.limiter = g->limiter;
        t->worker.record_ready = recorder_wake;
        t->worker.record_context = g->recorder;
        t->drain.run = drain_run;
        t->cut.run = cut_run;
        t->stop.run = stop_run;
        g->threads[g->thread_count] = t;
        g->loop_lags[g->thread_count] = &t->worker.loop_lag;
        g->traffics[g->thread_count++] = &t->worker.traffic;
        t->running = pthread_create(&t->id, NULL, worker_run, t) == 0;
        if (!t->running) {
            fprintf(stderr, "weir: a worker thread could not be started\n");
            return false;
        }
    }
    return true;
}

void threads_stop(struct gateway *g) {
    for (unsigned i = 0; i < g->thread_count; i++)
        if (g->threads[i]->running) inbox_post(&g->threads[i]->worker.inbox, &g->threads[i]->stop);
    for (unsigned i = 0; i < g->thread_count; i++)
        if (g->threads[i]->running) pthread_join(g->threads[i]->id, NULL);
    resolver_free(g->resolver); /* it posts to the workers' inboxes, and they asked until here */
    g->resolver = NULL;
    recorder_stop(g->recorder);
    for (unsigned i = 0; i < g->thread_count; i++) {
        worker_clear(&g->threads[i]->worker);
        mem_free(g->threads[i]);
    }
    g->thread_count = 0;
}
