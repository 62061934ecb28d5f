/* tests/replay/fakes.h: what replaced parts of the system look like to a test. Linked in front of the libraries, their
 * definitions take the place of base/clock_source.c and net/resolver.c; everything else is the real thing. */
#pragma once
#include "net/resolver.h"

#define FAKE_EPOCH_NS (UINT64_C(1000000) * 1000000) /* where a world's time begins: 1000 s, on a slot of the wheel */

void fake_clock_set(uint64_t now_ns);
uint64_t fake_clock_ns(void); /* without the reading's own cost */
/* Each reading of the clock takes up to so many nanoseconds, drawn from `seed`; 0: time stands still while code runs.
 */
void fake_clock_tick(uint64_t tick_max_ns, uint64_t seed);

/* The resolver knows every name as 127.0.0.1 and says so at once, unless it is told to hold its answers back. */
void fake_names_hold(bool hold);
void fake_names_answer(bool found); /* gives what was held back: the address, or that there is none */

uint64_t random_next(uint64_t *state); /* xorshift64: the same in every run */
