/* Ids of spans that follow from their exchange's: a bijective mix (the finaliser of splitmix64, Steele 2014) of its id
 * moved by an odd constant a step, so that two spans of one exchange cannot meet. */
#include "facts/span_ids.h"

#include <string.h>

static uint64_t mix(uint64_t z) {
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

void span_id_below(const uint8_t exchange[8], uint32_t which, uint8_t out[8]) {
    uint64_t own, below;
    memcpy(&own, exchange, sizeof own);
    /* The two values that must not come out are moved to steps no span has. */
    uint64_t step = (uint64_t)which + 1;
    do {
        below = mix(own + step * UINT64_C(0x9e3779b97f4a7c15));
        step += UINT64_C(1) << 33;
    } while (below == 0 || below == own);
    memcpy(out, &below, sizeof below);
}
