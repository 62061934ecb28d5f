/* Remembering how events begin and end. The hard part is that skipping must be the same as reading: a snapshot is made
 * only where nothing of the event's own has been found yet (no token, count, finish or error), and where what was found
 * for the whole stream (the model's name) would be found again with the same result. */
#include "prefix.h"

#include <assert.h>

enum { TAILS_TRIED_MAX = 8, GROWTHS_TRIED_MAX = 4, TOKEN_BYTES_MAX = 256 };
static_assert(TAIL_BYTES_MAX <= UINT8_MAX, "its length is kept in a byte");

static size_t common_length(const struct prefix *p, struct slice text) {
    size_t max = text.n < p->kept ? text.n : p->kept, n = 0;
    for (; n + 8 <= max; n += 8)
        if (memcmp(p->bytes + n, text.p + n, 8) != 0) break;
    while (n < max && p->bytes[n] == text.p[n]) n++;
    return n;
}

/* Back to behind the last colon: the values of two events may begin with the same letters by chance. */
static size_t trimmed(struct slice text, size_t n) {
    while (n > 0 && text.p[n - 1] != ':') n--;
    return n;
}

/* What stands before the first object or array within: names of the answer and of its model, mostly. A stream's first
 * event has nothing to be compared with, but this its next ones are likely to begin with as well. */
static size_t flat_length(struct slice text) {
    size_t n = text.n < PREFIX_BYTES_MAX ? text.n : PREFIX_BYTES_MAX;
    if (n == 0) return 0;
    const char *array = memchr(text.p + 1, '[', n - 1), *object = memchr(text.p + 1, '{', n - 1);
    if (array != NULL && (object == NULL || array < object)) object = array;
    return object != NULL ? (size_t)(object - text.p) : 0;
}

static void keep(struct prefix *p, struct slice text) {
    p->kept = (uint16_t)(text.n < PREFIX_BYTES_MAX ? text.n : PREFIX_BYTES_MAX);
    p->length = p->tail_length = 0;
    memcpy(p->bytes, text.p, p->kept);
}

static bool is_blank(const struct event *e) {
    return (e->marks & ~(uint32_t)MARK_INDEX) == 0 && e->fresh == 0 && e->finish_length == 0 && e->text_bytes == 0 &&
           e->own == 0 && e->kind == 0 && e->own_bytes == 0;
}

static bool snapshot(struct prefix *p, const struct json_scan *scan, const struct event *event, size_t n) {
    if (!is_blank(event)) return false;
    json_scan_copy(&p->scan, scan);
    p->event = *event;
    p->length = (uint16_t)n;
    p->tail_length = 0;
    return true;
}

/* Scans the first n bytes, which two events have in common, and keeps the state behind them. */
static size_t learn(struct prefix *p, struct json_scan *scan, const struct event *event, struct slice text, size_t n) {
    bool more = json_scan_feed(scan, text.p, n) == JSON_MORE;
    bool learnt = more && snapshot(p, scan, event, n);
    keep(p, text);
    if (learnt) p->length = (uint16_t)n;
    return n;
}

/* The first events of a stream often differ where the later ones do not: the prefix that was learnt from them may be
 * shorter than it could be. So a few later ones are compared as well. `scan` is behind the prefix; returns how many
 * bytes it has taken beyond it. */
static size_t grow(struct prefix *p, struct json_scan *scan, const struct event *event, struct slice text) {
    size_t n = trimmed(text, common_length(p, text)), from = p->length;
    p->growths_tried++;
    p->kept = (uint16_t)(text.n < PREFIX_BYTES_MAX ? text.n : PREFIX_BYTES_MAX);
    memcpy(p->bytes + from, text.p + from, p->kept - from);
    if (n <= from) return 0;
    if (json_scan_feed(scan, text.p + from, n - from) != JSON_MORE || !snapshot(p, scan, event, n))
        p->growths_tried = GROWTHS_TRIED_MAX;
    return n - from;
}

/* ---- behind the token ---- */

/* Where the string that begins behind the prefix has its closing quote, if it is a token that can be told by its
 * length: not empty, nothing escaped, all of it here. 0: it is not. */
static size_t token_end(const struct prefix *p, struct slice text) {
    size_t begin = p->length + 1u;
    if (text.n <= begin || text.p[p->length] != '"') return 0;
    const char *quote = memchr(text.p + begin, '"', text.n - begin);
    if (quote == NULL || quote == text.p + begin) return 0;
    size_t end = (size_t)(quote - text.p);
    return memchr(text.p + begin, '\\', end - begin) == NULL ? end : 0;
}

static bool tail_matches(const struct prefix *p, struct slice text, size_t quote) {
    return p->tail_length > 0 && text.n - quote == p->tail_length &&
           memcmp(text.p + quote, p->tail, p->tail_length) == 0;
}

