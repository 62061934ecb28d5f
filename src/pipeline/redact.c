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

/* ---- in answers that are no errors ---- */

/* Every run of 12 bytes has a pair of neighbours at a multiple of 11. So only those pairs are looked at: is it one of
 * the secret's? Rarely; then how far the match goes is compared. */
enum { STRIDE = REDACT_RUN_MIN - 1, PAIR_BITS = 2048 };

struct echoes {
    struct slice secret;
    uint64_t pairs[PAIR_BITS / 64]; /* of the secret's neighbours, by hash */
    char tail[STRIDE];              /* what came last, as it came */
    size_t tail_length;
};

static unsigned pair_hash(const char *p) {
    return ((unsigned char)p[0] * 37u + (unsigned char)p[1]) % PAIR_BITS;
}

struct echoes *echoes_new(struct arena *arena, struct slice secret) {
    struct echoes *e = arena_zalloc(arena, sizeof *e);
    e->secret = secret;
    for (size_t i = 0; i + 1 < secret.n; i++) {
        unsigned hash = pair_hash(secret.p + i);
        e->pairs[hash / 64] |= UINT64_C(1) << hash % 64;
    }
    return e;
}

/* The longest match with any part of the secret that has the pair at p[at]; from *from on. */
static size_t match_around(struct slice secret, const char *p, size_t n, size_t at, size_t *from) {
    size_t longest = 0;
    for (size_t j = 0; j + 1 < secret.n; j++) {
        if (secret.p[j] != p[at] || secret.p[j + 1] != p[at + 1]) continue;
        size_t back = 0, ahead = 2;
        while (back < at && back < j && secret.p[j - back - 1] == p[at - back - 1]) back++;
        while (at + ahead < n && j + ahead < secret.n && secret.p[j + ahead] == p[at + ahead]) ahead++;
        if (back + ahead <= longest) continue;
        longest = back + ahead;
        *from = at - back;
    }
    return longest;
}

static void matches_blank(const struct echoes *e, char *p, size_t n) {
    for (size_t at = 0, from; at + 1 < n; at += STRIDE) {
        unsigned hash = pair_hash(p + at);
        if ((e->pairs[hash / 64] >> hash % 64 & 1) == 0) continue;
        size_t length = match_around(e->secret, p, n, at, &from);
        if (length >= REDACT_RUN_MIN) memset(p + from, '*', length);
    }
}

static void tail_keep(struct echoes *e, const char *p, size_t n) {
    size_t kept = n >= STRIDE ? 0 : e->tail_length < STRIDE - n ? e->tail_length : STRIDE - n;
    memmove(e->tail, e->tail + e->tail_length - kept, kept);
    size_t added = n < STRIDE ? n : STRIDE;
    memcpy(e->tail + kept, p + n - added, added);
    e->tail_length = kept + added;
}

/* A match that begins in what has gone out already: its rest is blanked. */
static size_t edge_take(const struct echoes *e, const char *p, size_t n, char edge[2 * STRIDE]) {
    size_t before = e->tail_length, head = n < STRIDE ? n : STRIDE;
    if (before == 0 || memchr(e->secret.p, e->tail[before - 1], e->secret.n) == NULL) return 0;
    memcpy(edge, e->tail, before);
    memcpy(edge + before, p, head);
    matches_blank(e, edge, before + head);
    memmove(edge, edge + before, head);
    return head;
}

void echoes_blank(struct echoes *e, char *p, size_t n) {
    char edge[2 * STRIDE];
    if (n == 0) return;
    size_t head = edge_take(e, p, n, edge);
    tail_keep(e, p, n);
    matches_blank(e, p, n);
    for (size_t i = 0; i < head; i++)
        if (edge[i] == '*') p[i] = '*';
}
