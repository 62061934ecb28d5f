/* Edits to a body that stays as it came. Kept sorted, so that the walk is one pass: original, replacement, original …
 * The cursor counts pieces: 2i is the original before edit i, 2i + 1 its replacement. Copies nothing. */
#include "json/splice.h"

#include <assert.h>

/* Does an edit at `offset` go in front of `e`? An insertion goes in front of what is replaced at the same place. */
static bool comes_before(const struct edit *e, uint64_t offset, uint64_t length) {
    return e->offset > offset || (e->offset == offset && e->length > 0 && length == 0);
}

void splice_add(struct splice *s, uint64_t offset, uint64_t length, struct slice replacement) {
    assert(s->count < SPLICE_EDITS_MAX);
    assert(length <= UINT64_MAX - offset);
    unsigned at = s->count;
    while (at > 0 && comes_before(&s->edits[at - 1], offset, length)) {
        s->edits[at] = s->edits[at - 1];
        at--;
    }
    s->edits[at] = (struct edit){offset, length, replacement};
    s->count++;
    assert(at == 0 || s->edits[at - 1].offset + s->edits[at - 1].length <= offset);
    assert(at + 1 == s->count || offset + length <= s->edits[at + 1].offset);
}

uint64_t splice_length(const struct splice *s, uint64_t original_length) {
    uint64_t length = original_length;
    for (unsigned i = 0; i < s->count; i++) {
        assert(s->edits[i].offset + s->edits[i].length <= original_length);
        length = length - s->edits[i].length + s->edits[i].replacement.n;
    }
    return length;
}

static struct splice_run piece(const struct splice *s, uint64_t original_length, unsigned number) {
    unsigned i = number / 2;
    if (number % 2 == 1) return (struct splice_run){.literal = s->edits[i].replacement};
    uint64_t from = i > 0 ? s->edits[i - 1].offset + s->edits[i - 1].length : 0;
    uint64_t to = i < s->count ? s->edits[i].offset : original_length;
    assert(from <= to && to <= original_length);
    return (struct splice_run){.offset = from, .n = to - from};
}

bool splice_next(const struct splice *s, uint64_t original_length, unsigned *cursor, struct splice_run *run) {
    while (*cursor <= 2 * s->count) {
        *run = piece(s, original_length, (*cursor)++);
        if (run->n > 0 || run->literal.n > 0) return true;
    }
    return false;
}
