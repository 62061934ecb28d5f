/* The assembler puts the files behind each other (make runs in the project's root), so no second copy of what they
 * share exists. */
#include "scripts.h"

#include <pthread.h>

#define TEXT(name, files)                                                                                              \
    __asm__(".pushsection .rodata\n"                                                                                   \
            ".hidden limit_lua_" #name "\n.hidden limit_lua_" #name "_end\n"                                           \
            ".globl limit_lua_" #name "\n.globl limit_lua_" #name "_end\n"                                             \
            "limit_lua_" #name ":\n" files "limit_lua_" #name "_end:\n"                                                \
            ".popsection\n");                                                                                          \
    extern const char limit_lua_##name[], limit_lua_##name##_end[] __attribute__((visibility("hidden")));
#define ALONE(name) ".incbin \"lua/limit_" name ".lua\"\n"
#define WITH_STATE(name) ALONE("state") ALONE(name)

TEXT(take, WITH_STATE("take"))
TEXT(sync, WITH_STATE("sync"))
TEXT(view, WITH_STATE("view"))
TEXT(replicas, ALONE("replicas"))

static struct redis_script scripts[LIMIT_SCRIPT_COUNT];
static pthread_once_t scripts_once = PTHREAD_ONCE_INIT;

static void scripts_init(void) {
    /* Both symbols of a script bound one object, which the assembler made. */
#define INIT(id, name)                                                                                                 \
    redis_script_init(&scripts[LIMIT_SCRIPT_##id], SLICE("limit_" #name),                                              \
                      (struct slice){limit_lua_##name, (size_t)(limit_lua_##name##_end - limit_lua_##name)})
    // cppcheck-suppress comparePointers
    INIT(TAKE, take);
    // cppcheck-suppress comparePointers
    INIT(SYNC, sync);
    // cppcheck-suppress comparePointers
    INIT(VIEW, view);
    // cppcheck-suppress comparePointers
    INIT(REPLICAS, replicas);
}

const struct redis_script *limit_script(enum limit_script which) {
    pthread_once(&scripts_once, scripts_init);
    return &scripts[which];
}
