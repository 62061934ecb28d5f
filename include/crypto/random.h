/* crypto/random.h: random bytes for secrets. */
#pragma once
#include <stddef.h>
void random_secret(void *out, size_t n); /* aborts when the system has no entropy to give */
void secret_wipe(void *p, size_t n);     /* not optimised away */
