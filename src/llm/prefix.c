/* Remembering how events begin and end. The hard part is that skipping must be the same as reading. So only such values
 * are skipped as change nothing but the event they stand in when they are told once more (is_repeatable()), and the
 * event is put back as they left it; what follows from an event as a whole is worked out anew, by reading_event_end().
 */
#include "prefix.h"

#include <assert.h>

enum { PREFIX_BYTES_MIN = 32, TAILS_LEARNT_MAX = 8, TOKEN_BYTES_MAX = JSON_CAPTURE_BYTES };
static_assert(TAIL_BYTES_MAX <= UINT8_MAX, "its length is kept in a byte");

/* Where the event counts the token's bytes. */
static uint64_t *token_bytes(struct event *e, int token) {
    return token == READ_TEXT ? &e->text_bytes : &e->reasoning_bytes[token - READ_REASONING];
}

static bool begins_with(const struct prefix *p, struct slice text, size_t n) {
    return n > 0 && text.n >= n && memcmp(p->bytes, text.p, n) == 0;
}

/* ---- the token ---- */

/* Where the token whose opening quote is at `from` has its closing one; 0: that must be left to the scanner. */
static size_t token_end(struct slice text, size_t from, bool *escaped) {
    size_t begin = from + 1, at = begin, end = text.n - begin < TOKEN_BYTES_MAX ? text.n : begin + TOKEN_BYTES_MAX;
    *escaped = false;
    for (; at < end && text.p[at] != '"'; at++) {
        unsigned char c = (unsigned char)text.p[at];
        if (c == '\\') {
            *escaped = true;
            if (++at == end) return 0;
            c = (unsigned char)text.p[at];
        }
        if (c < ' ') return 0;
    }
    return at < end && at > begin ? at : 0;
}

static uint64_t token_length(struct slice token, bool escaped) {
    if (!escaped) return token.n;
    struct json_value v = {.type = JSON_STRING, .text = token, .length = token.n, .escaped = true};
    return value_text_bytes(&v);
}

size_t prefix_whole(const struct prefix *p, struct reading *r, struct slice text) {
    size_t begin = p->length + 1u;
    if (p->tail_length == 0 || !begins_with(p, text, begin)) return 0;
    bool escaped;
    size_t end = token_end(text, p->length, &escaped);
    if (end == 0 || text.n - end < p->tail_length || memcmp(text.p + end, p->tail, p->tail_length) != 0) return 0;
    r->event = p->whole;
    *token_bytes(&r->event, p->token) = token_length((struct slice){text.p + begin, end - begin}, escaped);
    return end + p->tail_length;
}

/* ---- learning ---- */

/* What is seen of an event while it is scanned. */
struct notes {
    struct reading *reading;
    uint64_t begin, end; /* of the first token, with its quotes */
    int token;
    unsigned tokens;
    bool repeatable, repeatable_before; /* the values that are no token; … those before the first token */
};

static bool is_token(const struct json_value *v) {
    bool text = v->id == READ_TEXT || (v->id >= READ_REASONING && v->id <= READ_REASONING_THIRD);
    return text && v->type == JSON_STRING && v->length > 0;
}

static bool is_repeatable(const struct dialect_table *table, const struct json_value *v) {
    switch (v->id) {
    case READ_MODEL: /* the first one is kept */
    case READ_TEXT:  /* here and in the next three: empty, or null */
    case READ_REASONING:
    case READ_REASONING_SECOND:
    case READ_REASONING_THIRD:
    case READ_INDEX:
    case READ_CHOICE: /* without a finish: */
    case READ_CHOICES:
    case READ_USAGE: /* without counts, which are in no case here */
    case READ_ERROR:
        return true;
    case READ_FINISH:
        return v->type == JSON_NULL;
    default:
        return v->id >= READ_OWN && (table->own_in_event >> (v->id - READ_OWN) & 1) != 0;
    }
}

static void note_value(void *context, const struct json_value *v) {
    struct notes *n = context;
    if (is_token(v)) {
        if (n->tokens++ == 0)
            n->begin = v->begin, n->end = v->end, n->token = v->id, n->repeatable_before = n->repeatable;
    } else {
        n->repeatable = n->repeatable && is_repeatable(n->reading->table, v);
    }
    reading_value(n->reading, v);
}

