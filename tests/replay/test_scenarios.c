/* Plays every scenario of the files given, each with its bytes whole, byte by byte and cut at random. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "play.h"

enum { RANDOM_CUTS = 6 };

static void scenario_test(void **state) {
    const struct scenario *s = *state;
    play_scenario(s, CUT_WHOLE, 1);
    if (s->whole_only) return;
    play_scenario(s, CUT_BYTES, 1);
    for (uint64_t seed = 1; seed <= RANDOM_CUTS; seed++) play_scenario(s, CUT_RANDOM, seed * 7919);
}

int main(int argc, char **argv) {
    struct script script = {0};
    for (int i = 1; i < argc; i++) script_load(&script, argv[i]);
    const char *only = getenv("SCENARIO"); /* part of a name */
    struct CMUnitTest *tests = calloc(script.count + 1, sizeof *tests);
    size_t count = 0;
    for (size_t i = 0; i < script.count; i++) {
        if (only != NULL && strstr(script.items[i].name, only) == NULL) continue;
        tests[count++] = (struct CMUnitTest){
            .name = script.items[i].name, .test_func = scenario_test, .initial_state = &script.items[i]};
    }
    int failed = count == 0 ? 1 : _cmocka_run_group_tests("scenarios", tests, count, NULL, NULL);
    free(tests);
    script_clear(&script);
    return failed;
}
