/* cli/commands.h: the commands. Each takes its own name as argv[0], prints its own --help, and returns the exit status:
 * 0, 1 on failure, 2 on bad usage. One row here is all a new command takes. */
#pragma once

#define COMMANDS(X)                                                                                                    \
    X(serve, "run the gateway (--demo needs no configuration)")                                                        \
    X(check, "check a configuration; --print shows every value in effect")                                             \
    X(mock, "a provider for demos, tests and benches")                                                                 \
    X(key, "make a tenant's key, or the digest of one")                                                                \
    X(top, "what a running gateway does right now, as a table")

#define COMMAND_DECLARE(name, help) int cli_##name(int argc, char **argv);
COMMANDS(COMMAND_DECLARE)
#undef COMMAND_DECLARE
