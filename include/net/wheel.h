/* net/wheel.h: deadlines for ten thousand connections at the price of a store each. A timer's owner moves `due_ns`
 * forward freely (`timer_set`): the wheel looks at it when the old slot comes and files it again. 4 ms slots; one
 * libevent timer for the next slot that is not empty; at most 256 expiries a turn, the rest in the next. Not
 * thread-safe. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WHEEL_SLOT_NS (UINT64_C(4) * 1000000) /* a loop's usual slot */
#define WHEEL_SLOTS 4096                      /* 16 s a turn of the wheel; later deadlines are looked at once a turn */
#define TIMER_NEVER UINT64_MAX

struct timer {                  /* embedded by its owner; zero-initialise */
    struct timer *next, **link; /* in a slot's list; link NULL = not filed */
    uint64_t due_ns, filed_slot;
    void (*fire)(struct timer *t); /* called from the loop; may set or cancel any timer, its own included */
};

struct wheel {
    uint64_t slot_ns;
    struct timer *slots[WHEEL_SLOTS];
    uint64_t occupied[WHEEL_SLOTS / 64];
    struct timer *due;   /* taken from their slots, to be fired; what one turn's ceiling leaves stays here */
    uint64_t next_slot;  /* absolute number of the next slot to look at */
    uint64_t armed_slot; /* the slot `rearm` was last told; UINT64_MAX none */
    size_t count;        /* timers filed */
    void (*rearm)(struct wheel *w, uint64_t due_ns); /* set by the loop: the earliest slot changed; may be NULL */
};

void wheel_init(struct wheel *w, uint64_t now_ns, uint64_t slot_ns);
/* Fires at or up to one slot after due_ns, never before. TIMER_NEVER: as timer_cancel, but cheap. */
void timer_set(struct wheel *w, struct timer *t, uint64_t due_ns);
void timer_cancel(struct wheel *w, struct timer *t);
uint64_t wheel_next_ns(const struct wheel *w); /* when to look next; TIMER_NEVER when empty */
/* Fires what is due; true when the per-turn ceiling was reached and more is due now. */
bool wheel_advance(struct wheel *w, uint64_t now_ns);
