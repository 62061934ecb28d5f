/* limit/window.h: no more than N in any 60 s, as 61 slots of one second: whatever instant 60 s end at, the slots they
 * touch are all counted. Not thread-safe; every `now_ns` is the monotonic clock's and may run a little behind. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum { WINDOW_SLOTS = 61 };

struct window {      /* zero-initialise */
    uint64_t second; /* of the newest slot */
    uint64_t sum;
    uint32_t counts[WINDOW_SLOTS]; /* by second modulo WINDOW_SLOTS */
};

void window_advance(struct window *w, uint64_t now_ns);
/* The following expect window_advance() with the same time. */
static inline bool window_fits(const struct window *w, uint64_t max) {
    return w->sum < max;
}
void window_add(struct window *w);
uint64_t window_retry_ns(const struct window *w, uint64_t max, uint64_t now_ns); /* until one more fits; 0: now */
uint64_t window_reset_ns(const struct window *w, uint64_t now_ns);               /* until it is empty */
