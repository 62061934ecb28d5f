/* Splits an event stream into pieces without holding any of it: the reader keeps where in a line it stands and at most
 * eight bytes of the field's name. The hard part is the line end, which may be CR, LF or CRLF and cut anywhere: a CR
 * ends the line at once (waiting for the LF would hold an event back), and an LF right after it belongs to it. No size
 * is limited here and nothing is decoded: that is the observer's. */
#include "http/sse.h"

#include "bytes.h"

enum place { LINE_START, NAME, VALUE_START, VALUE }; /* LINE_START is 0: readers begin there */

enum {
    AFTER_CR = 1, /* an LF now is the rest of the last line end */
    STARTED = 2,  /* past the point where a BOM may stand */
    INSIDE = 4,   /* the event has at least one field line */
    HAS_DATA = 8, /* … one of them data */
};

enum line { LINE_OTHER, LINE_DATA, LINE_EVENT, LINE_ERROR, LINE_KINDS }; /* OTHER: comments and fields nobody needs */

static const struct {
    struct slice name;
    enum sse_kind kind;
} lines_known[LINE_KINDS] = {
    [LINE_OTHER] = {SLICE_INIT(""), SSE_MORE},
    [LINE_DATA] = {SLICE_INIT("data"), SSE_DATA},
    [LINE_EVENT] = {SLICE_INIT("event"), SSE_EVENT_NAME},
    [LINE_ERROR] = {SLICE_INIT("error"), SSE_ERROR_FIELD},
};

static enum line line_of(struct slice name) {
    for (unsigned i = LINE_DATA; i < LINE_KINDS; i++)
        if (slice_equal(lines_known[i].name, name)) return (enum line)i;
    return LINE_OTHER;
}

/* What nearly every line begins with, `name: `, when it is all here. */
static enum line line_at(const char *p, const char *end) {
    for (unsigned i = LINE_DATA; i < LINE_KINDS; i++) {
        struct slice name = lines_known[i].name;
        if ((size_t)(end - p) < name.n + 2 || memcmp(p, name.p, name.n) != 0) continue;
        if (p[name.n] == ':' && p[name.n + 1] == ' ') return (enum line)i;
    }
    return LINE_OTHER;
}

/* What one byte meant: a report, and the text that goes with it. */
struct report {
    enum sse_kind kind;
    struct slice text;
};
static const struct report nothing = {SSE_MORE, {NULL, 0}};

static struct report begin_field(struct sse_reader *r, enum line field) {
    r->field = (uint8_t)field;
    r->name_length = 0;
    r->flags |= INSIDE;
    if (field == LINE_EVENT) return (struct report){SSE_EVENT_NAME, {"", 0}};
    if (field != LINE_DATA) return nothing;
    bool again = r->flags & HAS_DATA;
    r->flags |= HAS_DATA;
    return again ? (struct report){SSE_DATA, {"\n", 1}} : nothing;
}

/* The name is complete, at its colon or at the end of a line without one. */
static struct report end_name(struct sse_reader *r) {
    size_t n = r->name_length <= sizeof r->name ? r->name_length : 0;
    return begin_field(r, line_of((struct slice){r->name, n}));
}

static struct report end_line(struct sse_reader *r, char c) {
    struct report report = nothing;
    if (r->state == NAME) report = end_name(r);
    if (r->state == LINE_START && (r->flags & INSIDE)) {
        report.kind = SSE_END;
        r->flags &= (uint8_t) ~(INSIDE | HAS_DATA);
    }
    r->flags |= STARTED;
    if (c == '\r') r->flags |= AFTER_CR;
    r->state = LINE_START;
    r->field = LINE_OTHER;
    return report;
}

static struct report take_name(struct sse_reader *r, char c) {
    if (c == ':' && r->name_length == 0) {
        r->state = VALUE;
        r->field = LINE_OTHER;
        return (struct report){SSE_COMMENT, {NULL, 0}};
    }
    if (c == ':') {
        r->state = VALUE_START;
        return end_name(r);
    }
    if (r->name_length < sizeof r->name) r->name[r->name_length] = c;
    if (r->name_length <= sizeof r->name) r->name_length++; /* one more than fits: no name we know */
    r->state = NAME;
    bool bom = r->name_length == 3 && !(r->flags & STARTED) && memcmp(r->name, "\xef\xbb\xbf", 3) == 0;
    if (bom) {
        r->flags |= STARTED;
        r->name_length = 0;
        r->state = LINE_START;
    }
    return nothing;
}

/* A run of the value up to the line's end. */
static struct report take_value(const struct sse_reader *r, const char *p, const char *end, size_t *used) {
    *used = (size_t)(find_line_end(p, end) - p);
    return (struct report){lines_known[r->field].kind, {p, *used}};
}

static struct report take_piece(struct sse_reader *r, const char *p, const char *end, size_t *used) {
    *used = 1;
    if (*p == '\r' || *p == '\n') {
        struct report report = end_line(r, *p);
        if (*p == '\r' && p + 1 < end) {
            r->flags &= (uint8_t)~AFTER_CR;
            if (p[1] == '\n') *used = 2;
        }
        return report;
    }
    if (r->state == VALUE) return take_value(r, p, end, used);
    enum line line = r->state == LINE_START ? line_at(p, end) : LINE_OTHER;
    if (line != LINE_OTHER) {
        r->state = VALUE;
        *used = lines_known[line].name.n + 2;
        return begin_field(r, line);
    }
    if (r->state != VALUE_START) return take_name(r, *p);
    r->state = VALUE;
    *used = *p == ' ';
    return nothing;
}

size_t sse_take(struct sse_reader *r, const char *p, size_t n, enum sse_kind *kind, struct slice *text) {
    struct report report = nothing;
    size_t at = 0, used;
    if (n > 0 && (r->flags & AFTER_CR)) {
        r->flags &= (uint8_t)~AFTER_CR;
        at = *p == '\n';
    }
    while (at < n && report.kind == SSE_MORE) {
        report = take_piece(r, p + at, p + n, &used);
        at += used;
    }
    *kind = report.kind;
    *text = report.text;
    return at;
}

bool sse_inside_event(const struct sse_reader *r) {
    return (r->flags & INSIDE) || r->state == NAME;
}

bool sse_between_events(const struct sse_reader *r) {
    return r->state == LINE_START && r->name_length == 0 && r->flags == STARTED;
}
