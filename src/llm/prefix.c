/* Remembering how events begin. The hard part is that skipping must be the same as reading: a snapshot is made only
 * where nothing of the event's own has been found yet (no token, count, finish or error), and where what was found for
 * the whole stream (the model's name) would be found again with the same result. */
#include "prefix.h"

static size_t common_length(const struct prefix *p, struct slice text) {
    size_t max = text.n < p->kept ? text.n : p->kept, n = 0;
    while (n < max && p->bytes[n] == text.p[n]) n++;
    return n;
}

/* Back to behind the last colon: the values of two events may begin with the same letters by chance. */
static size_t trimmed(struct slice text, size_t n) {
    while (n > 0 && text.p[n - 1] != ':') n--;
    return n;
}

static void keep(struct prefix *p, struct slice text) {
    p->kept = (uint16_t)(text.n < PREFIX_BYTES_MAX ? text.n : PREFIX_BYTES_MAX);
    p->length = 0;
    memcpy(p->bytes, text.p, p->kept);
}

static bool is_blank(const struct event *e) {
    return (e->marks & ~(uint32_t)MARK_INDEX) == 0 && e->fresh == 0 && e->finish_length == 0 && e->text_bytes == 0 &&
           e->own == 0 && e->kind == 0 && e->own_bytes == 0;
}

/* Scans the first n bytes, which two events have in common, and keeps the state behind them. */
static size_t learn(struct prefix *p, struct json_scan *scan, const struct event *event, struct slice text, size_t n) {
    bool more = json_scan_feed(scan, text.p, n) == JSON_MORE;
    if (more && is_blank(event)) {
        json_scan_copy(&p->scan, scan);
        p->event = *event;
        p->length = (uint16_t)n;
    } else {
        keep(p, text);
    }
    return n;
}

size_t prefix_take(struct prefix *p, struct json_scan *scan, struct event *event, struct slice text) {
    if (p->length > 0 && text.n >= p->length && memcmp(p->bytes, text.p, p->length) == 0) {
        json_scan_copy(scan, &p->scan);
        *event = p->event;
        return p->length;
    }
    size_t n = trimmed(text, common_length(p, text));
    if (n >= PREFIX_BYTES_MIN) return learn(p, scan, event, text, n);
    keep(p, text);
    return 0;
}
