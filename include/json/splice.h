/* json/splice.h: edits to a body that is never changed: a sorted handful of (offset, length, replacement), applied
 * while the body is sent. */
#pragma once
#include "base/slice.h"

#define SPLICE_EDITS_MAX 4
struct edit {
    uint64_t offset, length;  /* bytes of the original that go out of the way; length 0 inserts */
    struct slice replacement; /* borrowed: lives in the exchange's arena */
};
struct splice {
    struct edit edits[SPLICE_EDITS_MAX];
    unsigned count;
};
/* In any order; aborts on an overlap. Insertions at one place keep the order they were added in, and go in front of an
 * edit that replaces the bytes there. */
void splice_add(struct splice *s, uint64_t offset, uint64_t length, struct slice replacement);
uint64_t splice_length(const struct splice *s, uint64_t original_length); /* Content-Length of the result */

/* Walks the result as runs, none empty: either `literal` is set, or bytes [offset, offset + n) of the original. *cursor
 * starts at 0. */
struct splice_run {
    struct slice literal;
    uint64_t offset, n;
};
bool splice_next(const struct splice *s, uint64_t original_length, unsigned *cursor, struct splice_run *run);
