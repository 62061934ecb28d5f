/* The protobuf writer. The hard part is a nested message's length, which stands in front of it and is itself of varying
 * length: one byte is left for it, which does for nearly all attributes; when it turns out longer, the message is moved
 * by the difference. What is written never depends on that. */
#include "proto.h"

#include <assert.h>

#include "base/utf8.h"

enum { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };
enum { VARINT_MAX = 10 };

static char *varint_put(char *at, uint64_t value) {
    for (; value >= 0x80; value >>= 7) *at++ = (char)(value | 0x80);
    *at++ = (char)value;
    return at;
}

void proto_varint(struct buf *out, uint64_t value) {
    char *at = buf_reserve(out, VARINT_MAX);
    out->end += (size_t)(varint_put(at, value) - at);
}

static size_t varint_bytes(uint64_t value) {
    size_t n = 1;
    for (; value >= 0x80; value >>= 7) n++;
    return n;
}

static void tag_append(struct buf *out, unsigned field, unsigned wire) {
    proto_varint(out, (uint64_t)field << 3 | wire);
}

void proto_uint(struct buf *out, unsigned field, uint64_t value) {
    tag_append(out, field, WIRE_VARINT);
    proto_varint(out, value);
}

void proto_fixed64(struct buf *out, unsigned field, uint64_t value) {
    char bytes[8];
    for (int i = 0; i < 8; i++) bytes[i] = (char)(value >> 8 * i);
    tag_append(out, field, WIRE_FIXED64);
    buf_append(out, bytes, sizeof bytes);
}

void proto_fixed32(struct buf *out, unsigned field, uint32_t value) {
    char bytes[4];
    for (int i = 0; i < 4; i++) bytes[i] = (char)(value >> 8 * i);
    tag_append(out, field, WIRE_FIXED32);
    buf_append(out, bytes, sizeof bytes);
}

void proto_double(struct buf *out, unsigned field, double value) {
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    proto_fixed64(out, field, bits);
}

void proto_bytes(struct buf *out, unsigned field, const void *p, size_t n) {
    tag_append(out, field, WIRE_BYTES);
    proto_varint(out, n);
    buf_append(out, p, n);
}

static bool eight_ascii(const char *p) {
    uint64_t eight;
    memcpy(&eight, p, sizeof eight);
    return (eight & UINT64_C(0x8080808080808080)) == 0;
}

/* How many bytes from the beginning are UTF-8. */
static size_t utf8_run(struct slice s) {
    size_t at = 0;
    for (size_t length; at < s.n; at += length) {
        if (s.n - at >= 8 && eight_ascii(s.p + at))
            length = 8;
        else
            length = utf8_length((const unsigned char *)s.p + at, s.n - at);
        if (length == 0) break;
    }
    return at;
}

static void text_repair(struct buf *out, unsigned field, struct slice s) {
    size_t mark = proto_open(out, field);
    while (s.n > 0) {
        size_t good = utf8_run(s);
        buf_append(out, s.p, good);
        s.p += good, s.n -= good;
        if (s.n == 0) break;
        buf_append_text(out, UTF8_REPLACEMENT);
        s.p++, s.n--;
    }
    proto_close(out, mark);
}

void proto_text(struct buf *out, unsigned field, struct slice s) {
    if (utf8_run(s) == s.n)
        proto_bytes(out, field, s.p, s.n);
    else
        text_repair(out, field, s);
}

size_t proto_open(struct buf *out, unsigned field) {
    tag_append(out, field, WIRE_BYTES);
    buf_append(out, "", 1);
    return buf_length(out);
}

void proto_close(struct buf *out, size_t mark) {
    size_t length = buf_length(out) - mark, more = varint_bytes(length) - 1;
    assert(mark > 0 && mark <= buf_length(out));
    if (more > 0) {
        buf_reserve(out, more);
        char *content = out->data + out->start + mark;
        memmove(content + more, content, length);
        out->end += more;
    }
    varint_put(out->data + out->start + mark - 1, length);
}
