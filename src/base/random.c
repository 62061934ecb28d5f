/* xorshift128+ (Vigna 2014), one generator per thread, seeded from getrandom(2). Good enough for ids and
 * jitter; predictable from its output, so never used for secrets. */
#include "base/random.h"

#include <stdbool.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"

static void seed(uint64_t state[2]) {
    if (getrandom(state, 2 * sizeof state[0], GRND_NONBLOCK) != (ssize_t)(2 * sizeof state[0])) {
        state[0] = clock_now_ns() * UINT64_C(0x9e3779b97f4a7c15);
        state[1] = (uint64_t)(uintptr_t)state ^ clock_now_ns();
    }
    state[1] |= 1; /* the all-zero state is the one the generator cannot leave */
}

uint64_t random_u64(void) {
    static _Thread_local uint64_t state[2];
    static _Thread_local bool seeded;
    if (!seeded) {
        seed(state);
        seeded = true;
    }
    uint64_t a = state[0], b = state[1], result = a + b;
    state[0] = b;
    a ^= a << 23;
    state[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
    return result;
}

void random_id(uint8_t *out, int bytes) {
    for (int i = 0; i < bytes; i += 8) {
        uint64_t v;
        do v = random_u64();
        while (v == 0);
        memcpy(out + i, &v, 8);
    }
}
