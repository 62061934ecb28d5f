/* pipeline/failover.h: where an exchange goes when a try fails: another target of its alias, the same one after a
 * while, then the aliases behind it. Made for aliases that are configured so; every other exchange has one try. */
#pragma once
#include "http/head.h"
#include "pipeline/exchange.h"

enum { FAILOVER_ATTEMPTS_MAX = 16 }; /* tries of one exchange in all, those over stale connections included */

struct failover {
    const struct alias *first, *alias; /* the client's alias; the one whose targets are tried now */
    size_t chain_next;                 /* of first->chain */
    uint8_t tries[ALIAS_TARGETS_MAX];  /* of alias's targets */
    /* What the body's edits are made of for each target anew. */
    struct splice inject; /* asks for usage; none: it has been asked for, or there is nothing to ask */
    bool model_in_body;
    uint64_t model_begin, model_end;
    struct attempt *rival; /* beside x->attempt; in the arena; NULL: there is none */
    bool raced;            /* there was one: once is enough */
    struct loss *losses;   /* what given-up attempts used */
};

/* What it must know of the body it takes from x->facts, which are not looked at again. */
struct failover *failover_new(struct exchange *x, const struct alias *a);
/* The target to begin with, one try of it counted; NULL: there is none that could be asked now. */
const struct target *failover_first(struct exchange *x);
uint64_t failover_until_ns(const struct exchange *x); /* when the first of all may be asked; UINT64_MAX: never */
/* A head has come: is the answer to be held, because another try could take its place? */
bool failover_holds(const struct attempt *a);
