/* Random bytes from the kernel, for secrets, and wiping them. No generator of our own: secrets are rarely made. */
#include "crypto/random.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

void random_secret(void *out, size_t n) {
    char *at = out;
    while (n > 0) {
        ssize_t got = getrandom(at, n, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) {
            fputs("weir: the system gives no random bytes\n", stderr);
            abort();
        }
        at += got;
        n -= (size_t)got;
    }
}

void secret_wipe(void *p, size_t n) {
    if (n > 0) explicit_bzero(p, n);
}
