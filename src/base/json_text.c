/* Writing JSON text. Strings come from anywhere: what is not valid UTF-8 becomes U+FFFD, control bytes are escaped, so
 * the output is one valid line whatever was put in. */
#include "base/json_text.h"

/* Length of the valid UTF-8 sequence at p (RFC 3629), or 0. */
static size_t utf8_length(const unsigned char *p, size_t n) {
    unsigned char c = p[0];
    size_t length = c < 0x80 ? 1 : c >= 0xc2 && c < 0xe0 ? 2 : (c & 0xf0) == 0xe0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    if (length == 0 || length > n) return 0;
    for (size_t i = 1; i < length; i++)
        if ((p[i] & 0xc0) != 0x80) return 0;
    if ((c == 0xe0 && p[1] < 0xa0) || (c == 0xed && p[1] > 0x9f) || (c == 0xf0 && p[1] < 0x90) ||
        (c == 0xf4 && p[1] > 0x8f))
        return 0;
    return length;
}

static void escape_put(struct buf *out, unsigned char c) {
    static const char short_names[] = {['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r'};
    if (c == '"' || c == '\\') {
        buf_append(out, (char[]){'\\', (char)c}, 2);
    } else if (c < sizeof short_names && short_names[c]) {
        buf_append(out, (char[]){'\\', short_names[c]}, 2);
    } else {
        static const char digits[] = "0123456789abcdef";
        buf_append(out, (char[]){'\\', 'u', '0', '0', digits[c >> 4], digits[c & 15]}, 6);
    }
}

void json_text_string(struct buf *out, struct slice s) {
    const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n;
    buf_append(out, "\"", 1);
    while (p < end) {
        const unsigned char *run = p;
        size_t length = 1;
        while (p < end && *p >= 0x20 && *p != '"' && *p != '\\' && *p != 0x7f) {
            length = *p < 0x80 ? 1 : utf8_length(p, (size_t)(end - p));
            if (length == 0) break;
            p += length;
        }
        buf_append(out, run, (size_t)(p - run));
        if (p == end) break;
        if (length == 0) buf_append_text(out, "\xef\xbf\xbd");
        else escape_put(out, *p);
        p++;
    }
    buf_append(out, "\"", 1);
}

/* value / 10^places, exact, without trailing zeros. */
static void decimal_put(struct buf *out, uint64_t value, int places) {
    uint64_t scale = 1;
    for (int i = 0; i < places; i++) scale *= 10;
    buf_append_u64(out, value / scale);
    uint64_t fraction = value % scale;
    if (fraction == 0) return;
    char digits[20] = ".";
    for (int i = places; i > 0; i--, fraction /= 10) digits[i] = (char)('0' + fraction % 10);
    int length = places + 1;
    while (digits[length - 1] == '0') length--;
    buf_append(out, digits, (size_t)length);
}

void json_text_ms(struct buf *out, uint64_t ns) { decimal_put(out, ns, 6); }

void json_text_usd(struct buf *out, int64_t pico_usd) {
    if (pico_usd < 0) buf_append(out, "-", 1);
    decimal_put(out, pico_usd < 0 ? 0 - (uint64_t)pico_usd : (uint64_t)pico_usd, 12);
}
