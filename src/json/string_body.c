/* The inside of strings. Plain runs are jumped over (run.h), whole UTF-8 sequences validated in bulk (utf8.h), two-byte
 * escapes stepped over at once; everything rarer, and everything a feed cut in two, goes a byte at a time through one
 * small automaton, so that the place of the cut can never change the verdict. */
#include "string_body.h"
#include "run.h"
#include "utf8.h"

static inline bool is_simple_escape(uint8_t c) {
    static const bool simple[256] = {['"'] = true, ['\\'] = true, ['/'] = true, ['b'] = true,
                                     ['f'] = true, ['n'] = true,  ['r'] = true, ['t'] = true};
    return simple[c];
}

static int hex_value(uint8_t c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* A low surrogate stands only after a high one, and a high one never alone (RFC 8259 8.2 leaves it open; no UTF-8 text
 * can hold one, so what the provider would read is anyone's guess). */
static bool end_code_unit(struct json_scan *s) {
    bool low = (s->code_unit & 0xFC00) == 0xDC00;
    if (low != s->high_surrogate) return false;
    s->high_surrogate = (s->code_unit & 0xFC00) == 0xD800;
    s->string_step = s->high_surrogate ? STRING_LOW_BACKSLASH : STRING_PLAIN;
    return true;
}

static bool take_hex(struct json_scan *s, uint8_t c) {
    int digit = hex_value(c);
    if (digit < 0) return false;
    s->code_unit = (s->code_unit << 4 | (unsigned)digit) & 0xFFFF;
    if (s->string_step == STRING_HEX_LAST) return end_code_unit(s);
    s->string_step--;
    return true;
}

static bool take_utf8(struct json_scan *s, uint8_t c) {
    if (c < s->utf8_low || c > s->utf8_high) return false;
    s->utf8_low = 0x80, s->utf8_high = 0xBF;
    if (--s->utf8_left == 0) s->string_step = STRING_PLAIN;
    return true;
}

static bool take_byte(struct json_scan *s, uint8_t c) {
    switch ((enum string_step)s->string_step) {
    case STRING_UTF8:
        return take_utf8(s, c);
    case STRING_LOW_BACKSLASH:
        s->string_step = STRING_LOW_U;
        return c == '\\';
    case STRING_ESCAPE:
        s->string_step = c == 'u' ? STRING_HEX_FIRST : STRING_PLAIN;
        return c == 'u' || is_simple_escape(c);
    case STRING_LOW_U:
        s->string_step = STRING_HEX_FIRST;
        return c == 'u';
    default:
        return take_hex(s, c);
    }
}

/* Begins what the byte at p, which ended a plain run, asks for; false: nothing valid begins so. */
static bool begin_step(struct json_scan *s, uint8_t c) {
    if (c == '\\') {
        s->escaped = true;
        s->string_step = STRING_ESCAPE;
        return true;
    }
    s->string_step = STRING_UTF8;
    if (c >= 0x80 && utf8_first(c, &s->utf8_left, &s->utf8_low, &s->utf8_high)) return true;
    return false;
}

const char *string_rest_strict(struct json_scan *s, const char *p, const char *end, const char *start) {
    for (;;) {
        while (s->string_step != STRING_PLAIN) {
            if (p == end || !take_byte(s, (uint8_t)*p)) return p;
            p++;
        }
        p = run_strict(p, end, start);
        if (p == end || *p == '"') return p;
        if (*p == '\\' && end - p >= 2 && is_simple_escape((uint8_t)p[1])) {
            s->escaped = true;
            p += 2;
            continue;
        }
        if ((uint8_t)*p >= 0x80) {
            p = utf8_run(p, end);
            if (p == end || (uint8_t)*p < 0x80) continue;
        }
        if (!begin_step(s, (uint8_t)*p)) return p;
        p++;
    }
}

const char *string_rest_relaxed(struct json_scan *s, const char *p, const char *end, const char *start) {
    for (;;) {
        if (s->string_step == STRING_ESCAPE) {
            if (p == end) return p;
            s->string_step = STRING_PLAIN;
            p++;
        }
        p = run_relaxed(p, end, start);
        if (p == end || *p == '"') return p;
        s->escaped = true;
        s->string_step = STRING_ESCAPE;
        p++;
    }
}
