/* Reading HTTP the plain way: search, compare, convert. */
#include "message.h"

#include <stdlib.h>
#include <string.h>

static const char *find(struct slice s, const char *what) {
    return s.n == 0 ? NULL : memmem(s.p, s.n, what, strlen(what));
}

struct slice message_field(const struct message_view *m, const char *name) {
    struct slice rest = m->fields, line;
    while (slice_cut(&rest, '\n', &line)) {
        const char *colon = memchr(line.p, ':', line.n);
        if (colon == NULL) continue;
        struct slice own = {line.p, (size_t)(colon - line.p)};
        if (slice_equal_nocase(own, slice_of(name))) return slice_trim((struct slice){colon + 1, line.n - own.n - 1});
    }
    return (struct slice){NULL, 0};
}

unsigned message_status(const struct message_view *m) {
    return m->start_line.n > 12 ? (unsigned)strtoul(m->start_line.p + 9, NULL, 10) : 0;
}

/* Decodes as many chunks as there are. True with *used when the last one and its trailer are there. */
static bool chunks_read(struct slice s, struct buf *body, size_t *used) {
    struct slice rest = s;
    for (;;) {
        const char *end = find(rest, "\r\n");
        if (end == NULL) return false;
        size_t size = strtoul(rest.p, NULL, 16), head = (size_t)(end - rest.p) + 2;
        rest = (struct slice){rest.p + head, rest.n - head};
        if (size == 0) break;
        size_t there = size < rest.n ? size : rest.n;
        buf_append(body, rest.p, there);
        if (rest.n < size + 2) return false;
        rest = (struct slice){rest.p + size + 2, rest.n - size - 2};
    }
    const char *end;
    while ((end = find(rest, "\r\n")) != NULL && end != rest.p) {
        size_t n = (size_t)(end - rest.p) + 2;
        rest = (struct slice){rest.p + n, rest.n - n};
    }
    if (end == NULL) return false;
    *used = s.n - rest.n + 2;
    return true;
}

static void body_read_length(struct message_view *m, struct slice rest, size_t head, size_t length) {
    m->complete = rest.n >= length;
    buf_append(&m->body, rest.p, m->complete ? length : rest.n);
    m->length = head + buf_length(&m->body);
}

struct message_view message_read(struct slice bytes, bool is_answer, bool ended) {
    struct message_view m = {0};
    const char *end = find(bytes, "\r\n\r\n"), *line = find(bytes, "\r\n");
    if (end == NULL) return m;
    size_t head = (size_t)(end - bytes.p) + 4, used = 0;
    m.start_line = (struct slice){bytes.p, (size_t)(line - bytes.p)};
    m.fields = (struct slice){line + 2, (size_t)(end - line)};
    m.length = head;
    struct slice rest = {bytes.p + head, bytes.n - head}, length = message_field(&m, "content-length");
    if (message_field(&m, "transfer-encoding").p != NULL) {
        m.complete = chunks_read(rest, &m.body, &used);
        m.length = m.complete ? head + used : bytes.n;
    } else if (length.p != NULL) {
        body_read_length(&m, rest, head, strtoul(length.p, NULL, 10));
    } else if (is_answer && message_status(&m) >= 200) {
        m.until_close = true;
        m.complete = ended;
        buf_append_slice(&m.body, rest);
        m.length = bytes.n;
    } else {
        m.complete = true;
    }
    return m;
}

void message_clear(struct message_view *m) {
    buf_clear(&m->body);
}
