/* Writing JSON text. Strings come from anywhere: what is not valid UTF-8 becomes U+FFFD, control bytes are escaped, so
 * the output is one valid line whatever was put in. Nearly all of it needs neither, so eight bytes at a time are looked
 * at and copied as one word; numbers are written two digits at a time. */
#include "base/json_text.h"

#include "base/utf8.h"

#define EACH_BYTE(c) (UINT64_C(0x0101010101010101) * (c))

enum { PIECE_BYTES = 1024 }; /* of a long string: what is reserved for the worst case at once */

/* True when none of the word's bytes is beyond ASCII, a control byte, DEL, a quote or a backslash. Borrows and carries
 * only leave bytes that are not plain, so they change which byte is seen, never whether one is. */
static bool word_is_plain(uint64_t word) {
    uint64_t quote = word ^ EACH_BYTE('"'), backslash = word ^ EACH_BYTE('\\');
    uint64_t found =
        word | (word + EACH_BYTE(1)) | (word - EACH_BYTE(0x20)) | (quote - EACH_BYTE(1)) | (backslash - EACH_BYTE(1));
    return (found & EACH_BYTE(0x80)) == 0;
}

/* The same with fewer than eight bytes, by pieces that overlap. */
static bool short_copy(char *at, const unsigned char *p, size_t n) {
    if (n >= sizeof(uint32_t)) {
        uint32_t first, last;
        memcpy(&first, p, sizeof first);
        memcpy(&last, p + n - sizeof last, sizeof last);
        memcpy(at, &first, sizeof first);
        memcpy(at + n - sizeof last, &last, sizeof last);
        return word_is_plain((uint64_t)first << 32 | last);
    }
    if (n == 0) return true;
    unsigned char first = p[0], middle = p[n / 2], last = p[n - 1];
    at[0] = (char)first;
    at[n / 2] = (char)middle;
    at[n - 1] = (char)last;
    return word_is_plain((EACH_BYTE(' ') << 24) | (uint64_t)first << 16 | (uint64_t)middle << 8 | last);
}

/* Copies the front of n bytes as far as it needs no escape, in words; returns how many, 0…7 short of the first that
 * does. What else is written over lies within n bytes. */
static size_t plain_copy(char *at, const unsigned char *p, size_t n) {
    uint64_t word;
    size_t i = 0;
    for (; n - i >= sizeof word; i += sizeof word) {
        memcpy(&word, p + i, sizeof word);
        if (!word_is_plain(word)) return i;
        memcpy(at + i, &word, sizeof word);
    }
    if (n < sizeof word) return short_copy(at, p, n) ? n : 0;
    memcpy(&word, p + n - sizeof word, sizeof word);
    if (!word_is_plain(word)) return i;
    memcpy(at + n - sizeof word, &word, sizeof word);
    return n;
}

static char *escape_put(char *at, unsigned char c) {
    static const char short_names[0x80] = {
        ['\b'] = 'b', ['\t'] = 't', ['\n'] = 'n', ['\f'] = 'f', ['\r'] = 'r', ['"'] = '"', ['\\'] = '\\'};
    static const char digits[] = "0123456789abcdef";
    *at++ = '\\';
    if (short_names[c]) {
        *at++ = short_names[c];
        return at;
    }
    memcpy(at, "u00", 3);
    at[3] = digits[c >> 4];
    at[4] = digits[c & 15];
    return at + 5;
}

/* One character from *p on, which moves past it. */
static char *character_put(char *at, const unsigned char **p, const unsigned char *end) {
    unsigned char c = **p;
    if (c < 0x80) {
        ++*p;
        if (c < 0x20 || c == 0x7f || c == '"' || c == '\\') return escape_put(at, c);
        *at = (char)c;
        return at + 1;
    }
    size_t length = utf8_length(*p, (size_t)(end - *p));
    if (length == 0) {
        ++*p;
        memcpy(at, UTF8_REPLACEMENT, sizeof UTF8_REPLACEMENT - 1);
        return at + sizeof UTF8_REPLACEMENT - 1;
    }
    memcpy(at, *p, length);
    *p += length;
    return at + length;
}

/* Characters that begin before `limit`; the last one may end behind it, but not behind `end`. */
static char *characters_put(char *at, const unsigned char **p, const unsigned char *limit, const unsigned char *end) {
    while (*p < limit) {
        size_t plain = plain_copy(at, *p, (size_t)(limit - *p));
        at += plain;
        *p += plain;
        for (int i = 0; i < 8 && *p < limit; i++) at = character_put(at, p, end);
    }
    return at;
}

char *json_text_put_string(char *at, struct slice s) {
    const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n;
    *at++ = '"';
    at = characters_put(at, &p, end, end);
    *at++ = '"';
    return at;
}

void json_text_string(struct buf *out, struct slice s) {
    const unsigned char *p = (const unsigned char *)s.p, *end = p + s.n;
    buf_append(out, "\"", 1);
    while (p < end) {
        const unsigned char *limit = end - p > PIECE_BYTES ? p + PIECE_BYTES : end;
        char *at = buf_reserve(out, JSON_TEXT_STRING_BYTES(limit - p));
        buf_commit(out, (size_t)(characters_put(at, &p, limit, end) - at));
    }
    buf_append(out, "\"", 1);
}

static const char pairs[] = "00010203040506070809101112131415161718192021222324"
                            "25262728293031323334353637383940414243444546474849"
                            "50515253545556575859606162636465666768697071727374"
                            "75767778798081828384858687888990919293949596979899";

static void pair_put(char *at, uint64_t below_100) {
    memcpy(at, pairs + 2 * below_100, 2);
}

static unsigned digits_count(uint64_t value) {
    unsigned count = 1;
    for (uint64_t power = 10; value >= power; power *= 10)
        if (++count == 20) break; /* the next power does not fit */
    return count;
}

char *json_text_put_u64(char *at, uint64_t value) {
    char *end = at + digits_count(value), *p = end;
    for (; value >= 100; value /= 100) pair_put(p -= 2, value % 100);
    if (value >= 10)
        pair_put(at, value);
    else
        *at = (char)('0' + value);
    return end;
}

/* The digits behind the point, `places` of them (an even number), without trailing zeros; nothing at all for 0.
 * Inline, so that `places` is a constant. */
static inline char *fraction_put(char *at, uint64_t fraction, int places) {
    if (fraction == 0) return at;
    *at++ = '.';
    for (int i = places - 2; i >= 0; i -= 2, fraction /= 100) pair_put(at + i, fraction % 100);
    at += places;
    while (at[-1] == '0') at--;
    return at;
}

char *json_text_put_ms(char *at, uint64_t ns) {
    const uint64_t ms = 1000000;
    return fraction_put(json_text_put_u64(at, ns / ms), ns % ms, 6);
}

char *json_text_put_usd(char *at, int64_t pico_usd) {
    const uint64_t usd = UINT64_C(1000000000000);
    uint64_t value = pico_usd < 0 ? 0 - (uint64_t)pico_usd : (uint64_t)pico_usd;
    if (pico_usd < 0) *at++ = '-';
    return fraction_put(json_text_put_u64(at, value / usd), value % usd, 12);
}

void json_text_ms(struct buf *out, uint64_t ns) {
    char *at = buf_reserve(out, JSON_TEXT_NUMBER_BYTES);
    buf_commit(out, (size_t)(json_text_put_ms(at, ns) - at));
}

void json_text_usd(struct buf *out, int64_t pico_usd) {
    char *at = buf_reserve(out, JSON_TEXT_NUMBER_BYTES);
    buf_commit(out, (size_t)(json_text_put_usd(at, pico_usd) - at));
}
