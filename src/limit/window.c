/* The sliding window of requests. Counts are exact but for the second they are kept by: a request is forgotten between
 * 60 and 61 s after it came, never before. */
#include "window.h"

#include <string.h>

#include "base/clock.h"

void window_advance(struct window *w, uint64_t now_ns) {
    uint64_t second = now_ns / NS_PER_S;
    if (second <= w->second) return; /* another thread's clock reading is a little newer */
    if (second - w->second >= WINDOW_SLOTS) {
        memset(w->counts, 0, sizeof w->counts);
        w->sum = 0;
        w->second = second;
        return;
    }
    while (w->second < second) {
        uint32_t *slot = &w->counts[++w->second % WINDOW_SLOTS];
        w->sum -= *slot;
        *slot = 0;
    }
}

void window_add(struct window *w) {
    w->counts[w->second % WINDOW_SLOTS]++;
    w->sum++;
}

/* The slot of second s is forgotten when second s + WINDOW_SLOTS begins. */
static uint64_t forgotten_ns(uint64_t second, uint64_t now_ns) {
    uint64_t at_ns = (second + WINDOW_SLOTS) * NS_PER_S;
    return at_ns > now_ns ? at_ns - now_ns : 0;
}

uint64_t window_retry_ns(const struct window *w, uint64_t max, uint64_t now_ns) {
    uint64_t left = w->sum;
    for (uint64_t age = WINDOW_SLOTS; age-- > 0 && left >= max;) {
        if (age > w->second) continue;
        left -= w->counts[(w->second - age) % WINDOW_SLOTS];
        if (left < max) return forgotten_ns(w->second - age, now_ns);
    }
    return 0;
}

uint64_t window_reset_ns(const struct window *w, uint64_t now_ns) {
    if (w->sum == 0) return 0;
    for (uint64_t age = 0; age < WINDOW_SLOTS && age <= w->second; age++)
        if (w->counts[(w->second - age) % WINDOW_SLOTS] != 0) return forgotten_ns(w->second - age, now_ns);
    return 0;
}
