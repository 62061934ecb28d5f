/* pipeline/stages.h: THE LIST of what an exchange walks through. Only stage_run() walks it; a stage never names or
 * calls another. Exchange stages run once and have a == NULL; attempt stages run once for each try at a target.
 *
 * `enter` is asked again each time something happened, until it does not say WAIT: so it looks at the facts noted on
 * the exchange and decides; whoever notes a fact calls stage_run(). */
#pragma once
#include "facts/failures.h"
#include "facts/phases.h"

struct exchange;
struct attempt;

enum step {
    STEP_NEXT,
    STEP_WAIT,  /* a callback or a deadline will call stage_run() again */
    STEP_FAIL,  /* x->failure says why */
    STEP_RETRY, /* this attempt is given up; another begins, from the first attempt stage */
};

struct stage {
    const char *name;
    enum phase phase; /* the ledger enters it when the stage begins */
    bool per_attempt;
    enum step (*enter)(struct exchange *x, struct attempt *a);
    void (*cancel)(struct exchange *x,
                   struct attempt *a); /* undoes what `enter` still waits for; idempotent; or NULL */
};

#define STAGES(X)                                                                                                      \
    X(RECEIVE, receive, RECEIVE, false) /* the request is read; key and size are judged at its head */                 \
    X(ADMIT, admit, ADMIT, false)       /* what the body says: valid, allowed */                                       \
    X(ROUTE, route, ADMIT, false)       /* model -> targets; the edits the body needs */                               \
    X(LIMITS, limits, ADMIT, false)     /* the tenant's limits: all that the request meets, or none */                 \
    X(QUEUE, queue, QUEUE, true)        /* an idle connection, or the right to open one */                             \
    X(CONNECT, connect, DNS, true)      /* resolve, connect, TLS; nothing on a reused one */                           \
    X(SEND, send, SEND, true)           /* head and body to the provider */                                            \
    X(WAIT, wait, WAIT, true)           /* until the answer's content begins */                                        \
    X(STREAM, stream, GENERATE, true)   /* the answer passes through */                                                \
    X(SETTLE, settle, DRAIN, false)     /* always runs: the record is made */

#define STAGE_ENUM(id, name, phase, per_attempt) STAGE_##id,
enum stage_id { STAGES(STAGE_ENUM) STAGE_COUNT };
#undef STAGE_ENUM

extern const struct stage stages[STAGE_COUNT];

void stage_run(struct exchange *x);                     /* walks on from where x stands */
void exchange_fail(struct exchange *x, enum failure f); /* ends it, from any state; the first reason stays */
void exchange_answered(struct exchange *x);             /* weir itself has answered: on to settle */
