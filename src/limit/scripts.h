/* limit/scripts.h: the limiter's scripts: lua/limit_state.lua with one of the others behind it, and one that stands
 * alone. */
#pragma once
#include "redis/script.h"

enum limit_script {
    LIMIT_SCRIPT_TAKE,
    LIMIT_SCRIPT_SYNC,
    LIMIT_SCRIPT_VIEW,
    LIMIT_SCRIPT_REPLICAS,
    LIMIT_SCRIPT_COUNT
};
const struct redis_script *limit_script(enum limit_script which); /* static storage; any thread */
