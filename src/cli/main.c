/* The program: picks the command. */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"

static const struct {
    const char *name, *help;
    int (*run)(int argc, char **argv);
} commands[] = {
#define COMMAND_ROW(name, help) {#name, help, cli_##name},
    COMMANDS(COMMAND_ROW)
#undef COMMAND_ROW
};

static void usage(FILE *out) {
    fputs("weir: an LLM gateway that knows where each millisecond and each token went\n\nusage: weir COMMAND "
          "[options]\n\n",
          out);
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
    fputs("\n`weir COMMAND --help` tells more. Try: weir serve --demo\n", out);
}

/* Started with one of them closed, the next file opened would get its number, and a socket the lines of a log. */
static void standard_files_fill(void) {
    int fd;
    do {
        fd = open("/dev/null", O_RDWR);
    } while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd >= 0) close(fd);
}

int main(int argc, char **argv) {
    standard_files_fill();
    if (argc < 2) {
        usage(stderr);
        return 2;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 || strcmp(argv[1], "help") == 0) {
        usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0) {
        puts("weir " WEIR_VERSION);
        return 0;
    }
    for (size_t i = 0; i < sizeof commands / sizeof commands[0]; i++)
        if (strcmp(argv[1], commands[i].name) == 0) return commands[i].run(argc - 1, argv + 1);
    fprintf(stderr, "weir: there is no command `%s`\n", argv[1]);
    usage(stderr);
    return 2;
}
