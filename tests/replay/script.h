/* tests/replay/script.h: scenarios as text (scenarios/README.md tells how they are written). */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum actor { ACTOR_CLIENT, ACTOR_PROVIDER, ACTOR_NETWORK, ACTOR_WORKER, ACTOR_RECORD };

struct step { /* one line */
    unsigned line;
    uint64_t at_ns;
    enum actor actor;
    unsigned number; /* client 2 is 1 */
    char *text;      /* what it does, `$` names replaced */
};

struct scenario {
    const char *file;
    unsigned line;
    char *name, *settings, *provider_settings;
    bool whole_only; /* its bytes are not cut */
    struct step *steps;
    size_t step_count;
};

struct script {
    struct scenario *items;
    size_t count;
};

void script_load(struct script *s, const char *path); /* adds a file's scenarios; says what is wrong and exits */
void script_clear(struct script *s);
/* 5ms, 1.5s, 7us, 300.000001ms, 0. False when it is no time. */
bool time_read(const char *text, size_t n, uint64_t *ns);
