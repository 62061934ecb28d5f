/* The table of byte classes, and two searches: sixteen bytes a step where the processor has SSE2 (every x86-64), eight
 * for the rest of a run and elsewhere. The hard part of the eight is that the subtraction trick marks false bytes above
 * a true one: only the lowest mark of a word may be believed. */
#include "bytes.h"

#include <endian.h>

#define EVERYWHERE (BYTE_TOKEN | BYTE_PATH | BYTE_QUERY | BYTE_TEXT)
#define LETTER (EVERYWHERE | BYTE_HOST)
#define IN_TARGET (BYTE_PATH | BYTE_QUERY | BYTE_TEXT)

const uint8_t byte_classes[256] = {
    ['\t'] = BYTE_TEXT,
    [' '] = BYTE_TEXT,
    ['0' ... '9'] = LETTER | BYTE_HEX | BYTE_DIGIT,
    ['A' ... 'F'] = LETTER | BYTE_HEX,
    ['G' ... 'Z'] = LETTER,
    ['a' ... 'f'] = LETTER | BYTE_HEX,
    ['g' ... 'z'] = LETTER,
    ['-'] = LETTER,
    ['.'] = LETTER,
    ['_'] = LETTER,
    ['!'] = EVERYWHERE,
    ['$'] = EVERYWHERE,
    ['%'] = EVERYWHERE,
    ['&'] = EVERYWHERE,
    ['\''] = EVERYWHERE,
    ['*'] = EVERYWHERE,
    ['+'] = EVERYWHERE,
    ['~'] = EVERYWHERE,
    ['('] = IN_TARGET,
    [')'] = IN_TARGET,
    [','] = IN_TARGET,
    [';'] = IN_TARGET,
    ['='] = IN_TARGET,
    [':'] = IN_TARGET,
    ['@'] = IN_TARGET,
    ['/'] = IN_TARGET,
    ['?'] = BYTE_QUERY | BYTE_TEXT,
    ['['] = BYTE_QUERY | BYTE_TEXT,
    [']'] = BYTE_QUERY | BYTE_TEXT,
    ['|'] = BYTE_QUERY | BYTE_TOKEN | BYTE_TEXT,
    ['#'] = BYTE_TOKEN | BYTE_TEXT,
    ['^'] = BYTE_TOKEN | BYTE_TEXT,
    ['`'] = BYTE_TOKEN | BYTE_TEXT,
    ['"'] = BYTE_TEXT,
    ['<'] = BYTE_TEXT,
    ['>'] = BYTE_TEXT,
    ['\\'] = BYTE_TEXT,
    ['{'] = BYTE_TEXT,
    ['}'] = BYTE_TEXT,
    [0x80 ... 0xff] = BYTE_TEXT,
};

bool bytes_are(struct slice s, unsigned class) {
    unsigned common = class; /* no early way out: what is refused is rare, and the loop stays free of branches */
    for (size_t i = 0; i < s.n; i++) common &= byte_classes[(uint8_t)s.p[i]];
    return common == class;
}

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static inline uint64_t load(const char *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return le64toh(word);
}

static inline uint64_t below(uint64_t word, uint8_t limit) {
    return (word - EACH(limit)) & ~word & EACH(0x80);
}
static inline uint64_t equal(uint64_t word, uint8_t byte) {
    return below(word ^ EACH(byte), 1);
}
static inline size_t lowest(uint64_t marks) {
    return (size_t)__builtin_ctzll(marks) / 8;
}

#if defined(__SSE2__) && !defined(WEIR_SCALAR)
#include <emmintrin.h>

static inline __m128i bytes_at(const char *p) {
    return _mm_loadu_si128((const __m128i *)(const void *)p);
}

static inline __m128i line_ends(const char *p) {
    __m128i x = bytes_at(p);
    return _mm_or_si128(_mm_cmpeq_epi8(x, _mm_set1_epi8('\n')), _mm_cmpeq_epi8(x, _mm_set1_epi8('\r')));
}

/* Skips what holds no line end, in steps of 64 and 16; what is left is for the search by eights. */
static inline const char *skip_line(const char *p, const char *end) {
    for (; end - p >= 64; p += 64) {
        __m128i any = _mm_or_si128(_mm_or_si128(line_ends(p), line_ends(p + 16)),
                                   _mm_or_si128(line_ends(p + 32), line_ends(p + 48)));
        if (_mm_movemask_epi8(any) != 0) break;
    }
    for (; end - p >= 16; p += 16) {
        unsigned marks = (unsigned)_mm_movemask_epi8(line_ends(p));
        if (marks != 0) return p + __builtin_ctz(marks);
    }
    return p;
}

/* The same for control bytes and DEL; a TAB stops it too. */
static inline const char *skip_text(const char *p, const char *end) {
    for (; end - p >= 16; p += 16) {
        __m128i x = bytes_at(p), control = _mm_cmpeq_epi8(_mm_min_epu8(x, _mm_set1_epi8(0x1f)), x);
        unsigned marks = (unsigned)_mm_movemask_epi8(_mm_or_si128(control, _mm_cmpeq_epi8(x, _mm_set1_epi8(0x7f))));
        if (marks != 0) return p + __builtin_ctz(marks);
    }
    return p;
}
#else
static inline const char *skip_line(const char *p, const char *end) {
    (void)end;
    return p;
}
static inline const char *skip_text(const char *p, const char *end) {
    (void)end;
    return p;
}
#endif

const char *find_control(const char *p, const char *end) {
    p = skip_text(p, end);
    while (end - p >= 8) {
        uint64_t word = load(p), marks = below(word, 0x20) | equal(word, 0x7f);
        if (marks == 0) {
            p += 8;
            continue;
        }
        p += lowest(marks);
        if (*p != '\t') return p;
        p++;
    }
    while (p < end && byte_is(*p, BYTE_TEXT)) p++;
    return p;
}

const char *find_line_end(const char *p, const char *end) {
    p = skip_line(p, end);
    for (; end - p >= 8; p += 8) {
        uint64_t word = load(p), marks = equal(word, '\n') | equal(word, '\r');
        if (marks != 0) return p + lowest(marks);
    }
    while (p < end && *p != '\n' && *p != '\r') p++;
    return p;
}
