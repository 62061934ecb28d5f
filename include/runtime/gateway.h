/* runtime/gateway.h: the running process: listeners, workers, recorder, admin; signals and shutting down. */
#pragma once
#include "conf/config.h"

struct gateway_options {
    struct config *config; /* taken over */
    void (*started)(void *context,
                    unsigned short data_port); /* everything listens; from the main thread; may be NULL */
    void *context;
};

/* Runs until SIGTERM or SIGINT has been obeyed. Returns the process's exit status: 0 after an orderly end, 1 when it
 * could not start (what was wrong is on stderr). The process must have no other threads that take signals. */
int gateway_run(const struct gateway_options *o);
/* Before any thread is started: SIGPIPE ignored, the handled signals blocked, no core files (they would hold keys). */
void gateway_process_prepare(void);
