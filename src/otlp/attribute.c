/* Writing one KeyValue: a key and an AnyValue. */
#include "attribute.h"

#include <assert.h>

#include "messages.h"

static void any_put(struct buf *out, const struct value *v) {
    switch (v->type) {
    case VALUE_TEXT:
        proto_text(out, ANY_STRING, v->text);
        break;
    case VALUE_BOOL:
        proto_uint(out, ANY_BOOL, v->flag);
        break;
    case VALUE_INT:
        proto_uint(out, ANY_INT, (uint64_t)v->number);
        break;
    case VALUE_DOUBLE:
        proto_double(out, ANY_DOUBLE, v->real);
        break;
    case VALUE_LIST: {
        size_t array = proto_open(out, ANY_ARRAY), item = proto_open(out, ARRAY_VALUES);
        proto_text(out, ANY_STRING, v->text);
        proto_close(out, item);
        proto_close(out, array);
        break;
    }
    case VALUE_NONE:
        break;
    }
}

/* ---- short ones, which are nearly all: their lengths are known before and fit a byte each ---- */

enum { SHORT_MAX = 127, TAG_TEXT_BYTES = 2, TAG_FIXED64_BYTES = 9 };

static char *byte_put(char *at, size_t value) {
    *at = (char)value;
    return at + 1;
}

static bool is_ascii(struct slice s) {
    uint64_t bits = 0, eight;
    size_t at = 0;
    for (; at + sizeof eight <= s.n; at += sizeof eight) {
        memcpy(&eight, s.p + at, sizeof eight);
        bits |= eight;
    }
    for (; at < s.n; at++) bits |= (uint8_t)s.p[at];
    return (bits & UINT64_C(0x8080808080808080)) == 0;
}

/* Bytes of the AnyValue; 0: it is not a short one. */
static size_t short_bytes(const struct value *v) {
    if (v->type == VALUE_TEXT) return v->text.n <= SHORT_MAX && is_ascii(v->text) ? TAG_TEXT_BYTES + v->text.n : 0;
    if (v->type == VALUE_DOUBLE) return TAG_FIXED64_BYTES;
    if (v->type == VALUE_BOOL) return 2;
    return v->type == VALUE_INT && v->number >= 0 && v->number <= SHORT_MAX ? 2 : 0;
}

static char *short_any_put(char *at, const struct value *v) {
    if (v->type == VALUE_TEXT) {
        at = byte_put(byte_put(at, ANY_STRING << 3 | 2), v->text.n);
        memcpy(at, v->text.p, v->text.n);
        return at + v->text.n;
    }
    if (v->type == VALUE_DOUBLE) {
        at = byte_put(at, ANY_DOUBLE << 3 | 1);
        memcpy(at, &v->real, sizeof v->real); /* little-endian, as the wire is */
        return at + sizeof v->real;
    }
    if (v->type == VALUE_BOOL) return byte_put(byte_put(at, ANY_BOOL << 3), v->flag);
    return byte_put(byte_put(at, ANY_INT << 3), (size_t)v->number);
}

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "doubles are copied as they are");

static bool short_put(struct buf *out, unsigned field, struct slice key, const struct value *v) {
    size_t any = short_bytes(v), pair = TAG_TEXT_BYTES + key.n + TAG_TEXT_BYTES + any;
    if (any == 0 || pair > SHORT_MAX || field > 15 || !is_ascii(key)) return false;
    char *start = buf_reserve(out, TAG_TEXT_BYTES + pair), *at = byte_put(byte_put(start, field << 3 | 2), pair);
    at = byte_put(byte_put(at, KEY_VALUE_KEY << 3 | 2), key.n);
    memcpy(at, key.p, key.n);
    at = byte_put(byte_put(at + key.n, KEY_VALUE_VALUE << 3 | 2), any);
    at = short_any_put(at, v);
    buf_commit(out, (size_t)(at - start));
    return true;
}

void attribute_put(struct buf *out, unsigned field, struct slice key, struct value v) {
    if (v.type == VALUE_NONE || short_put(out, field, key, &v)) return;
    size_t pair = proto_open(out, field);
    proto_text(out, KEY_VALUE_KEY, key);
    size_t value = proto_open(out, KEY_VALUE_VALUE);
    any_put(out, &v);
    proto_close(out, value);
    proto_close(out, pair);
}
