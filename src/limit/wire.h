/* limit/wire.h: numbers and texts as bytes: seven bits a byte, the last one without its top bit; a text is its length
 * and its bytes. A reader that meets anything else is `bad` from then on and gives zeros. */
#pragma once
#include "base/buf.h"

struct wire { /* what is left to be read */
    struct slice left;
    bool bad;
};

static inline void wire_put(struct buf *out, uint64_t v) {
    char bytes[10];
    size_t n = 0;
    for (; v >= 0x80; v >>= 7) bytes[n++] = (char)(v | 0x80);
    bytes[n++] = (char)v;
    buf_append(out, bytes, n);
}

static inline void wire_put_signed(struct buf *out, int64_t v) {
    wire_put(out, ((uint64_t)v << 1) ^ (v < 0 ? UINT64_MAX : 0));
}

static inline void wire_put_text(struct buf *out, struct slice s) {
    wire_put(out, s.n);
    buf_append_slice(out, s);
}

static inline uint64_t wire_get(struct wire *w) {
    uint64_t v = 0;
    for (unsigned shift = 0; shift < 64 && w->left.n > 0 && !w->bad; shift += 7) {
        unsigned char c = (unsigned char)*w->left.p;
        w->left.p++;
        w->left.n--;
        if (shift == 63 && c > 1) break;
        v |= (uint64_t)(c & 0x7f) << shift;
        if (c < 0x80) return v;
    }
    w->bad = true;
    return 0;
}

static inline uint64_t wire_get_below(struct wire *w, uint64_t limit) {
    uint64_t v = wire_get(w);
    if (v < limit) return v;
    w->bad = true;
    return 0;
}

static inline int64_t wire_get_signed(struct wire *w) {
    uint64_t v = wire_get(w);
    return (int64_t)(v >> 1) ^ -(int64_t)(v & 1);
}

/* Borrowed from what is read. */
static inline struct slice wire_get_text(struct wire *w, size_t bytes_max) {
    size_t n = (size_t)wire_get_below(w, (uint64_t)bytes_max + 1);
    if (n > w->left.n) w->bad = true;
    if (w->bad) return SLICE("");
    struct slice s = {w->left.p, n};
    w->left.p += n;
    w->left.n -= n;
    return s;
}
