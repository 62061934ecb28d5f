/* base/random.h: fast pseudo-random numbers for identifiers, jitter and sampling. Not for secrets (see
 * crypto/random.h). */
#pragma once
#include <stdint.h>

uint64_t random_u64(void);               /* per-thread generator, seeded from the kernel */
void random_id(uint8_t *out, int bytes); /* 8 or 16 bytes, never all zero (W3C Trace Context 2.2.2.3) */
