/* The list of stages and the one function that walks it. The hard part is that any stage may end the exchange: a
 * failure undoes what the running stage still waits for, answers the client if that is still possible, and goes on at
 * `settle`, which always runs. */
#include "pipeline/stages.h"

#include <assert.h>

#include "pipeline/exchange.h"
#include "race.h"
#include "respond.h"
#include "steps.h"

#define STAGE_ROW(id, name, phase, per_attempt)                                                                        \
    [STAGE_##id] = {#name, PHASE_##phase, per_attempt, name##_enter, name##_cancel},
const struct stage stages[STAGE_COUNT] = {STAGES(STAGE_ROW)};
#undef STAGE_ROW

static struct attempt *stage_attempt(struct exchange *x) {
    return stages[x->stage].per_attempt ? x->attempt : NULL;
}

static void stage_move(struct exchange *x, enum stage_id next) {
    if (stages[next].per_attempt && !x->attempting) attempt_begin(x);
    x->stage = next;
    exchange_phase(x, stages[next].phase, x->worker->loop->now_ns);
}

void stage_run(struct exchange *x) {
    while (!x->settled) {
        switch (stages[x->stage].enter(x, stage_attempt(x))) {
        case STEP_WAIT:
            return;
        case STEP_FAIL:
            if (stages[x->stage].per_attempt && attempt_survives(x->attempt, x->failure)) break;
            exchange_fail(x, x->failure);
            return;
        case STEP_RETRY:
            attempt_again(x->attempt);
            x->stage = STAGE_QUEUE;
            exchange_phase(x, stages[STAGE_QUEUE].phase, x->worker->loop->now_ns);
            break;
        case STEP_NEXT:
            if (x->stage + 1 < STAGE_COUNT && !x->settled) stage_move(x, x->stage + 1);
            break;
        }
    }
}

void exchange_answered(struct exchange *x) {
    if (x->stage == STAGE_SETTLE) return;
    race_end(x);
    if (stages[x->stage].cancel != NULL) stages[x->stage].cancel(x, stage_attempt(x));
    if (!x->attempting) exchange_phase(x, PHASE_ADMIT, x->worker->loop->now_ns); /* deciding and answering was weir's */
    x->stage = STAGE_SETTLE;
    exchange_phase(x, PHASE_DRAIN, loop_stamp(x->worker->loop));
    stage_run(x);
}

void exchange_fail(struct exchange *x, enum failure f) {
    assert(f != FAILURE_NONE);
    if (x->settled) return;
    if (x->stage == STAGE_SETTLE && x->answer_ended && f != FAILURE_CLIENT_GONE && f != FAILURE_CLIENT_STALLED) return;
    if (x->source == SOURCE_NONE || f == FAILURE_CLIENT_GONE) {
        x->failure = f;
        x->source = failure_row(f)->source;
    }
    bool client_left = f == FAILURE_CLIENT_GONE || f == FAILURE_CLIENT_STALLED || x->client == NULL;
    if (!x->answer_ended) {
        if (client_left) {
            if (!x->answered) x->status = failure_row(f)->status;
            x->answer_ended = true;
        } else if (x->answered) {
            respond_broken(x, f);
        } else {
            respond_error(x, f);
        }
    }
    if (client_left) x->broken = true;
    if (x->stage == STAGE_SETTLE)
        stage_run(x);
    else
        exchange_answered(x);
}
