/* Queries: decoded into memory of their own, pair by pair. Names and values end up as text that may be shown again:
 * UTF-8 without control bytes. */
#include "http/query.h"

#include "base/utf8.h"

static bool is_text(struct slice s) {
    for (size_t i = 0, n; i < s.n; i += n) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7f) return false;
        n = utf8_length((const unsigned char *)s.p + i, s.n - i);
        if (n == 0) return false;
    }
    return true;
}

/* Decodes into *at, which moves on. */
static bool decode(struct slice from, char **at, struct slice *to) {
    to->p = *at;
    for (size_t i = 0; i < from.n; i++) {
        uint8_t byte = (uint8_t)from.p[i];
        if (byte == '+') byte = ' ';
        if (byte == '%') {
            if (from.n - i < 3 || !hex_decode((struct slice){from.p + i + 1, 2}, &byte, 1)) return false;
            i += 2;
        }
        *(*at)++ = (char)byte;
    }
    to->n = (size_t)(*at - to->p);
    return is_text(*to);
}

bool query_parse(struct query *q, struct slice query) {
    struct slice item;
    char *at = q->text;
    q->count = 0;
    if (query.n > QUERY_BYTES_MAX) return false; /* decoding makes nothing longer */
    while (query.n > 0 && slice_cut(&query, '&', &item)) {
        if (item.n == 0) continue;
        if (q->count == QUERY_PAIRS_MAX) return false;
        struct query_pair *pair = &q->pairs[q->count++];
        const char *equals = memchr(item.p, '=', item.n);
        size_t n = equals != NULL ? (size_t)(equals - item.p) : item.n;
        struct slice value = equals != NULL ? (struct slice){equals + 1, item.n - n - 1} : SLICE("");
        if (!decode((struct slice){item.p, n}, &at, &pair->name) || !decode(value, &at, &pair->value)) return false;
    }
    return true;
}
