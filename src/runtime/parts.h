/* runtime/parts.h: the parts of the running process, shared between the files of runtime/. All of it belongs to the
 * main thread. */
#pragma once
#include "admin/server.h"
#include "net/listener.h"
#include "pipeline/client.h"
#include "recorder/recorder.h"
#include "runtime/gateway.h"

enum { WORKERS_MAX = 64, LISTENERS_MAX = 64 };

struct gateway;

struct port { /* a data listener */
    struct gateway *gateway;
    int fd;
    struct listener *listener;
    struct tls_context *tls;
};

struct thread { /* a worker and what the main thread uses to reach it */
    struct worker worker;
    pthread_t id;
    struct message drain, cut, stop;
    _Atomic uint32_t handed_over; /* connections in its inbox that it has not seen yet */
    bool running;
};

struct gateway {
    struct snapshot *conf;
    struct loop *loop;
    struct port ports[LISTENERS_MAX];
    size_t port_count;
    struct thread *threads[WORKERS_MAX];
    unsigned thread_count;
    struct resolver *resolver;
    struct limiter *limiter;
    struct recorder *recorder;
    struct admin *admin;
    const struct traffic *traffics[WORKERS_MAX];
    const struct histogram *loop_lags[WORKERS_MAX];
    int admin_fd, signal_fd;
    struct event signal_event;
    struct timer tick; /* while connections are at their ceiling, or draining */
    uint64_t drain_until_ns;
    bool accepting, draining, cutting;
    _Atomic bool ready;
};

/* accept.c */
bool accept_open(struct gateway *g); /* opens all listening sockets; says on stderr what is wrong */
void accept_start(struct gateway *g);
void accept_stop(struct gateway *g);  /* closes them */
void accept_check(struct gateway *g); /* room again? */
uint64_t gateway_clients(void *gateway);
uint64_t gateway_in_flight(void *gateway);
/* drain.c */
void drain_begin(struct gateway *g);
void drain_cut(struct gateway *g);
void drain_check(struct gateway *g);
/* threads.c */
bool threads_start(struct gateway *g);
void threads_stop(struct gateway *g);