struct tail_values {
    struct reading *reading;
    bool repeatable; /* told once more they would change nothing outside the event */
};

static void tail_value(void *context, const struct json_value *v) {
    struct tail_values *t = context;
    bool nothing = v->type == JSON_NULL && (v->id == READ_FINISH || v->id == READ_USAGE || v->id == READ_ERROR);
    if (!nothing && v->id != READ_CHOICE && v->id != READ_CHOICES && v->id != READ_INDEX) t->repeatable = false;
    reading_value(t->reading, v);
}

static bool is_token_only(const struct event *e, size_t token_bytes) {
    const uint32_t allowed = MARK_VISIBLE | MARK_INDEX | MARK_CHOICES;
    return (e->marks & MARK_VISIBLE) != 0 && (e->marks & ~allowed) == 0 && e->text_bytes == token_bytes &&
           e->fresh == 0 && e->finish_length == 0 && e->own == 0 && e->kind == 0 && e->own_bytes == 0 &&
           (e->reasoning_bytes[0] | e->reasoning_bytes[1] | e->reasoning_bytes[2]) == 0;
}

/* Scans the token and what follows it, apart, and keeps what that came to if another token would have come to the same
 * but for its length. */
static void tail_learn(struct prefix *p, struct json_scan *scan, struct reading *r, struct slice text, size_t quote) {
    size_t token_bytes = quote - p->length - 1;
    struct slice tail = {text.p + quote, text.n - quote};
    struct tail_values values = {r, true};
    p->tails_tried++;
    json_scan_feed(scan, text.p + p->length, quote - p->length);
    bool silent = (r->event.marks & MARK_VISIBLE) == 0; /* the token is told with its closing quote */
    json_scan_feed(scan, tail.p, 1);
    bool text_told = is_token_only(&r->event, token_bytes);
    json_scan_listen(scan, tail_value, &values);
    enum json_state state = json_scan_feed(scan, tail.p + 1, tail.n - 1);
    json_scan_listen(scan, reading_value, r);
    if (state != JSON_DONE || !silent || !text_told || !values.repeatable) return;
    if (!is_token_only(&r->event, token_bytes) || tail.n > TAIL_BYTES_MAX) return;
    memcpy(p->tail, tail.p, tail.n);
    p->tail_length = (uint8_t)tail.n;
    p->tail_event = r->event;
}

static size_t known_take(struct prefix *p, struct json_scan *scan, struct reading *r, struct slice text) {
    size_t quote = token_end(p, text);
    if (quote > 0 && tail_matches(p, text, quote)) {
        r->event = p->tail_event;
        r->event.text_bytes = quote - p->length - 1;
        json_scan_known(scan, text.n);
        return text.n;
    }
    size_t known = p->length;
    json_scan_copy(scan, &p->scan);
    r->event = p->event;
    if (text.n > known && text.p[known] != '"' && p->growths_tried < GROWTHS_TRIED_MAX) {
        known += grow(p, scan, &r->event, text);
        quote = known == p->length ? token_end(p, text) : 0;
    }
    if (quote == 0 || p->tails_tried == TAILS_TRIED_MAX) return known;
    tail_learn(p, scan, r, text, quote);
    return text.n;
}

size_t prefix_take(struct prefix *p, struct json_scan *scan, struct reading *r, struct slice text) {
    if (p->length > 0 && text.n >= p->length && memcmp(p->bytes, text.p, p->length) == 0)
        return known_take(p, scan, r, text);
    size_t n = trimmed(text, p->kept > 0 ? common_length(p, text) : flat_length(text));
    if (n >= PREFIX_BYTES_MIN) return learn(p, scan, &r->event, text, n);
    keep(p, text);
    return 0;
}

/* Where the token ends that begins at `from`: at the first byte that is not plain, or is one too many. */
static size_t plain_end(struct slice text, size_t from) {
    size_t at = from, end = text.n - from < TOKEN_BYTES_MAX ? text.n : from + TOKEN_BYTES_MAX;
    while (at < end && text.p[at] != '"' && text.p[at] != '\\' && (unsigned char)text.p[at] >= ' ') at++;
    return at;
}

size_t prefix_whole(const struct prefix *p, struct reading *r, struct slice text) {
    size_t from = p->length + 1u;
    if (p->tail_length == 0 || text.n < from + p->tail_length || text.p[p->length] != '"') return 0;
    if (memcmp(text.p, p->bytes, p->length) != 0) return 0;
    size_t at = plain_end(text, from);
    if (at == from || text.n - at < p->tail_length || memcmp(text.p + at, p->tail, p->tail_length) != 0) return 0;
    r->event = p->tail_event;
    r->event.text_bytes = at - from;
    return at + p->tail_length;
}
