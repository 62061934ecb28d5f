/* Start lines, and the two places where a URI's parts come from outside: the request target and Host. Only what this
 * gateway serves is taken: HTTP/1.0 and 1.1, origin-form (and `*` with OPTIONS), single spaces. Nothing is decoded, so
 * whoever authenticates a path and whoever dispatches it see the same bytes. */
#include "bytes.h"
#include "lines.h"

#define VERSION_BYTES (sizeof "HTTP/1.1" - 1)

static const struct slice methods[HTTP_METHOD_COUNT] = {
    [HTTP_GET] = SLICE_INIT("GET"),         [HTTP_HEAD] = SLICE_INIT("HEAD"),     [HTTP_POST] = SLICE_INIT("POST"),
    [HTTP_PUT] = SLICE_INIT("PUT"),         [HTTP_DELETE] = SLICE_INIT("DELETE"), [HTTP_PATCH] = SLICE_INIT("PATCH"),
    [HTTP_OPTIONS] = SLICE_INIT("OPTIONS"),
};

struct slice http_method_name(enum http_method m) {
    return methods[m];
}

static bool method_parse(struct slice name, enum http_method *method) {
    for (unsigned m = 0; m < HTTP_METHOD_COUNT; m++)
        if (slice_equal(methods[m], name)) {
            *method = (enum http_method)m;
            return true;
        }
    return false;
}

static bool version_parse(const char *p, bool *http_1_0) {
    if (memcmp(p, "HTTP/1.", VERSION_BYTES - 1) != 0) return false;
    char minor = p[VERSION_BYTES - 1];
    *http_1_0 = minor == '0';
    return minor == '0' || minor == '1';
}

static bool escapes_are_whole(struct slice s) {
    const char *p = s.p, *end = s.p + s.n;
    while (p < end && (p = memchr(p, '%', (size_t)(end - p))) != NULL) {
        if (end - p < 3 || !byte_is(p[1], BYTE_HEX) || !byte_is(p[2], BYTE_HEX)) return false;
        p += 3;
    }
    return true;
}

static bool target_parse(struct http_head *head) {
    struct slice target = head->target;
    if (slice_equal(target, SLICE("*"))) {
        head->path = target;
        return head->method == HTTP_OPTIONS;
    }
    if (target.p[0] != '/') return false;
    const char *mark = memchr(target.p, '?', target.n);
    head->path = (struct slice){target.p, mark ? (size_t)(mark - target.p) : target.n};
    if (mark != NULL) head->query = (struct slice){mark + 1, target.n - head->path.n - 1};
    return bytes_are(head->path, BYTE_PATH) && bytes_are(head->query, BYTE_QUERY) && escapes_are_whole(target);
}

enum failure request_line_parse(struct http_head *head, struct slice line) {
    const char *space = memchr(line.p, ' ', line.n);
    if (space == NULL || space == line.p) return FAILURE_BAD_REQUEST;
    struct slice method = {line.p, (size_t)(space - line.p)};
    size_t around = method.n + 2 + VERSION_BYTES;
    if (line.n <= around || line.p[line.n - VERSION_BYTES - 1] != ' ') return FAILURE_BAD_REQUEST;
    if (!version_parse(line.p + line.n - VERSION_BYTES, &head->http_1_0)) return FAILURE_BAD_REQUEST;
    head->target = (struct slice){space + 1, line.n - around};
    if (memchr(head->target.p, ' ', head->target.n) != NULL) return FAILURE_BAD_REQUEST;
    if (!method_parse(method, &head->method)) return FAILURE_METHOD_NOT_ALLOWED;
    return target_parse(head) ? FAILURE_NONE : FAILURE_BAD_REQUEST;
}

enum failure status_line_parse(struct http_head *head, struct slice line) {
    const size_t fixed = VERSION_BYTES + sizeof " 200 " - 1;
    if (line.n < fixed || !version_parse(line.p, &head->http_1_0)) return FAILURE_BAD_RESPONSE;
    const char *digits = line.p + VERSION_BYTES + 1;
    if (digits[-1] != ' ' || digits[3] != ' ' || !bytes_are((struct slice){digits, 3}, BYTE_DIGIT))
        return FAILURE_BAD_RESPONSE;
    head->status = (unsigned)(digits[0] - '0') * 100 + (unsigned)(digits[1] - '0') * 10 + (unsigned)(digits[2] - '0');
    head->reason = (struct slice){line.p + fixed, line.n - fixed};
    return head->status >= 100 && head->status <= 599 ? FAILURE_NONE : FAILURE_BAD_RESPONSE;
}

static bool port_is_valid(struct slice port) {
    uint64_t number;
    return port.n <= 5 && slice_to_u64(port, &number) && number <= UINT16_MAX;
}

/* An address in brackets is not resolved here: hex digits, colons and dots are enough to keep it from hiding anything.
 */
static bool literal_is_valid(struct slice inner) {
    if (memchr(inner.p, ':', inner.n) == NULL) return false;
    for (size_t i = 0; i < inner.n; i++)
        if (!byte_is(inner.p[i], BYTE_HEX) && inner.p[i] != ':' && inner.p[i] != '.') return false;
    return true;
}

bool host_is_valid(struct slice value) {
    if (value.n == 0) return false;
    const char *end = value.p + value.n, *name_end;
    if (value.p[0] == '[') {
        name_end = memchr(value.p, ']', value.n);
        if (name_end == NULL || !literal_is_valid((struct slice){value.p + 1, (size_t)(name_end - value.p) - 1}))
            return false;
        name_end++;
    } else {
        name_end = memchr(value.p, ':', value.n);
        if (name_end == NULL) name_end = end;
        if (name_end == value.p || !bytes_are((struct slice){value.p, (size_t)(name_end - value.p)}, BYTE_HOST))
            return false;
    }
    return name_end == end ||
           (*name_end == ':' && port_is_valid((struct slice){name_end + 1, (size_t)(end - name_end) - 1}));
}

/* One segment: does it read `.` or `..` once `%2e` is taken for a dot? */
static bool segment_is_dots(struct slice segment) {
    size_t dots = 0;
    while (segment.n > 0) {
        size_t used = segment.p[0] == '.'                                                                ? 1
                      : segment.n >= 3 && slice_equal_nocase((struct slice){segment.p, 3}, SLICE("%2e")) ? 3
                                                                                                         : 0;
        if (used == 0) return false;
        segment.p += used;
        segment.n -= used;
        dots++;
    }
    return dots == 1 || dots == 2;
}

bool path_has_dot_segments(struct slice path) {
    struct slice segment;
    while (slice_cut(&path, '/', &segment))
        if (segment_is_dots(segment)) return true;
    return false;
}
