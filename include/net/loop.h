/* net/loop.h: one event loop per thread on libevent's raw events. A turn is: wait, run the callbacks of everything that
 * is ready, run the deferred tasks, free the connections closed meanwhile. All callbacks of a turn share one wake-up
 * stamp: what had arrived is timed by it. The process must ignore SIGPIPE before it makes a loop: nothing here touches
 * signals. */
#pragma once
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>

#include "net/wheel.h"

#define LOOP_SCRATCH_BYTES ((size_t)65536)

struct loop_task { /* embedded by its owner; runs once at the end of the turn, before the loop sleeps again */
    struct loop_task *next;
    void (*run)(struct loop_task *task);
    bool queued;
};

struct loop {
    struct event_base *base; /* EVENT_BASE_FLAG_NOLOCK: this thread only */
    struct wheel wheel;
    struct event wheel_event;
    uint64_t wake_ns; /* when this turn's wait returned */
    uint64_t now_ns;  /* the latest stamp taken: by loop_stamp(), at each callback's begin and end */
    struct loop_task *tasks, **tasks_tail;
    char *scratch;       /* LOOP_SCRATCH_BYTES, for one recv at a time */
    char *tls_scratch;   /* owned by conn; made with the first TLS connection */
    struct conn *conns;  /* open ones: freed with the loop if nobody closes them */
    struct conn *closed; /* closed this turn: freed at its end */
    size_t conn_count;
    unsigned handshakes; /* TLS handshake steps taken this turn (ceiling: 4) */
    unsigned late_turns; /* turns in a row in which late timers let sockets go first */
    bool in_turn, stopping, end_stamped;
    uint64_t turns;
};

struct conn;

struct loop *loop_new(void);         /* never NULL: aborts when the system has no epoll to give */
struct loop *loop_new_precise(void); /* timers to 250 µs: for what paces things, at the price of more wake-ups */
void loop_free(struct loop *l);      /* closes what connections are left, calls nobody; queued tasks are dropped */
void loop_run(struct loop *l); /* until loop_stop(), which only this thread calls, or nothing is left to wait for */
void loop_stop(struct loop *l);
/* One turn that does not wait, for who drives a loop in time of its own: timers fire that are due by clock_now_ns().
 * False when there was nothing to do. */
bool loop_turn(struct loop *l);
uint64_t loop_stamp(struct loop *l); /* reads the clock; sets and returns now_ns */
/* Every event callback begins with this (before anything is timed): the first of a turn takes the turn's wake_ns.
 * Returns the callback's begin stamp, which is the end of the callback before it: one clock reading a callback. */
uint64_t loop_callback_begin(struct loop *l);
uint64_t loop_callback_end(struct loop *l); /* reads the clock; sets and returns now_ns */
/* The callback's work ends here, says its owner: reads the clock, and loop_callback_end() will not do so again. */
uint64_t loop_callback_ends(struct loop *l);
void loop_defer(struct loop *l, struct loop_task *task);   /* harmless when already queued */
void loop_undefer(struct loop *l, struct loop_task *task); /* … when not queued; not from a task of the same turn */
