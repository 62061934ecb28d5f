/* pipeline/targets.h: which of an alias's targets a try goes to, and what its end says of the target. */
#pragma once
#include "pipeline/exchange.h"

struct choice {
    const struct alias *alias;
    enum dialect dialect;
    const uint8_t *tries;  /* of each target so far; NULL: none. Those with the fewest are chosen from */
    unsigned attempts_max; /* … and none with so many */
    uint64_t without;      /* bit per target: not this one */
    uint64_t now_ns;
};
/* A target that is worth a try, drawn by weight, or of two so drawn the one that is likely to answer sooner; NULL:
 * there is none. *probe: the try decides whether the target is used again, so its end must be told. */
const struct target *target_choose(struct choice *c, bool *probe);
/* When the first of those that speak the dialect may be tried again; UINT64_MAX: there are none. */
uint64_t targets_until_ns(const struct alias *a, enum dialect d);

void target_entered(struct attempt *a);    /* a try begins there */
void target_left(struct attempt *a);       /* … and is over: harmless when it was told before */
void target_succeeded(struct attempt *a);  /* the answer's content has begun, or the request was rejected */
void target_late(const struct attempt *a); /* another one was quicker */
void target_failed(struct attempt *a,
                   enum failure f); /* told more than once, or a failure of others, it is passed over */
