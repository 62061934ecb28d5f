/* runtime/parts.h: the parts of the running process, shared between the files of runtime/. All of it belongs to the
 * main thread. */
#pragma once
#include "admin/server.h"
#include "crypto/digest.h"
#include "limit/waiting.h"
#include "net/listener.h"
#include "otlp/export.h"
#include "pipeline/client.h"
#include "recorder/counts.h"
#include "recorder/recorder.h"
#include "runtime/gateway.h"

enum { WORKERS_MAX = 64, LISTENERS_MAX = 64 };

struct gateway;

struct port { /* a data listener */
    struct gateway *gateway;
    char *address; /* as configured: by which a reload knows it again */
    int fd;
    struct listener *listener;
    struct tls_context *tls;         /* NULL: plain HTTP */
    uint8_t tls_print[DIGEST_BYTES]; /* of its files */
};

struct ports {
    struct port *items[LISTENERS_MAX];
    size_t count;
};

struct generation; /* a configuration and who still uses it */
struct reload;     /* a configuration being loaded */
struct upgrade;    /* a process that takes over from this one */
struct takeover;   /* one that this one has taken over from */

struct thread { /* a worker and what the main thread uses to reach it */
    struct worker worker;
    pthread_t id;
    struct message drain, leave, cut, stop;
    struct timer stopping;                   /* the worker's loop: ends when nothing waits for Redis any more */
    uint64_t stop_until_ns;                  /* … at most until then */
    struct message clear[ORIGINS_MAX];       /* by slot: this origin's pool is to go */
    struct message *backlog, **backlog_tail; /* what its inbox had no room for */
    _Atomic uint32_t handed_over;            /* connections in its inbox that it has not seen yet */
    bool running;
};

struct gateway {
    pthread_mutex_t conf_lock;      /* main changes `conf` under it; another thread that reads through it holds it */
    struct snapshot *conf;          /* the newest */
    struct generation *generations; /* all that are in use, the newest first */
    struct origins *origins;
    const char *path;                       /* of the configuration; NULL: there is no file */
    const char *program, *const *arguments; /* to start it anew; NULL: that cannot be done */
    const char *pid_file;
    struct upgrade *upgrade;
    bool upgrade_asked; /* while a reload was under way */
    struct takeover *takeover;
    struct reload *reload;
    bool reload_again; /* asked for while one was under way */
    struct loop *loop;
    struct inbox inbox;
    struct ports ports;
    struct thread *threads[WORKERS_MAX];
    unsigned thread_count;
    struct resolver *resolver;
    struct limiter *limiter;
    struct usage_book *usage;
    struct waiting *waiting;
    struct redis *redis;   /* NULL: state.backend is memory */
    char *redis_prefix;    /* of its keys; a reload may free the configuration's */
    struct counts *counts; /* with redis */
    uint64_t boot;         /* this process among those that share it: random */
    struct recorder *recorder;
    struct exports *exports; /* NULL: nothing is exported */
    struct exemplars *exemplars;
    struct live *live;
    struct admin *admin;
    const struct traffic *traffics[WORKERS_MAX];
    const struct histogram *loop_lags[WORKERS_MAX];
    int admin_fd, signal_fd;
    char *admin_address; /* where admin_fd listens, as it was configured then */
    struct event signal_event;
    struct timer retry; /* while a worker's inbox is full */
    struct timer tick;  /* while connections are at their ceiling, or draining */
    uint64_t drain_until_ns;
    bool accepting, handing_over, draining, leaving, cutting;
    _Atomic bool ready;
    _Atomic uint64_t reloads_good, reloads_bad;
    _Atomic int64_t reloaded_unix_s; /* when the running configuration was loaded */
    _Atomic bool reload_was_good;
};

/* gateway.c */
void errors_print(struct conf_errors *errors); /* to stderr, and clears them */
/* accept.c */
void accept_start(struct gateway *g);
void accept_stop(struct gateway *g); /* closes the listening sockets */
/* The new ports replace those there are: the same address keeps its socket, one that is gone is accepted from for a
 * last time. Takes over what is in `next`. */
void accept_follow(struct gateway *g, struct ports *next);
void accept_check(struct gateway *g); /* room again? */
void accept_pause(struct gateway *g); /* while another process gets ready to */
void accept_resume(struct gateway *g);
uint64_t gateway_clients(void *gateway);
uint64_t gateway_in_flight(void *gateway);
/* ports.c */
/* What the configuration listens on, with certificates read and sockets opened, or taken from `inherited`, but where
 * `known` has that address already: then fd is -1. Any thread. False with everything that is wrong in `errors`. */
bool ports_make(const struct config *c, const struct ports *known, struct takeover *inherited, struct ports *out,
                struct conf_errors *errors);
struct port *ports_find(const struct ports *p, const char *address);
void port_free(struct port *p); /* closes its socket */
void ports_clear(struct ports *p);
/* generation.c */
struct generation *generation_add(struct gateway *g, struct snapshot *conf,
                                  unsigned workers); /* the newest from here on */
void generations_adopt(struct gateway *g);           /* every worker moves on to the newest */
void generations_free(struct gateway *g);            /* the workers have ended */
struct pin *generation_pin(struct generation *n, unsigned worker);
/* reload.c */
void reload_begin(struct gateway *g);
void reload_stop(struct gateway *g); /* waits for the loader, drops what it brings */
/* upgrade.c */
void upgrade_begin(struct gateway *g);
void upgrade_child_ended(struct gateway *g);
void upgrade_cancel(struct gateway *g); /* unless the new process serves already */
void upgrade_stop(struct gateway *g);   /* says the last of what was settled */
/* drain.c */
void drain_begin(struct gateway *g);
void drain_leave(struct gateway *g); /* another process has taken over */
void drain_cut(struct gateway *g);
void drain_check(struct gateway *g);
/* shared.c */
bool shared_open(struct gateway *g);  /* says on stderr what is wrong */
bool shared_begin(struct gateway *g); /* … when the threads that count are there */
void shared_close(struct gateway *g);
void shared_join(struct gateway *g, struct worker *w); /* before its thread begins */
/* In the worker's thread, at its end: what was settled is told, as long as that may take. */
void shared_leave(struct thread *t);
bool shared_has_left(const struct thread *t);
/* threads.c */
unsigned threads_wanted(const struct config *c); /* how many workers it asks for */
bool threads_start(struct gateway *g);           /* says on stderr what is wrong */
void threads_stop(struct gateway *g);
void thread_post(struct gateway *g, struct thread *t, struct message *m); /* sooner or later; in order */
void threads_retry(struct gateway *g);
