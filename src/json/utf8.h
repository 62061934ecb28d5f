/* json/utf8.h: validates UTF-8 beyond ASCII (RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF). */
#pragma once
#include "run.h"

/* What the byte after this first byte may be; `left` continuation bytes follow in all. False: no sequence begins so. */
static inline bool utf8_first(uint8_t c, uint8_t *left, uint8_t *low, uint8_t *high) {
    *low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    *high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    *left = c >= 0xF0 ? 3 : c >= 0xE0 ? 2 : 1;
    return c >= 0xC2 && c <= 0xF4;
}

/* Length of the whole valid sequence at p, 0 when it is invalid or cut by `end`. */
static inline int utf8_sequence(const char *p, const char *end) {
    uint8_t left, low, high;
    if (!utf8_first((uint8_t)p[0], &left, &low, &high) || end - p <= left) return 0;
    if ((uint8_t)p[1] < low || (uint8_t)p[1] > high) return 0;
    for (int i = 2; i <= left; i++)
        if (((uint8_t)p[i] & 0xC0) != 0x80) return 0;
    return left + 1;
}

#if defined(__SSE2__) && !defined(WEIR_SCALAR)
/* Five three-byte characters (most of Asia's scripts) or eight two-byte ones (Latin, Greek, Cyrillic, Hebrew, Arabic)
 * at once. First bytes whose second byte is restricted (E0, ED; C0 and C1 are never valid) are left to utf8_sequence().
 */
static inline const char *utf8_triples(const char *p, const char *end) {
    const __m128i pick =
        _mm_setr_epi8((char)0xF0, (char)0xC0, (char)0xC0, (char)0xF0, (char)0xC0, (char)0xC0, (char)0xF0, (char)0xC0,
                      (char)0xC0, (char)0xF0, (char)0xC0, (char)0xC0, (char)0xF0, (char)0xC0, (char)0xC0, 0);
    const __m128i want =
        _mm_setr_epi8((char)0xE0, (char)0x80, (char)0x80, (char)0xE0, (char)0x80, (char)0x80, (char)0xE0, (char)0x80,
                      (char)0x80, (char)0xE0, (char)0x80, (char)0x80, (char)0xE0, (char)0x80, (char)0x80, 1);
    while (end - p >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i restricted =
            _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8((char)0xE0)), _mm_cmpeq_epi8(x, _mm_set1_epi8((char)0xED)));
        __m128i good = _mm_andnot_si128(restricted, _mm_cmpeq_epi8(_mm_and_si128(x, pick), want));
        unsigned mask = (unsigned)_mm_movemask_epi8(good);
        if (mask != 0x7FFF) return p + (unsigned)__builtin_ctz(~mask) / 3 * 3;
        p += 15;
    }
    return p;
}

static inline const char *utf8_pairs(const char *p, const char *end) {
    const __m128i pick = _mm_set1_epi16((short)0xC0E0), want = _mm_set1_epi16((short)0x80C0);
    while (end - p >= 16) {
        __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i never = _mm_cmpeq_epi8(_mm_and_si128(x, _mm_set1_epi8((char)0xFE)), _mm_set1_epi8((char)0xC0));
        __m128i good = _mm_andnot_si128(never, _mm_cmpeq_epi8(_mm_and_si128(x, pick), want));
        unsigned mask = (unsigned)_mm_movemask_epi8(good);
        if (mask != 0xFFFF) return p + ((unsigned)__builtin_ctz(~mask) & ~1U);
        p += 16;
    }
    return p;
}

static inline const char *utf8_many(const char *p, const char *end) {
    uint8_t c = (uint8_t)*p;
    return c >= 0xF0 ? p : c >= 0xE1 ? utf8_triples(p, end) : utf8_pairs(p, end);
}
#else
static inline const char *utf8_many(const char *p, const char *end) {
    return (void)end, p;
}
#endif

/* Skips whole valid sequences from p (a byte beyond ASCII); stops at ASCII, at an invalid or at a cut sequence. */
static __attribute__((noinline)) const char *utf8_run(const char *p, const char *end) {
    while (p < end && (uint8_t)*p >= 0x80) {
        const char *next = utf8_many(p, end);
        if (next == p) {
            int n = utf8_sequence(p, end);
            if (n == 0) return p;
            next += n;
        }
        p = next;
    }
    return p;
}
