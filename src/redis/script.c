/* The scripts compiled in: the assembler reads lua/NAME.lua (make runs in the project's root), so no generator and no
 * second copy exist. Their SHA-1 is computed once, when the first is asked for. */
#include "redis/script.h"

#include <pthread.h>

#include "crypto/digest.h"

#define SCRIPT_TEXT(name)                                                                                              \
    __asm__(".pushsection .rodata\n"                                                                                   \
            ".hidden redis_lua_" #name "\n"                                                                            \
            ".hidden redis_lua_" #name "_end\n"                                                                        \
            ".globl redis_lua_" #name "\n"                                                                             \
            ".globl redis_lua_" #name "_end\n"                                                                         \
            "redis_lua_" #name ":\n"                                                                                   \
            ".incbin \"lua/" #name ".lua\"\n"                                                                          \
            "redis_lua_" #name "_end:\n"                                                                               \
            ".popsection\n");                                                                                          \
    extern const char redis_lua_##name[], redis_lua_##name##_end[] __attribute__((visibility("hidden")));
REDIS_SCRIPTS(SCRIPT_TEXT)

static struct redis_script scripts[REDIS_SCRIPT_COUNT];
static pthread_once_t scripts_once = PTHREAD_ONCE_INIT;

void redis_script_init(struct redis_script *s, struct slice name, struct slice source) {
    uint8_t digest[DIGEST_SHA1_BYTES];
    s->name = name;
    s->source = source;
    digest_sha1(source, digest);
    hex_encode(digest, sizeof digest, s->sha1);
    s->sha1[REDIS_SHA1_DIGITS] = '\0';
}

static void scripts_init(void) {
    /* Both symbols of a script bound one object, which the assembler made. */
#define SCRIPT_INIT(name)                                                                                              \
    redis_script_init(&scripts[REDIS_SCRIPT_##name], SLICE(#name),                                                     \
                      (struct slice){redis_lua_##name, (size_t)(redis_lua_##name##_end - redis_lua_##name)});
    // cppcheck-suppress comparePointers
    REDIS_SCRIPTS(SCRIPT_INIT)
}

const struct redis_script *redis_script(enum redis_script_id id) {
    pthread_once(&scripts_once, scripts_init);
    return &scripts[id];
}
