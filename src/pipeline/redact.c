/* Finding echoes of a secret in a stream. run[j] is the length of the match that ends at the current byte and at
 * secret[j]: the common-substring recurrence, one row at a time. Up to 11 bytes are held back because they may turn out
 * to begin an echo. */
#include "redact.h"

struct redactor {
    struct slice secret;
    uint16_t *run; /* one per character of the secret */
    char held[REDACT_RUN_MIN];
    size_t held_length;
    struct arena *arena;
    char *out;
    size_t out_capacity;
};

struct redactor *redactor_new(struct arena *arena, struct slice secret) {
    struct redactor *r = arena_zalloc(arena, sizeof *r);
    r->secret = secret;
    r->arena = arena;
    r->run = arena_zalloc(arena, (secret.n + 1) * sizeof *r->run);
    return r;
}

/* Advances the matches by one byte; returns the longest one that ends here. */
static size_t run_advance(struct redactor *r, char c) {
    size_t longest = 0;
    for (size_t j = r->secret.n; j > 0; j--) {
        uint16_t length = r->secret.p[j - 1] == c ? (uint16_t)(r->run[j - 1] + 1) : 0;
        r->run[j] = length;
        if (length > longest) longest = length;
    }
    return longest;
}

struct slice redact_take(struct redactor *r, struct slice data) {
    if (data.n == 0) return data;
    size_t length = r->held_length + data.n;
    if (length > r->out_capacity) {
        r->out_capacity = length > 2 * r->out_capacity ? length : 2 * r->out_capacity;
        r->out = arena_alloc(r->arena, r->out_capacity);
    }
    memcpy(r->out, r->held, r->held_length);
    memcpy(r->out + r->held_length, data.p, data.n);
    size_t open = 0; /* how many of the last bytes may still become part of an echo */
    for (size_t i = r->held_length; i < length; i++) {
        open = run_advance(r, r->out[i]);
        if (open < REDACT_RUN_MIN) continue;
        /* A match that took over from a longer one may reach back beyond this call: those bytes are blank already. */
        size_t blank = open == REDACT_RUN_MIN ? (i + 1 < open ? i + 1 : open) : 1;
        memset(r->out + i + 1 - blank, '*', blank);
    }
    r->held_length = open >= REDACT_RUN_MIN ? 0 : open < length ? open : length;
    size_t ready = length - r->held_length;
    memcpy(r->held, r->out + ready, r->held_length);
    return (struct slice){r->out, ready};
}

struct slice redact_end(struct redactor *r) {
    struct slice rest = {r->held, r->held_length};
    r->held_length = 0;
    return rest;
}
