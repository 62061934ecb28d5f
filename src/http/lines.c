/* Where a head ends, and what can be said before it does. The hard part is that a peer must not be able to stall us
 * with a head that ends in a way we do not accept: whatever breaks the line structure ends the head on the spot, and
 * the parser then refuses it. Every answer here depends only on the bytes so far, never on how they were cut; a limit
 * passed or a byte refused in a prefix is refused the same way in the whole. */
#include "lines.h"

#include "bytes.h"

enum {
    LEADING_MAX = 4, /* two empty lines: what is left over by clients that end a body with an extra CRLF */
    METHOD_BYTES_MAX = 32,
    LINE_SLACK_BYTES = METHOD_BYTES_MAX + 16, /* of a request line beyond its target */
    LAST_LINE_BYTES = 2,
};

size_t lines_leading(const char *p, size_t n) {
    size_t at = 0;
    while (at < LEADING_MAX && at + 2 <= n && p[at] == '\r' && p[at + 1] == '\n') at += 2;
    return at;
}

enum scan lines_scan(const char *p, size_t n, size_t *scanned, size_t *length, unsigned *lines) {
    size_t start = lines_leading(p, n), at = *scanned > start ? *scanned : start;
    *lines = 0;
    for (;; at += 2, ++*lines) {
        at = (size_t)(find_control(p + at, p + n) - p);
        *scanned = at; /* a line end that cannot be judged yet is looked at again */
        if (at == n) return SCAN_MORE;
        *length = at + 1;
        if (p[at] != '\r') return SCAN_BROKEN;
        if (at + 1 == n) return SCAN_MORE;
        *length = at + 2;
        if (p[at + 1] != '\n' || at == start) return SCAN_BROKEN;
        if (p[at - 1] == '\n') return SCAN_WHOLE;
        if (at + 2 == n) return SCAN_MORE;
        *length = at + 3;
        if (p[at + 2] == ' ' || p[at + 2] == '\t') return SCAN_BROKEN;
    }
}

size_t head_end(const char *p, size_t n, size_t *scanned) {
    size_t length = 0;
    unsigned lines;
    return lines_scan(p, n, scanned, &length, &lines) == SCAN_MORE ? 0 : length;
}

/* Bytes of field lines so far, given where the start line ended. */
static bool fields_too_large(const char *line_end, const char *end, size_t limit) {
    return (size_t)(end - line_end) > 2 + limit + LAST_LINE_BYTES;
}

static enum failure check_method(struct slice line) {
    size_t at = 0;
    while (at < line.n && at <= METHOD_BYTES_MAX && byte_is(line.p[at], BYTE_TOKEN)) at++;
    if (at > METHOD_BYTES_MAX) return FAILURE_BAD_REQUEST;
    return at == line.n || (line.p[at] == ' ' && at > 0) ? FAILURE_NONE : FAILURE_BAD_REQUEST;
}

static bool target_too_long(struct slice line, size_t limit) {
    const char *space = memchr(line.p, ' ', line.n);
    if (space == NULL) return false;
    const char *target = space + 1, *line_end = line.p + line.n;
    const char *end = memchr(target, ' ', (size_t)(line_end - target));
    return (size_t)((end ? end : line_end) - target) > limit || line.n > limit + LINE_SLACK_BYTES;
}

enum failure head_check_partial(const char *p, size_t n, const struct head_limits *limits) {
    size_t start = lines_leading(p, n);
    struct slice line = {p + start, n - start};
    if (line.n == 0) return FAILURE_NONE;
    if (line.p[0] == '\r') /* a leading line end cut in two, or one too many */
        return line.n == 1 && start < LEADING_MAX ? FAILURE_NONE : FAILURE_BAD_REQUEST;
    const char *cr = memchr(line.p, '\r', line.n);
    if (cr != NULL) line.n = (size_t)(cr - line.p);
    enum failure failure = check_method(line);
    if (failure != FAILURE_NONE) return failure;
    if (target_too_long(line, limits->uri_bytes)) return FAILURE_URI_TOO_LONG;
    if (cr != NULL && fields_too_large(cr, p + n, limits->header_bytes)) return FAILURE_HEAD_TOO_LARGE;
    return FAILURE_NONE;
}

enum failure head_check_partial_answer(const char *p, size_t n, const struct head_limits *limits) {
    static const struct slice begin = SLICE_INIT("HTTP/1.");
    if (memcmp(p, begin.p, n < begin.n ? n : begin.n) != 0) return FAILURE_BAD_RESPONSE;
    const char *cr = memchr(p, '\r', n);
    if ((size_t)((cr ? cr : p + n) - p) > limits->uri_bytes) return FAILURE_BAD_RESPONSE;
    if (cr != NULL && fields_too_large(cr, p + n, limits->header_bytes)) return FAILURE_BAD_RESPONSE;
    return FAILURE_NONE;
}
