/* Runs a scan and writes down all that can be seen from outside, so that two runs can be compared as text. */
#pragma once
#include <stdlib.h>

#include "base/buf.h"
#include "json/scan.h"

static inline void log_value(void *context, const struct json_value *v) {
    static const char *const type_names[] = {"none", "object", "array", "string", "number", "true", "false", "null"};
    struct buf *log = context;
    buf_printf(log, "%d %s [%llu,%llu) %llu", v->id, type_names[v->type], (unsigned long long)v->begin,
               (unsigned long long)v->end, (unsigned long long)v->length);
    buf_append_text(log, " <");
    buf_append_slice(log, v->text);
    buf_printf(log, ">%s%s @%u\n", v->escaped ? " escaped" : "", v->member_repeated ? " repeated" : "", v->index);
}

/* The same without what only strict mode promises: exact counts, and repeated members. */
static inline void log_loosely(void *context, const struct json_value *v) {
    struct json_value loose = *v;
    if (v->type == JSON_OBJECT || v->type == JSON_ARRAY) loose.length = v->length > 0;
    loose.member_repeated = false;
    log_value(context, &loose);
}

/* How to cut the text: whole, a byte at a time, or at places that `seed` picks. */
enum cutting { CUT_NOWHERE, CUT_EVERYWHERE, CUT_AT_RANDOM };

static inline size_t cut_size(enum cutting cutting, size_t left, unsigned *seed) {
    if (cutting == CUT_NOWHERE) return left;
    if (cutting == CUT_EVERYWHERE) return 1;
    *seed = *seed * 1103515245U + 12345;
    size_t n = (*seed >> 16) % ((*seed >> 8) % 4 == 0 ? 90 : 12);
    return n < left ? n : left;
}

/* Each piece is copied to memory of exactly its size: the sanitizer sees a read past it. */
static inline void feed_piece(struct json_scan *s, const char *p, size_t n) {
    char *piece = malloc(n > 0 ? n : 1);
    if (n > 0) memcpy(piece, p, n);
    json_scan_feed(s, piece, n);
    free(piece);
}

static inline struct buf scan_log(const struct json_paths *paths, enum json_mode mode, struct slice text,
                                  json_value_fn *log_one, enum cutting cutting, unsigned seed) {
    struct buf log = {0};
    struct json_scan s;
    memset(&s, 0xA5, sizeof(s));
    json_scan_init(&s, paths, mode, log_one, &log);
    for (size_t at = 0; at < text.n;) {
        size_t n = cut_size(cutting, text.n - at, &seed);
        feed_piece(&s, text.p + at, n);
        at += n;
        struct json_scan moved = s; /* nothing in the state may point into itself */
        memset(&s, 0x5A, sizeof(s));
        s = moved;
    }
    enum json_state end = json_scan_end(&s);
    buf_printf(&log, "%s at %llu",
               end == JSON_DONE  ? "done"
               : end == JSON_BAD ? "bad"
                                 : "more",
               (unsigned long long)json_scan_offset(&s));
    return log;
}
