/* runtime/gateway.h: the running process: listeners, workers, recorder, admin; signals and shutting down. */
#pragma once
#include "conf/config.h"

struct gateway_options {
    struct config *config;                  /* taken over */
    const char *path;                       /* where SIGHUP loads it from again; borrowed; NULL: from nowhere */
    const char *program, *const *arguments; /* what SIGUSR2 starts in its place: a path and an argv; NULL: nothing */
    const char *pid_file;                   /* holds the serving process's id; NULL: none */
    /* Everything listens, on these ports (admin_port 0: there is none). From the main thread; may be NULL. */
    void (*started)(void *context, unsigned short data_port, unsigned short admin_port);
    void *context;
};

/* Runs until SIGTERM or SIGINT has been obeyed. Returns the process's exit status: 0 after an orderly end, 1 when it
 * could not start (what was wrong is on stderr). The process must have no other threads that take signals. */
int gateway_run(const struct gateway_options *o);
/* Before any thread is started: SIGPIPE ignored, the handled signals blocked, no core files (they would hold keys). */
void gateway_process_prepare(void);
