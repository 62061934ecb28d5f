/* cli/terminal.h: a terminal taken over for drawing, and given back as it was, whatever ends the program. */
#pragma once
#include <stdbool.h>

bool terminal_open(void); /* false: standard input and output are not both a terminal */
void terminal_close(void);
void terminal_size(unsigned *width, unsigned *height);

enum terminal_event {
    TERMINAL_TIMEOUT,
    TERMINAL_KEY,     /* *key */
    TERMINAL_RESIZED, /* or shown again */
    TERMINAL_QUIT,    /* a signal, or nobody is there any more */
};
/* Waits. Suspends and comes back by itself when asked to by the user (Ctrl-Z). */
enum terminal_event terminal_wait(int timeout_ms, char *key);
