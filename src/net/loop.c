/* The event loop: one libevent pass a turn, then the deferred tasks, then the closed connections are freed. The hard
 * part is time: the first callback of a turn sets the wake-up stamp, each callback's end is the next one's begin, so
 * that a turn reads the clock once per callback. It does not know what its events are for. */
#include "net/loop.h"

#include <assert.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/mem.h"
#include "conn_private.h"

static void wheel_rearm(struct wheel *w, uint64_t due_ns) {
    struct loop *l = CONTAINER_OF(w, struct loop, wheel);
    uint64_t now = clock_now_ns();
    uint64_t wait_us = due_ns > now ? (due_ns - now + NS_PER_US - 1) / NS_PER_US : 0;
    struct timeval wait = {(time_t)(wait_us / 1000000), (suseconds_t)(wait_us % 1000000)};
    event_add(&l->wheel_event, &wait);
}

#define LATE_NS (100 * NS_PER_MS)
enum { LATE_TURNS_MAX = 16 };

/* Timers that are this late mean that the process did not run: stopped, frozen, starved. What has arrived meanwhile
 * moves deadlines, and has not been looked at: a wait that a stop interrupts returns without it, and one returns a part
 * only. So sockets come first, until a turn finds none ready. */
static bool looks_first(struct loop *l, bool found_some, uint64_t now_ns) {
    uint64_t armed = l->wheel.armed_slot;
    bool late = armed != 0 && armed != UINT64_MAX && now_ns > armed * l->wheel.slot_ns + LATE_NS;
    if (!late || l->late_turns >= LATE_TURNS_MAX || (l->late_turns > 0 && !found_some)) {
        l->late_turns = 0;
        return false;
    }
    l->late_turns++;
    return true;
}

static void wheel_turn(evutil_socket_t fd, short what, void *context) {
    (void)fd, (void)what;
    struct loop *l = context;
    bool found_some = l->in_turn; /* timers are last in a turn */
    uint64_t now_ns = loop_callback_begin(l);
    if (looks_first(l, found_some, now_ns))
        wheel_rearm(&l->wheel, now_ns);
    else
        wheel_advance(&l->wheel, now_ns);
    loop_callback_end(l);
}

static struct event_base *base_new(bool precise) {
    struct event_config *config = event_config_new();
    assert(config != NULL);
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    if (precise) event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER);
    event_config_require_features(config, EV_FEATURE_ET | EV_FEATURE_EARLY_CLOSE);
    struct event_base *base = event_base_new_with_config(config);
    event_config_free(config);
    assert(base != NULL);
    return base;
}

static struct loop *loop_make(uint64_t slot_ns) {
    struct loop *l = mem_zalloc(sizeof *l);
    l->base = base_new(slot_ns < WHEEL_SLOT_NS);
    l->scratch = mem_alloc(LOOP_SCRATCH_BYTES);
    l->tasks_tail = &l->tasks;
    wheel_init(&l->wheel, loop_stamp(l), slot_ns);
    l->wake_ns = l->now_ns;
    l->wheel.rearm = wheel_rearm;
    event_assign(&l->wheel_event, l->base, -1, 0, wheel_turn, l);
    return l;
}

struct loop *loop_new(void) {
    return loop_make(WHEEL_SLOT_NS);
}

struct loop *loop_new_precise(void) {
    return loop_make(WHEEL_SLOT_NS / 16);
}

void loop_free(struct loop *l) {
    if (l == NULL) return;
    loop_conns_close(l);
    event_del(&l->wheel_event);
    event_base_free(l->base);
    mem_free(l->tls_scratch);
    mem_free(l->scratch);
    mem_free(l);
}

uint64_t loop_stamp(struct loop *l) {
    return l->now_ns = clock_now_ns();
}

uint64_t loop_callback_begin(struct loop *l) {
    if (!l->in_turn) {
        l->in_turn = true;
        l->wake_ns = loop_stamp(l);
    }
    return l->now_ns;
}

uint64_t loop_callback_end(struct loop *l) {
    if (!l->end_stamped) return loop_stamp(l);
    l->end_stamped = false;
    return l->now_ns;
}

uint64_t loop_callback_ends(struct loop *l) {
    l->end_stamped = true;
    return loop_stamp(l);
}

void loop_defer(struct loop *l, struct loop_task *task) {
    if (task->queued) return;
    task->queued = true;
    task->next = NULL;
    *l->tasks_tail = task;
    l->tasks_tail = &task->next;
}

void loop_undefer(struct loop *l, struct loop_task *task) {
    if (!task->queued) return;
    struct loop_task **at = &l->tasks;
    while (*at != NULL && *at != task) at = &(*at)->next;
    assert(*at == task);
    *at = task->next;
    if (task->next == NULL) l->tasks_tail = at;
    task->queued = false;
}

/* Runs the tasks queued so far; what they queue themselves waits for the next turn, which then does not sleep. */
static void tasks_run(struct loop *l) {
    struct loop_task *task = l->tasks;
    l->tasks = NULL;
    l->tasks_tail = &l->tasks;
    while (task != NULL) {
        struct loop_task *next = task->next;
        task->queued = false;
        loop_callback_begin(l);
        task->run(task);
        loop_callback_end(l);
        task = next;
    }
}

/* One pass over what is ready, then what was deferred. Returns what libevent says: 1 when it has no event left. */
static int turn(struct loop *l, int flags) {
    l->in_turn = false;
    l->handshakes = 0;
    int left = event_base_loop(l->base, EVLOOP_ONCE | flags);
    assert(left >= 0);
    tasks_run(l);
    loop_conns_reap(l);
    l->turns++;
    return left;
}

void loop_run(struct loop *l) {
    while (!l->stopping) {
        bool idle = l->tasks == NULL;
        int left = turn(l, idle ? 0 : EVLOOP_NONBLOCK);
        if (left == 1 && idle && l->tasks == NULL) break;
    }
    l->in_turn = false;
    l->stopping = false;
}

bool loop_turn(struct loop *l) {
    if (wheel_next_ns(&l->wheel) <= clock_now_ns()) event_active(&l->wheel_event, EV_TIMEOUT, 0);
    turn(l, EVLOOP_NONBLOCK);
    bool busy = l->in_turn;
    l->in_turn = false;
    return busy;
}

void loop_stop(struct loop *l) {
    l->stopping = true;
}
