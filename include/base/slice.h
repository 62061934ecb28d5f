/* base/slice.h: a borrowed run of bytes (not NUL-terminated), and the few text operations the hot path needs. No
 * function here looks at the locale: header names and numbers must read the same under tr_TR. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *p; /* borrowed; may be NULL when n == 0 */
    size_t n;
};

#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})
#define SLICE_INIT(literal)                                                                                            \
    { (literal), sizeof(literal) - 1 }

static inline struct slice slice_of(const char *cstring) {
    return (struct slice){cstring, cstring ? strlen(cstring) : 0};
}
static inline bool slice_equal(struct slice a, struct slice b) {
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
bool slice_equal_nocase(struct slice a, struct slice b); /* ASCII case only */
bool slice_starts(struct slice s, struct slice prefix);
struct slice slice_trim(struct slice s);            /* strips spaces, tabs, CR, LF at both ends */
bool slice_to_u64(struct slice s, uint64_t *value); /* decimal digits only; false when empty or over 2^64-1 */
bool slice_cut(struct slice *rest, char separator,
               struct slice *item);                       /* takes the next item off `rest`; false at the end */
bool slice_matches(struct slice s, struct slice pattern); /* `*` matches any run; linear in s.n * stars */
bool hex_decode(struct slice hex, uint8_t *out, size_t out_bytes); /* exactly 2 * out_bytes digits, either case */
void hex_encode(const uint8_t *p, size_t n, char *out);            /* writes 2n lower-case digits, no NUL */
static inline char ascii_lower(char c) {
    return (c >= 'A' && c <= 'Z') ? (char)(c | 0x20) : c;
}
