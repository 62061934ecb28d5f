/* otlp/destinations.h: from the configuration and the environment to the places that signals are sent to. */
#pragma once
#include "environment.h"
#include "semconv.h"
#include "sender.h"

enum { DESTINATIONS_MAX = 16 * SIGNAL_COUNT };

struct planned { /* one sender to be */
    enum signal signal;
    enum semconv dialect;
    struct destination to;
};
struct plan {
    struct planned items[DESTINATIONS_MAX];
    unsigned count;
};

/* False with a message that names the key or variable, and no secret. */
bool plan_make(struct plan *p, const struct config *c, const struct environment *e, char *error, size_t error_bytes);
void plan_clear(struct plan *p);
