/* Writing commands in RESP. Without hiredis' formatter, which makes a new string for each command: these go straight to
 * where they wait to be sent. */
#include "command.h"

#include <assert.h>

static const struct slice evalsha_word = SLICE_INIT("$7\r\nEVALSHA\r\n$40\r\n"),
                          eval_word = SLICE_INIT("$4\r\nEVAL\r\n");

static void header_append(struct buf *out, char kind, uint64_t n) {
    char text[24];
    size_t at = sizeof text;
    text[--at] = '\n';
    text[--at] = '\r';
    do text[--at] = (char)('0' + n % 10);
    while (n /= 10);
    text[--at] = kind;
    buf_append(out, text + at, sizeof text - at);
}

void command_begin(struct buf *out, size_t word_count) {
    header_append(out, '*', word_count);
}

void command_word(struct buf *out, struct slice word) {
    header_append(out, '$', word.n);
    buf_append_slice(out, word);
    buf_append(out, "\r\n", 2);
}

void command_number(struct buf *out, uint64_t value) {
    char digits[20];
    size_t at = sizeof digits;
    do digits[--at] = (char)('0' + value % 10);
    while (value /= 10);
    command_word(out, (struct slice){digits + at, sizeof digits - at});
}

void command_append(struct buf *out, const struct slice *words, size_t count) {
    command_begin(out, count);
    for (size_t i = 0; i < count; i++) command_word(out, words[i]);
}

void command_evalsha(struct buf *out, const struct redis_script *s, const struct slice *words, size_t count,
                     size_t key_count) {
    command_begin(out, count + 3);
    buf_append_slice(out, evalsha_word);
    buf_append(out, s->sha1, REDIS_SHA1_DIGITS);
    buf_append(out, "\r\n", 2);
    command_number(out, key_count);
    for (size_t i = 0; i < count; i++) command_word(out, words[i]);
}

/* The array's header of an EVALSHA, and all that follows its digest. */
static void evalsha_split(struct slice evalsha, struct slice *header, struct slice *rest) {
    const char *line_end = memchr(evalsha.p, '\n', evalsha.n);
    assert(line_end != NULL);
    header->p = evalsha.p;
    header->n = (size_t)(line_end + 1 - evalsha.p);
    size_t skip = header->n + evalsha_word.n + REDIS_SHA1_DIGITS + 2;
    assert(skip <= evalsha.n);
    *rest = (struct slice){evalsha.p + skip, evalsha.n - skip};
}

static size_t bulk_header_bytes(size_t n) {
    size_t digits = 1;
    while (n /= 10) digits++;
    return digits + 3;
}

size_t command_eval_bytes(const struct redis_script *s, struct slice evalsha) {
    struct slice header, rest;
    evalsha_split(evalsha, &header, &rest);
    return header.n + eval_word.n + bulk_header_bytes(s->source.n) + s->source.n + 2 + rest.n;
}

void command_eval_from(struct buf *out, const struct redis_script *s, struct slice evalsha) {
    struct slice header, rest;
    evalsha_split(evalsha, &header, &rest);
    buf_append_slice(out, header);
    buf_append_slice(out, eval_word);
    command_word(out, s->source);
    buf_append_slice(out, rest);
}
