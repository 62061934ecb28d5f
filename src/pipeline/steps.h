/* pipeline/steps.h: the functions in the list of stages. */
#pragma once
#include "pipeline/stages.h"

#define STEP_DECLARE(id, name, phase, per_attempt)                                                                     \
    enum step name##_enter(struct exchange *x, struct attempt *a);                                                     \
    void name##_cancel(struct exchange *x, struct attempt *a);
STAGES(STEP_DECLARE)
#undef STEP_DECLARE

/* FAILURE_NONE, or why the newest configuration would not let its caller in any more. */
enum failure admit_key_again(const struct exchange *x);
