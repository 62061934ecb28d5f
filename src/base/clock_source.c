/* Where time comes from: the one file that asks the system. It stands alone so that a program which is linked with
 * these two functions of its own lives in its own time (the replay tests do). */
#include <time.h>

#include "base/clock.h"

static uint64_t read_clock(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_now_ns(void) {
    return read_clock(CLOCK_MONOTONIC);
}

int64_t clock_real_ns(void) {
    return (int64_t)read_clock(CLOCK_REALTIME);
}
