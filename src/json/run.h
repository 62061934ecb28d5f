/* json/run.h: how far does a run of uninteresting bytes go? The scanner spends most of its time here. Sixteen bytes at
 * a time where the processor has SSE2 (every x86-64), a byte at a time elsewhere. Nothing outside [start, end) is read:
 * the last few bytes are looked at through a window that ends at `end`. */
#pragma once
#include "json/scan.h"

#define ALWAYS_INLINE static inline __attribute__((always_inline))

/* What stops a run: */
enum run_kind {
    RUN_STRICT,  /* quote, backslash, control characters, anything beyond ASCII */
    RUN_RELAXED, /* quote, backslash */
    RUN_SKIP,    /* quote, brackets */
    RUN_TOKEN,   /* what may follow a number or a literal, and what can be in none */
};

ALWAYS_INLINE bool run_stops(uint8_t c, enum run_kind kind) {
    if (kind == RUN_SKIP) return c == '"' || (c | 0x20) == '{' || (c | 0x20) == '}';
    if (kind == RUN_TOKEN) return c == ',' || (c | 0x20) == '}' || c <= 0x20 || c >= 0x80;
    return c == '"' || c == '\\' || (kind == RUN_STRICT && (c < 0x20 || c >= 0x80));
}

#if defined(__SSE2__) && !defined(WEIR_SCALAR)
#include <emmintrin.h>

/* Comparisons are signed: a byte beyond ASCII is negative, and so it is below the space like a control character. */
ALWAYS_INLINE __m128i run_stop_bytes(const char *p, enum run_kind kind) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i quote = _mm_cmpeq_epi8(x, _mm_set1_epi8('"'));
    __m128i y = _mm_or_si128(x, _mm_set1_epi8(0x20)); /* [ and ] differ from { and } by this bit */
    if (kind == RUN_TOKEN) {
        __m128i control = _mm_cmplt_epi8(x, _mm_set1_epi8(0x21));
        return _mm_or_si128(control,
                            _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(',')), _mm_cmpeq_epi8(y, _mm_set1_epi8('}'))));
    }
    if (kind == RUN_SKIP) {
        return _mm_or_si128(quote,
                            _mm_or_si128(_mm_cmpeq_epi8(y, _mm_set1_epi8('{')), _mm_cmpeq_epi8(y, _mm_set1_epi8('}'))));
    }
    __m128i stop = _mm_or_si128(quote, _mm_cmpeq_epi8(x, _mm_set1_epi8('\\')));
    return kind == RUN_STRICT ? _mm_or_si128(stop, _mm_cmplt_epi8(x, _mm_set1_epi8(0x20))) : stop;
}

/* One bit for each of the sixteen bytes that is JSON's white space. */
ALWAYS_INLINE unsigned run_space_mask(const char *p) {
    __m128i x = _mm_loadu_si128((const __m128i *)(const void *)p);
    __m128i blank = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8(' ')), _mm_cmpeq_epi8(x, _mm_set1_epi8('\t')));
    __m128i line = _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\n')), _mm_cmpeq_epi8(x, _mm_set1_epi8('\r')));
    return (unsigned)_mm_movemask_epi8(_mm_or_si128(blank, line));
}

ALWAYS_INLINE unsigned run_stop_mask(const char *p, enum run_kind kind) {
    return (unsigned)_mm_movemask_epi8(run_stop_bytes(p, kind));
}

ALWAYS_INLINE const char *run_long(const char *p, const char *end, const char *start, enum run_kind kind) {
    while (end - p >= 64) {
        __m128i a = run_stop_bytes(p, kind), b = run_stop_bytes(p + 16, kind);
        __m128i c = run_stop_bytes(p + 32, kind), d = run_stop_bytes(p + 48, kind);
        if (_mm_movemask_epi8(_mm_or_si128(_mm_or_si128(a, b), _mm_or_si128(c, d))) != 0) {
            uint64_t low = (unsigned)_mm_movemask_epi8(a) | (unsigned)_mm_movemask_epi8(b) << 16;
            uint64_t high = (unsigned)_mm_movemask_epi8(c) | (unsigned)_mm_movemask_epi8(d) << 16;
            return p + __builtin_ctzll(low | high << 32);
        }
        p += 64;
    }
    while (end - p >= 16) {
        unsigned mask = run_stop_mask(p, kind);
        if (mask != 0) return p + __builtin_ctz(mask);
        p += 16;
    }
    if (p == end) return end;
    if (end - start >= 16) {
        unsigned mask = run_stop_mask(end - 16, kind) >> (16 - (end - p));
        return mask != 0 ? p + __builtin_ctz(mask) : end;
    }
    while (p < end && !run_stops((uint8_t)*p, kind)) p++;
    return p;
}

/* Calls are for long runs; names and short strings end within the first sixteen bytes. */
#define RUN_FUNCTION(name, kind)                                                                                       \
    static __attribute__((noinline)) const char *name##_long(const char *p, const char *end, const char *start) {      \
        return run_long(p, end, start, kind);                                                                          \
    }                                                                                                                  \
    ALWAYS_INLINE const char *name(const char *p, const char *end, const char *start) {                                \
        if (__builtin_expect(end - p >= 16, 1)) {                                                                      \
            unsigned mask = run_stop_mask(p, kind);                                                                    \
            if (mask != 0) return p + __builtin_ctz(mask);                                                             \
            p += 16;                                                                                                   \
        }                                                                                                              \
        return name##_long(p, end, start);                                                                             \
    }
#else
#define RUN_FUNCTION(name, kind)                                                                                       \
    static inline const char *name(const char *p, const char *end, const char *start) {                                \
        (void)start;                                                                                                   \
        while (p < end && !run_stops((uint8_t)*p, kind)) p++;                                                          \
        return p;                                                                                                      \
    }
#endif

RUN_FUNCTION(run_strict, RUN_STRICT)
RUN_FUNCTION(run_relaxed, RUN_RELAXED)
RUN_FUNCTION(run_skip, RUN_SKIP)
RUN_FUNCTION(run_token, RUN_TOKEN)
