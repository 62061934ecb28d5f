/* tests/unit/llm/replay.h: feeds one answer to an observer in many cuts and says what must have been observed. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "llm/observe.h"

#define DATA(json) "data: " json "\n\n"
#define STEP_NS 1000u /* event i ends at (i + 1) * STEP_NS, however it is cut */
#define VERDICTS_MAX 64

struct expected {
    const char *verdicts; /* one letter an event: - pass, T token, U usage only, X error, E end */
    uint32_t input, output, cache_read, cache_write, cache_write_1h, reasoning, hidden, chunks;
    bool input_unknown, output_unknown, unterminated, failed;
    int first_token, first_visible; /* event number from 1; 0 none, -1 not looked at */
    uint64_t text_bytes, provider_ns;
    const char *finish, *model;
};

struct fixture {
    const char *name;
    enum dialect dialect;
    enum operation operation;
    const char *type, *body;
    enum answer_shape shape;
    struct expected expected;
};

struct replay {
    struct observation seen;
    enum answer_shape shape;
    bool started;
    char verdicts[VERDICTS_MAX + 1];
    size_t events;
};

static uint32_t replay_random(uint32_t *state) { /* xorshift: the same cuts in every run */
    *state ^= *state << 13, *state ^= *state >> 17, *state ^= *state << 5;
    return *state;
}

/* cut 0: whole; 1: byte by byte; else pieces of random size, seeded by it. */
static struct replay replay_cut(const struct fixture *f, uint32_t cut) {
    struct replay r = {0};
    void *memory = malloc(observer_bytes());
    struct observer *o = observer_init(memory, f->dialect, f->operation, true, slice_of(f->type), 200);
    size_t n = strlen(f->body), at = 0;
    while (at < n) {
        size_t piece = cut == 0 ? n - at : cut == 1 ? 1 : 1 + replay_random(&cut) % 24;
        if (piece > n - at) piece = n - at;
        char *exact = malloc(piece); /* of its own, so that a sanitizer sees every byte read past it */
        memcpy(exact, f->body + at, piece);
        size_t used = 0;
        while (used < piece) {
            bool ended;
            enum event_verdict verdict;
            size_t taken = observer_take(o, exact + used, piece - used, (r.events + 1) * STEP_NS, &ended, &verdict);
            assert_true(taken > 0 && taken <= piece - used);
            if (!ended) assert_int_equal(taken, piece - used);
            used += taken;
            if (!ended) continue;
            if (r.events < VERDICTS_MAX) r.verdicts[r.events] = "-TUXE"[verdict];
            r.events++;
        }
        free(exact);
        at += piece;
    }
    observer_end(o, (r.events + 1) * STEP_NS);
    observer_end(o, (r.events + 7) * STEP_NS);
    r.seen = *observer_seen(o);
    r.shape = observer_shape(o);
    r.started = observer_started(o);
    free(memory);
    return r;
}

#define EXPECT(what, got, want)                                                                                        \
    do {                                                                                                               \
        long long got_ = (long long)(got), want_ = (long long)(want);                                                  \
        if (got_ != want_) fail_msg("%s (cut %u): %s is %lld, not %lld", f->name, cut, what, got_, want_);             \
    } while (0)

static void expect_text(const struct fixture *f, uint32_t cut, const char *what, struct slice got, const char *want) {
    if (!slice_equal(got, slice_of(want ? want : "")))
        fail_msg("%s (cut %u): %s is \"%.*s\", not \"%s\"", f->name, cut, what, (int)got.n, got.p, want ? want : "");
}

static void expect_usage(const struct fixture *f, uint32_t cut, const struct usage *u) {
    const struct expected *e = &f->expected;
    EXPECT("input", u->input, e->input);
    EXPECT("output", u->output, e->output);
    EXPECT("cache_read", u->cache_read, e->cache_read);
    EXPECT("cache_write", u->cache_write, e->cache_write);
    EXPECT("cache_write_1h", u->cache_write_1h, e->cache_write_1h);
    EXPECT("reasoning", u->reasoning, e->reasoning);
    EXPECT("input_known", u->input_known, !e->input_unknown);
    EXPECT("output_known", u->output_known, !e->output_unknown);
    EXPECT("estimated", u->estimated, false);
}

static void expect_replay(const struct fixture *f, uint32_t cut) {
    struct replay r = replay_cut(f, cut);
    const struct observation *seen = &r.seen;
    const struct expected *e = &f->expected;
    expect_usage(f, cut, &seen->usage);
    EXPECT("shape", r.shape, f->shape);
    EXPECT("chunks", seen->chunks, e->chunks);
    EXPECT("hidden_tokens", seen->hidden_tokens, e->hidden);
    EXPECT("terminated", seen->terminated, !e->unterminated);
    EXPECT("failed", seen->failed, e->failed);
    EXPECT("text_bytes", seen->text_bytes, e->text_bytes);
    EXPECT("provider_ns", seen->provider_ns, e->provider_ns);
    if (e->first_token >= 0) EXPECT("first_token", seen->first_token_ns, (uint64_t)e->first_token * STEP_NS);
    if (e->first_visible >= 0) EXPECT("first_visible", seen->first_visible_ns, (uint64_t)e->first_visible * STEP_NS);
    expect_text(f, cut, "finish", (struct slice){seen->finish, seen->finish_length}, e->finish);
    expect_text(f, cut, "model", (struct slice){seen->model, seen->model_length}, e->model);
    expect_text(f, cut, "verdicts", slice_of(r.verdicts), e->verdicts);
}

static inline void expect_fixtures(const struct fixture *fixtures, size_t count) {
    for (size_t i = 0; i < count; i++) {
        expect_replay(&fixtures[i], 0);
        expect_replay(&fixtures[i], 1);
        for (uint32_t seed = 2; seed < 60; seed++) expect_replay(&fixtures[i], seed * 2654435761u);
    }
}
