/* How a command was called: the question for help, and the answer to what it cannot be called with. */
#include "cli/usage.h"

#include <stdio.h>
#include <string.h>

bool cli_help_asked(int argc, char **argv) {
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) return true;
    return false;
}

int cli_bad_usage(const char *command, const char *argument, const char *wrong, const char *help) {
    if (wrong == NULL) wrong = "not known, or its value is missing";
    fprintf(stderr, "weir %s: %s%s%s\n\n", command, argument != NULL ? argument : "", argument != NULL ? ": " : "",
            wrong);
    fputs(help, stderr);
    return 2;
}
