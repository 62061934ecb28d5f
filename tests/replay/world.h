/* tests/replay/world.h: one worker with everything around it, in one thread and in time of its own. The pipeline, its
 * loop, its connections and the loopback sockets are real; the test holds the other end of every socket and moves the
 * clock, so that a run depends on nothing but its script. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fakes.h"
#include "limit/waiting.h"
#include "pipeline/client.h"

enum { PEERS_MAX = 256 };

struct peer { /* the test's end of a socket */
    int fd;   /* -1: closed by the test */
    struct buf got, unsent;
    bool paused;         /* nothing is read from the socket */
    unsigned short port; /* the ephemeral one of the two, by which its connection in the loop is known */
    bool ended, reset;   /* the gateway has ended its side, or reset it */
};

struct world {
    struct worker *worker;
    struct origins *origins;
    struct snapshot *conf;
    struct pin pin;
    struct limiter *limiter;
    struct waiting *waiting;
    struct resolver *resolver;
    struct ring *records;
    int front, back; /* listening: clients are connected through one, the provider is the other */
    char *port;      /* of `back` */
    struct peer clients[PEERS_MAX], providers[PEERS_MAX];
    unsigned client_count, provider_count;
    bool connects_held, draining;
    size_t blocks_before_bytes; /* in the whole process: a test that failed before has left some */
};

/* Settings are lines of YAML: of the whole configuration, and of each provider. */
void world_open(struct world *w, const char *settings, const char *provider_settings);
/* Closes what is open and judges: nothing under way, nothing held, nothing leaked, no record left unread. */
void world_close(struct world *w);

void world_settle(struct world *w);                     /* until nothing is ready any more; time stands still */
void world_advance(struct world *w, uint64_t until_ns); /* … and to that instant, by way of every timer due before */
static inline uint64_t world_ns(void) {
    return fake_clock_ns() - FAKE_EPOCH_NS;
}

struct peer *world_client(struct world *w, bool narrow); /* connects one; narrow: with small socket buffers */
void peer_send(struct peer *p, const char *bytes, size_t n);
void peer_end(struct peer *p);   /* no more will be sent */
void peer_close(struct peer *p); /* an orderly end when everything was read */
void peer_reset(struct peer *p);

void world_connects_hold(struct world *w, bool hold); /* new connections to the provider stay under way */
void world_refuse(struct world *w);                   /* … and from here on are refused */
void world_busy(struct world *w, uint64_t ns);        /* the worker works for others before it looks at what is ready */
void world_drain(struct world *w);
void world_leave(struct world *w); /* another process has taken over */
void world_cut(struct world *w);

const struct record *world_record(struct world *w); /* the oldest, until world_record_done(); NULL: none */
void world_record_done(struct world *w);
