/* pipeline/steps.h: the functions in the list of stages. */
#pragma once
#include "pipeline/stages.h"

#define STEP_DECLARE(id, name, phase, per_attempt)                                                                     \
    enum step name##_enter(struct exchange *x, struct attempt *a);                                                     \
    void name##_cancel(struct exchange *x, struct attempt *a);
STAGES(STEP_DECLARE)
#undef STEP_DECLARE