static void learn_tail(struct prefix *p, const struct reading *r, struct slice text, const struct notes *n) {
    size_t quote = n->end - 1, length = text.n - quote;
    if (n->tokens > 1 || !n->repeatable || length > TAIL_BYTES_MAX) return;
    memcpy(p->tail, text.p + quote, length);
    p->tail_length = (uint8_t)length;
    p->whole = r->event;
    p->token = n->token;
}

static void learn(struct prefix *p, const struct reading *r, struct slice text, const struct notes *n, bool whole) {
    if (n->tokens == 0 || !n->repeatable_before || n->begin < PREFIX_BYTES_MIN || n->begin >= PREFIX_BYTES_MAX) return;
    if (n->begin != p->length || !begins_with(p, text, n->begin)) {
        if (!begins_with(p, text, p->stem_length)) p->stem_length = 0;
        p->length = (uint16_t)n->begin;
        p->tails_learnt = p->tail_length = 0;
        p->stands = false;
        memcpy(p->bytes, text.p, n->begin + 1u);
    }
    p->tails_learnt++;
    if (whole) learn_tail(p, r, text, n);
}

/* How much of an event stands before the first object or array within. */
static size_t stem_of(struct slice text) {
    size_t n = text.n < PREFIX_BYTES_MAX ? text.n : PREFIX_BYTES_MAX;
    if (n == 0) return 0;
    const char *array = memchr(text.p + 1, '[', n - 1), *object = memchr(text.p + 1, '{', n - 1);
    if (array != NULL && (object == NULL || array < object)) object = array;
    return object != NULL ? (size_t)(object - text.p) : 0;
}

/* Scans the stem and keeps it, if it says nothing of the event itself. Returns its length. */
static size_t learn_stem(struct prefix *p, struct json_scan *scan, struct slice text, const struct notes *n) {
    size_t length = stem_of(text);
    if (length < PREFIX_BYTES_MIN) return 0;
    json_scan_feed(scan, text.p, length);
    if (!n->repeatable || n->reading->event.marks != 0 || !json_scan_save(&p->stem, scan)) return length;
    p->stem_length = (uint16_t)length;
    p->length = 0;
    memcpy(p->bytes, text.p, length);
    return length;
}

/* ---- using ---- */

/* Brings the scanner to where the token begins. */
static void stand_before_token(struct prefix *p, struct json_scan *scan, struct reading *r) {
    if (p->stands) {
        json_scan_restore(scan, &p->before_token);
        r->event = p->before;
        return;
    }
    json_scan_feed(scan, p->bytes, p->length);
    p->stands = json_scan_save(&p->before_token, scan);
    p->before = r->event;
}

static enum json_state feed(struct prefix *p, struct json_scan *scan, struct reading *r, struct slice text,
                            size_t known) {
    struct notes notes = {.reading = r, .repeatable = true};
    json_scan_listen(scan, note_value, &notes);
    if (known == 0) known = learn_stem(p, scan, text, &notes);
    enum json_state state = json_scan_feed(scan, text.p + known, text.n - known);
    json_scan_listen(scan, reading_value, r);
    learn(p, r, text, &notes, state == JSON_DONE);
    return state;
}

enum json_state prefix_feed(struct prefix *p, struct json_scan *scan, struct reading *r, struct slice text) {
    if (!begins_with(p, text, p->stem_length > 0 ? p->stem_length : p->length)) return feed(p, scan, r, text, 0);
    if (p->length == 0 || !begins_with(p, text, p->length + 1u)) {
        if (p->stem_length > 0) json_scan_restore(scan, &p->stem);
        return feed(p, scan, r, text, p->stem_length);
    }
    if (prefix_whole(p, r, text) == text.n) {
        json_scan_known(scan, text.n);
        return JSON_DONE;
    }
    reading_event_begin(r);
    stand_before_token(p, scan, r);
    if (p->tails_learnt < TAILS_LEARNT_MAX) return feed(p, scan, r, text, p->length);
    return json_scan_feed(scan, text.p + p->length, text.n - p->length);
}
