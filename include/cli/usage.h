/* cli/usage.h: what all commands do alike with how they were called. */
#pragma once

#include <stdbool.h>

/* Is `--help` or `-h` among the arguments, wherever? */
bool cli_help_asked(int argc, char **argv);

/* Says on stderr what is wrong with `argument` (NULL: it is not to be shown) and how the command is used; returns the
 * exit status, 2. `wrong` NULL: the argument is not known, or lacks its value. */
int cli_bad_usage(const char *command, const char *argument, const char *wrong, const char *help);
