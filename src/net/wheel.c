/* The timer wheel. A timer stays in the slot it was filed in while its owner moves the due time away; the slot's turn
 * then files it again, so that moving a deadline with every read costs one store. The hard part is that `fire` may set
 * or cancel any timer: slots are emptied into the `due` list first, and every timer is judged once more when it is
 * taken from there. It does not read the clock. */
#include "net/wheel.h"

#include <assert.h>

enum { FIRES_PER_TURN = 256 };

static uint64_t slot_of(const struct wheel *w, uint64_t due_ns) {
    return due_ns / w->slot_ns + (due_ns % w->slot_ns != 0);
}

void wheel_init(struct wheel *w, uint64_t now_ns, uint64_t slot_ns) {
    *w = (struct wheel){.slot_ns = slot_ns, .next_slot = now_ns / slot_ns, .armed_slot = UINT64_MAX};
}

static void list_push(struct timer **head, struct timer *t) {
    t->next = *head;
    t->link = head;
    if (t->next != NULL) t->next->link = &t->next;
    *head = t;
}

static void file(struct wheel *w, struct timer *t) {
    uint64_t slot = slot_of(w, t->due_ns);
    if (slot < w->next_slot) slot = w->next_slot;
    if (slot - w->next_slot >= WHEEL_SLOTS) slot = w->next_slot + WHEEL_SLOTS - 1;
    size_t at = slot % WHEEL_SLOTS;
    list_push(&w->slots[at], t);
    w->occupied[at / 64] |= UINT64_C(1) << (at % 64);
    t->filed_slot = slot;
    w->count++;
    if (slot < w->armed_slot) {
        w->armed_slot = slot;
        if (w->rearm != NULL) w->rearm(w, slot * w->slot_ns);
    }
}

static void unfile(struct wheel *w, struct timer *t) {
    assert(t->link != NULL);
    *t->link = t->next;
    if (t->next != NULL) t->next->link = t->link;
    t->next = NULL;
    t->link = NULL;
    w->count--;
    size_t at = t->filed_slot % WHEEL_SLOTS;
    if (w->slots[at] == NULL) w->occupied[at / 64] &= ~(UINT64_C(1) << (at % 64));
}

void timer_set(struct wheel *w, struct timer *t, uint64_t due_ns) {
    t->due_ns = due_ns;
    if (due_ns == TIMER_NEVER) return;
    if (t->link != NULL) {
        if (slot_of(w, due_ns) >= t->filed_slot) return;
        unfile(w, t);
    }
    file(w, t);
}

void timer_cancel(struct wheel *w, struct timer *t) {
    t->due_ns = TIMER_NEVER;
    if (t->link != NULL) unfile(w, t);
}

/* The first occupied slot at or after `slot`, as a distance from it; WHEEL_SLOTS when there is none. */
static uint64_t distance_to_occupied(const struct wheel *w, uint64_t slot) {
    size_t start = slot % WHEEL_SLOTS;
    for (size_t i = 0; i <= WHEEL_SLOTS / 64; i++) {
        size_t word = (start / 64 + i) % (WHEEL_SLOTS / 64);
        uint64_t bits = w->occupied[word];
        if (i == 0) bits &= UINT64_MAX << (start % 64);
        if (i == WHEEL_SLOTS / 64) bits &= ~(UINT64_MAX << (start % 64));
        if (bits == 0) continue;
        size_t at = word * 64 + (size_t)__builtin_ctzll(bits);
        return (at + WHEEL_SLOTS - start) % WHEEL_SLOTS;
    }
    return WHEEL_SLOTS;
}

uint64_t wheel_next_ns(const struct wheel *w) {
    if (w->due != NULL) return 0;
    uint64_t distance = distance_to_occupied(w, w->next_slot);
    return distance == WHEEL_SLOTS ? TIMER_NEVER : (w->next_slot + distance) * w->slot_ns;
}

/* Timers whose time has come move to the tail of `due`; the others are filed anew, those set to never leave. filed_slot
 * 0 keeps timer_set() from moving a timer out of `due`: it is judged again when it is taken. The list is taken off its
 * slot first, because a timer filed anew may land in the same one. */
static void slot_empty(struct wheel *w, size_t at, uint64_t now_slot, struct timer ***tail) {
    struct timer *t = w->slots[at];
    w->slots[at] = NULL;
    w->occupied[at / 64] &= ~(UINT64_C(1) << (at % 64));
    for (struct timer *next; t != NULL; t = next) {
        next = t->next;
        t->next = NULL;
        t->link = NULL;
        w->count--;
        if (t->due_ns == TIMER_NEVER) continue;
        if (slot_of(w, t->due_ns) > now_slot) {
            file(w, t);
            continue;
        }
        list_push(*tail, t);
        *tail = &t->next;
        t->filed_slot = 0;
        w->count++;
    }
}

static void due_collect(struct wheel *w, uint64_t now_slot) {
    struct timer **tail = &w->due;
    assert(w->due == NULL);
    uint64_t first = w->next_slot, span = now_slot - first + 1;
    if (span > WHEEL_SLOTS) span = WHEEL_SLOTS;
    w->next_slot = now_slot + 1;
    for (uint64_t i = 0; i < span; i++) {
        i += distance_to_occupied(w, first + i);
        if (i < span) slot_empty(w, (first + i) % WHEEL_SLOTS, now_slot, &tail);
    }
}

bool wheel_advance(struct wheel *w, uint64_t now_ns) {
    uint64_t now_slot = now_ns / w->slot_ns;
    w->armed_slot = 0; /* nothing filed from here on is earlier: one rearm at the end is enough */
    for (unsigned fired = 0; fired < FIRES_PER_TURN;) {
        if (w->due == NULL && w->next_slot <= now_slot) due_collect(w, now_slot);
        struct timer *t = w->due;
        if (t == NULL) break;
        unfile(w, t);
        if (t->due_ns == TIMER_NEVER) continue;
        if (slot_of(w, t->due_ns) > now_slot) {
            file(w, t);
            continue;
        }
        t->due_ns = TIMER_NEVER;
        t->fire(t);
        fired++;
    }
    uint64_t next = wheel_next_ns(w);
    w->armed_slot = next == TIMER_NEVER ? UINT64_MAX : next / w->slot_ns;
    if (next != TIMER_NEVER && w->rearm != NULL) w->rearm(w, next);
    return w->due != NULL;
}
