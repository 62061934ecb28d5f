/* base/buf.h: a growable byte queue in one piece. An empty buffer holds no memory, so ten thousand idle connections
 * cost nothing. The owner enforces its ceiling. */
#pragma once
#include "base/slice.h"

struct buf {
    char *data; /* owned; NULL while empty */
    size_t start, end, capacity;
};

static inline size_t buf_length(const struct buf *b) {
    return b->end - b->start;
}
static inline struct slice buf_slice(const struct buf *b) {
    return b->data == NULL ? (struct slice){NULL, 0} : (struct slice){b->data + b->start, b->end - b->start};
}
void buf_append_u64(struct buf *b, uint64_t value);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
void buf_grow(struct buf *b, size_t n); /* makes room for n more bytes */
void buf_commit(struct buf *b, size_t n);
void buf_consume(struct buf *b, size_t n); /* drops n bytes at the front; frees the memory when that empties it */
void buf_clear(struct buf *b);             /* drops everything and frees the memory */

/* Room for n more bytes; write there, then buf_commit(). Inline, as heads are written in many small pieces. */
static inline char *buf_reserve(struct buf *b, size_t n) {
    if (b->data == NULL || b->capacity - b->end < n) buf_grow(b, n);
    return b->data + b->end;
}

static inline void buf_append(struct buf *b, const void *p, size_t n) {
    if (n == 0) return;
    memcpy(buf_reserve(b, n), p, n);
    b->end += n;
}

static inline void buf_append_slice(struct buf *b, struct slice s) {
    buf_append(b, s.p, s.n);
}
static inline void buf_append_text(struct buf *b, const char *cstring) {
    buf_append(b, cstring, strlen(cstring));
}
