/* The table of byte classes, and two searches that look at eight bytes a step. The hard part is that the subtraction
 * trick marks false bytes above a true one: only the lowest mark of a word may be believed. */
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

const char *find_control(const char *p, const char *end) {
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
    for (; end - p >= 8; p += 8) {
        uint64_t word = load(p), marks = equal(word, '\n') | equal(word, '\r');
        if (marks != 0) return p + lowest(marks);
    }
    while (p < end && *p != '\n' && *p != '\r') p++;
    return p;
}
