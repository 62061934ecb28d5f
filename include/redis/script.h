/* redis/script.h: the Lua scripts that run inside Redis. Each is a file lua/NAME.lua, compiled into the binary byte for
 * byte, and a row here. Its header comment says what KEYS and ARGV are and what it returns. */
#pragma once
#include "base/slice.h"

#define REDIS_SCRIPTS(X)                                                                                               \
    X(probe)                                                                                                           \
    X(count)                                                                                                           \
    X(count_read)                                                                                                      \
    X(count_mark)

#define REDIS_SCRIPT_ENUM(name) REDIS_SCRIPT_##name,
enum redis_script_id { REDIS_SCRIPTS(REDIS_SCRIPT_ENUM) REDIS_SCRIPT_COUNT };
#undef REDIS_SCRIPT_ENUM

#define REDIS_SHA1_DIGITS 40
struct redis_script {
    struct slice name, source;        /* static storage, or the caller's */
    char sha1[REDIS_SHA1_DIGITS + 1]; /* lower-case hex: what EVALSHA calls it by */
};
const struct redis_script *redis_script(enum redis_script_id id); /* static storage; any thread */
/* One that is not compiled in: for tests. `source` must outlive it. */
void redis_script_init(struct redis_script *s, struct slice name, struct slice source);
