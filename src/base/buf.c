/* A byte queue in one growable piece. What is consumed at the front is reclaimed when room is needed at the back, and
 * all of it is freed when the queue empties. */
#include "base/buf.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#include "base/json_text.h"
#include "base/mem.h"

enum { FIRST_BYTES = 256 };

void buf_grow(struct buf *b, size_t n) {
    size_t length = buf_length(b);
    if (b->data != NULL && b->start >= length && b->capacity - length >= n) {
        memmove(b->data, b->data + b->start, length);
    } else {
        size_t capacity = b->capacity ? b->capacity * 2 : FIRST_BYTES;
        while (capacity < length + n) capacity *= 2;
        char *grown = mem_alloc(capacity);
        if (b->data != NULL) memcpy(grown, b->data + b->start, length);
        mem_free(b->data);
        b->data = grown;
        b->capacity = capacity;
    }
    b->start = 0;
    b->end = length;
}

void buf_commit(struct buf *b, size_t n) {
    assert(n <= b->capacity - b->end);
    b->end += n;
}

void buf_append_u64(struct buf *b, uint64_t value) {
    char *at = buf_reserve(b, JSON_TEXT_NUMBER_BYTES);
    buf_commit(b, (size_t)(json_text_put_u64(at, value) - at));
}

void buf_printf(struct buf *b, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    assert(n >= 0);
    vsnprintf(buf_reserve(b, (size_t)n + 1), (size_t)n + 1, format, again);
    b->end += (size_t)n;
    va_end(again);
    va_end(args);
}

void buf_consume(struct buf *b, size_t n) {
    assert(n <= buf_length(b));
    b->start += n;
    if (b->start == b->end) buf_clear(b);
}

void buf_clear(struct buf *b) {
    mem_free(b->data);
    *b = (struct buf){0};
}
