/* Undoes the escapes of a JSON string. The result is never longer than the raw text: the longest escape (twelve bytes
 * for a surrogate pair) makes four bytes of UTF-8. */
#include "json/scan.h"

struct reader {
    const char *p, *end;
};

static bool read_hex4(struct reader *r, uint32_t *unit) {
    uint8_t bytes[2];
    if (r->end - r->p < 4 || !hex_decode((struct slice){r->p, 4}, bytes, 2)) return false;
    *unit = (uint32_t)bytes[0] << 8 | bytes[1];
    r->p += 4;
    return true;
}

/* After `\u`: one code point, for which a high surrogate needs its low one right behind it. */
static bool read_code_point(struct reader *r, uint32_t *code) {
    if (!read_hex4(r, code)) return false;
    if ((*code & 0xF800) != 0xD800) return true;
    uint32_t low;
    if (*code >= 0xDC00 || r->end - r->p < 6 || r->p[0] != '\\' || r->p[1] != 'u') return false;
    r->p += 2;
    if (!read_hex4(r, &low) || (low & 0xFC00) != 0xDC00) return false;
    *code = 0x10000 + ((*code & 0x3FF) << 10 | (low & 0x3FF));
    return true;
}

static size_t encode_utf8(uint32_t code, char out[4]) {
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    size_t n = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    static const uint8_t first[5] = {0, 0, 0xC0, 0xE0, 0xF0};
    for (size_t i = n - 1; i > 0; i--) {
        out[i] = (char)(0x80 | (code & 0x3F));
        code >>= 6;
    }
    out[0] = (char)(first[n] | code);
    return n;
}

/* The bytes that the escape after a backslash stands for; 0 when it is none. */
static size_t read_escape(struct reader *r, char out[4]) {
    static const char meaning[256] = {
        ['"'] = '"', ['\\'] = '\\', ['/'] = '/', ['b'] = '\b', ['f'] = '\f', ['n'] = '\n', ['r'] = '\r', ['t'] = '\t'};
    if (r->p == r->end) return 0;
    uint8_t c = (uint8_t)*r->p++;
    uint32_t code;
    if (c == 'u') return read_code_point(r, &code) ? encode_utf8(code, out) : 0;
    out[0] = meaning[c];
    return meaning[c] != '\0';
}

bool json_unescape(struct slice raw, char *out, size_t max, size_t *written) {
    struct reader r = {raw.p, raw.n > 0 ? raw.p + raw.n : raw.p};
    size_t n = 0;
    while (r.p < r.end) {
        const char *stop = memchr(r.p, '\\', (size_t)(r.end - r.p));
        size_t plain = (size_t)((stop != NULL ? stop : r.end) - r.p);
        if (plain > max - n) return false;
        if (plain > 0) memmove(out + n, r.p, plain);
        n += plain, r.p += plain;
        if (stop == NULL) break;
        char bytes[4];
        r.p++;
        size_t made = read_escape(&r, bytes);
        if (made == 0 || made > max - n) return false;
        memcpy(out + n, bytes, made);
        n += made;
    }
    *written = n;
    return true;
}
