/* Random edits on a random body: the runs, put together, must be what editing a copy from the back to the front gives.
 */
/* fuzz-sources: src/json/splice.c src/base/buf.c src/base/json_text.c src/base/mem.c src/base/slice.c */
#include <assert.h>
#include <stdlib.h>

#include "base/buf.h"
#include "json/splice.h"

struct draw {
    const uint8_t *p;
    size_t n;
};

static unsigned draw_below(struct draw *d, size_t limit) {
    if (d->n == 0 || limit == 0) return 0;
    d->n--;
    return (unsigned)(*d->p++ % limit);
}

static const char original[] = "the quick brown fox jumps over the lazy dog";

/* Edits that follow each other without overlap; no two begin at the same place, so their order is given. */
static unsigned draw_edits(struct draw *d, struct edit edits[SPLICE_EDITS_MAX], size_t length) {
    static const char *const replacements[] = {"", "x", "\"stream_options\":{\"include_usage\":true},", "null"};
    unsigned count = draw_below(d, SPLICE_EDITS_MAX + 1);
    uint64_t from = 0;
    for (unsigned i = 0; i < count; i++) {
        if (from > length) return i;
        uint64_t offset = from + draw_below(d, length - from + 1);
        uint64_t n = draw_below(d, length - offset + 1);
        edits[i] = (struct edit){offset, n, slice_of(replacements[draw_below(d, 4)])};
        from = offset + (n > 0 ? n : 1);
    }
    return count;
}

static struct buf model(const struct edit *edits, unsigned count, size_t length) {
    struct buf out = {0};
    buf_reserve(&out, 1);
    uint64_t at = 0;
    for (unsigned i = 0; i < count; i++) {
        buf_append(&out, original + at, edits[i].offset - at);
        buf_append_slice(&out, edits[i].replacement);
        at = edits[i].offset + edits[i].length;
    }
    buf_append(&out, original + at, length - at);
    return out;
}

static void add_in_any_order(struct draw *d, struct splice *s, const struct edit *edits, unsigned count) {
    bool added[SPLICE_EDITS_MAX] = {false};
    for (unsigned left = count; left > 0; left--) {
        unsigned pick = draw_below(d, left), i = 0;
        while (added[i] || pick-- > 0) i++;
        added[i] = true;
        splice_add(s, edits[i].offset, edits[i].length, edits[i].replacement);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct draw d = {data, size};
    struct edit edits[SPLICE_EDITS_MAX];
    size_t length = draw_below(&d, sizeof(original));
    unsigned count = draw_edits(&d, edits, length);
    struct splice s = {0};
    add_in_any_order(&d, &s, edits, count);
    struct buf expected = model(edits, count, length), out = {0};
    struct splice_run run;
    unsigned cursor = 0;
    buf_reserve(&out, 1);
    while (splice_next(&s, length, &cursor, &run)) {
        assert((run.literal.n > 0) != (run.n > 0));
        if (run.literal.n > 0)
            buf_append_slice(&out, run.literal);
        else
            buf_append(&out, original + run.offset, run.n);
    }
    assert(slice_equal(buf_slice(&out), buf_slice(&expected)));
    assert(splice_length(&s, length) == buf_length(&out));
    buf_clear(&out), buf_clear(&expected);
    return 0;
}
