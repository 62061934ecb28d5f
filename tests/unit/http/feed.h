/* Feeds a head to the parser the way a connection does: bytes arrive in pieces, the end is looked for after each, and
 * as long as there is none the part is judged. The outcome must not depend on the cuts. */
#pragma once
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "http/head.h"

enum { FEED_WAITS = FAILURE_COUNT }; /* outcome: neither refused nor complete */

static const struct head_limits feed_limits = {.uri_bytes = 8192, .header_bytes = 65536, .fields = 100};

struct feed {
    struct http_head head;
    struct field fields[HEAD_FIELDS_MAX];
    const struct head_limits *limits;
    bool answer, answers_head_request;
    size_t used; /* bytes of the head, when it was complete */
};

static inline uint32_t feed_random(uint32_t *seed) {
    return *seed = *seed * 1664525u + 1013904223u, *seed >> 8;
}

static inline int feed_judge(struct feed *f, const char *p, size_t n, size_t *scanned) {
    size_t length = head_end(p, n, scanned);
    f->used = length;
    if (length == 0) {
        enum failure failure =
            f->answer ? head_check_partial_answer(p, n, f->limits) : head_check_partial(p, n, f->limits);
        return failure == FAILURE_NONE ? FEED_WAITS : (int)failure;
    }
    struct slice raw = {p, length};
    if (f->answer) return (int)head_parse_answer(&f->head, raw, f->fields, f->limits, f->answers_head_request);
    return (int)head_parse_request(&f->head, raw, f->fields, f->limits);
}

/* step 0: whole; 1: byte by byte; else random pieces of up to `step` bytes. `p` must outlive the use of f->head. */
static inline int feed_run(struct feed *f, struct slice bytes, size_t step, uint32_t seed) {
    size_t have = 0, scanned = 0;
    int outcome = FEED_WAITS;
    if (f->limits == NULL) f->limits = &feed_limits;
    while (have < bytes.n && outcome == FEED_WAITS) {
        size_t piece = step == 0 ? bytes.n : step == 1 ? 1 : 1 + feed_random(&seed) % step;
        have = bytes.n - have < piece ? bytes.n : have + piece;
        /* an exact copy, so that reading past what came is seen by the address sanitizer */
        char *exact = mem_alloc(have);
        memcpy(exact, bytes.p, have);
        outcome = feed_judge(f, exact, have, &scanned);
        mem_free(exact);
        if (outcome != FEED_WAITS && f->used != 0) outcome = feed_judge(f, bytes.p, have, &(size_t){0});
    }
    return outcome;
}

static inline const char *feed_name(int outcome) {
    if (outcome == FEED_WAITS) return "(waits)";
    return outcome == FAILURE_NONE ? "(accepted)" : failure_row((enum failure)outcome)->name;
}

/* Checks that every way to cut the bytes has the expected outcome; prints the input when not. */
static inline void feed_expect(const struct feed *how, struct slice bytes, int expected) {
    static const size_t steps[] = {0, 1, 3, 7, 40, 400};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct feed f = *how;
        int outcome = feed_run(&f, bytes, steps[i], (uint32_t)(bytes.n * 31 + i));
        if (outcome != expected)
            fail_msg("cut by %zu: %s, expected %s: %.*s", steps[i], feed_name(outcome), feed_name(expected),
                     (int)(bytes.n < 300 ? bytes.n : 300), bytes.p);
    }
}

static inline void feed_parse(struct feed *f, struct slice bytes) {
    int outcome = feed_run(f, bytes, 0, 0);
    if (outcome != FAILURE_NONE) fail_msg("%s: %.*s", feed_name(outcome), (int)bytes.n, bytes.p);
}

#define assert_slice(actual, expected)                                                                                 \
    do {                                                                                                               \
        struct slice actual_ = (actual), expected_ = slice_of(expected);                                               \
        if (!slice_equal(actual_, expected_))                                                                          \
            fail_msg("\"%.*s\" is not \"%s\"", (int)actual_.n, actual_.p ? actual_.p : "", expected);                  \
    } while (0)
