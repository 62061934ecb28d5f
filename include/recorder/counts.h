/* recorder/counts.h: tells Redis once a second what this replica has counted, so that any replica can answer for all of
 * them. On a thread of its own: Redis may be slow or gone without anything else noticing.
 *
 * What is told is state, not change: a field is all that this process has counted of a group in a slot. Telling it
 * twice counts nothing twice; what could not be told, or was lost in Redis, is told later from what is kept here
 * anyway. */
#pragma once
#include "net/resolver.h"
#include "redis/redis.h"
#include "telemetry/usage.h"

struct counts_options {
    struct redis *redis;       /* borrowed, like all of them, until counts_free() */
    struct resolver *resolver; /* … until counts_stop() has returned */
    struct usage_book *usage;
    struct slice prefix; /* copied */
    uint64_t replica;    /* this process among all that ever tell: drawn at its start */
};

struct counts;
struct counts *counts_start(const struct counts_options *o); /* NULL: no thread could be started */
/* Tells what is left, for at most a second, and ends its thread. After the recorder, before the resolver. */
void counts_stop(struct counts *c);
void counts_free(struct counts *c); /* after the resolver; NULL is allowed */
