/* Text operations on slices. Bytes are compared as ASCII; nothing looks at the locale. */
#include "base/slice.h"

bool slice_equal_nocase(struct slice a, struct slice b) {
    if (a.n != b.n) return false;
    for (size_t i = 0; i < a.n; i++)
        if (ascii_lower(a.p[i]) != ascii_lower(b.p[i])) return false;
    return true;
}

bool slice_starts(struct slice s, struct slice prefix) {
    return s.n >= prefix.n && (prefix.n == 0 || memcmp(s.p, prefix.p, prefix.n) == 0);
}

static bool is_space(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

struct slice slice_trim(struct slice s) {
    while (s.n > 0 && is_space(s.p[0])) s.p++, s.n--;
    while (s.n > 0 && is_space(s.p[s.n - 1])) s.n--;
    return s;
}

bool slice_to_u64(struct slice s, uint64_t *value) {
    if (s.n == 0) return false;
    uint64_t v = 0;
    for (size_t i = 0; i < s.n; i++) {
        unsigned digit = (unsigned)(s.p[i] - '0');
        if (digit > 9 || v > (UINT64_MAX - digit) / 10) return false;
        v = v * 10 + digit;
    }
    *value = v;
    return true;
}

bool slice_cut(struct slice *rest, char separator, struct slice *item) {
    if (rest->p == NULL) return false;
    const char *at = rest->n ? memchr(rest->p, separator, rest->n) : NULL;
    if (at == NULL) {
        *item = *rest;
        *rest = (struct slice){NULL, 0};
        return true;
    }
    *item = (struct slice){rest->p, (size_t)(at - rest->p)};
    *rest = (struct slice){at + 1, rest->n - item->n - 1};
    return true;
}

bool slice_matches(struct slice s, struct slice pattern) {
    size_t i = 0, j = 0, star = SIZE_MAX, resume = 0;
    while (i < s.n) {
        if (j < pattern.n && pattern.p[j] == '*') {
            star = j++;
            resume = i;
        } else if (j < pattern.n && pattern.p[j] == s.p[i]) {
            i++, j++;
        } else if (star != SIZE_MAX) {
            j = star + 1;
            i = ++resume;
        } else {
            return false;
        }
    }
    while (j < pattern.n && pattern.p[j] == '*') j++;
    return j == pattern.n;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    c = ascii_lower(c);
    return (c >= 'a' && c <= 'f') ? c - 'a' + 10 : -1;
}

bool hex_decode(struct slice hex, uint8_t *out, size_t out_bytes) {
    if (hex.n != 2 * out_bytes) return false;
    for (size_t i = 0; i < out_bytes; i++) {
        int high = hex_digit(hex.p[2 * i]), low = hex_digit(hex.p[2 * i + 1]);
        if (high < 0 || low < 0) return false;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}

void hex_encode(const uint8_t *p, size_t n, char *out) {
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = digits[p[i] >> 4];
        out[2 * i + 1] = digits[p[i] & 15];
    }
}
