/* The observer: finds out how an answer's body is framed, hands the JSON in it to the scanner without keeping a byte,
 * and leaves the meaning to the reading (reading.c) and its dialect tables. The hard part is that any call may end
 * anywhere: in a UTF-8 sequence, between CR and LF, within `[DONE]`. Changes nothing and never fails: what it cannot
 * read it passes over. */
#include <assert.h>
#include <pthread.h>

#include "http/sse.h"
#include "prefix.h"
#include "reading.h"

static const struct slice done_text = SLICE_INIT("[DONE]");
static const struct slice error_name = SLICE_INIT("error");

struct observer {
    struct reading reading;
    struct json_scan scan;
    struct sse_reader sse;
    struct prefix prefix;
    enum dialect dialect;
    enum operation operation;
    enum answer_shape shape;
    enum json_state json;
    bool stream, shape_known, body_seen, ended;
    bool data_open;                    /* the current event or line has begun */
    uint8_t done_matched;              /* of done_text; above its length: it is something else */
    uint8_t name_matched, name_length; /* of the event's name, against error_name */
};

/* The tables, compiled once and shared by all threads. */
static struct {
    const struct dialect_table *table;
    struct json_paths *paths;
} compiled[] = {{&openai_table}, {&responses_table},    {&anthropic_table}, {&gemini_table},
                {&ollama_table}, {&gemini_array_table}, {&plain_table}};
enum { TABLE_COUNT = sizeof compiled / sizeof *compiled };
static pthread_once_t compile_once = PTHREAD_ONCE_INIT;

static void tables_compile(void) {
    for (size_t i = 0; i < TABLE_COUNT; i++)
        compiled[i].paths = json_paths_new(compiled[i].table->paths, compiled[i].table->path_count);
}

static const struct json_paths *paths_of(const struct dialect_table *table) {
    size_t i = 0;
    while (compiled[i].table != table) i++;
    return compiled[i].paths;
}

static const struct dialect_table *table_for(enum dialect dialect, enum operation operation, enum answer_shape shape) {
    if (operation == OPERATION_COUNT_TOKENS || operation == OPERATION_MODELS) return &plain_table;
    if (dialect == DIALECT_ANTHROPIC) return &anthropic_table;
    if (dialect == DIALECT_GEMINI) return shape == ANSWER_JSON_ARRAY ? &gemini_array_table : &gemini_table;
    if (shape == ANSWER_NDJSON) return &ollama_table;
    bool typed = operation == OPERATION_RESPONSES || operation == OPERATION_IMAGE || operation == OPERATION_SPEECH;
    return typed ? &responses_table : &openai_table;
}

static bool type_is(struct slice content_type, const char *prefix) {
    size_t n = strlen(prefix);
    return content_type.n >= n && slice_equal_nocase((struct slice){content_type.p, n}, (struct slice){prefix, n});
}

static enum answer_shape shape_by_type(struct slice content_type) {
    static const struct {
        const char *prefix;
        enum answer_shape shape;
    } types[] = {{"text/event-stream", ANSWER_SSE},
                 {"application/x-ndjson", ANSWER_NDJSON},
                 {"application/ndjson", ANSWER_NDJSON},
                 {"application/jsonl", ANSWER_NDJSON},
                 {"application/x-jsonl", ANSWER_NDJSON},
                 {"audio/", ANSWER_OPAQUE},
                 {"image/", ANSWER_OPAQUE},
                 {"video/", ANSWER_OPAQUE},
                 {"application/octet-stream", ANSWER_OPAQUE}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (type_is(content_type, types[i].prefix)) return types[i].shape;
    return ANSWER_JSON;
}

/* The first byte that is no white space overrules what the head promised: a stream may be answered with an error
 * object, and servers name their types carelessly. */
static enum answer_shape shape_by_byte(const struct observer *o, unsigned char first) {
    if (first == '{') return o->shape == ANSWER_NDJSON ? ANSWER_NDJSON : ANSWER_JSON;
    if (first == '[') return o->dialect == DIALECT_GEMINI ? ANSWER_JSON_ARRAY : ANSWER_JSON;
    if (o->shape == ANSWER_SSE) return first < 0x20 || (first >= 0x80 && first != 0xef) ? ANSWER_OPAQUE : ANSWER_SSE;
    return o->stream && (first == 'd' || first == 'e' || first == ':') ? ANSWER_SSE : ANSWER_OPAQUE;
}

static void json_begin(struct observer *o) {
    o->json = JSON_MORE;
    json_scan_init(&o->scan, o->scan.paths, JSON_RELAXED, reading_value, &o->reading);
    reading_event_begin(&o->reading);
}

static void shape_settle(struct observer *o, enum answer_shape shape) {
    o->shape = shape;
    o->shape_known = true;
    o->reading.table = table_for(o->dialect, o->operation, shape);
    o->reading.events = shape == ANSWER_SSE || shape == ANSWER_JSON_ARRAY || shape == ANSWER_NDJSON;
    o->scan.paths = paths_of(o->reading.table);
    json_begin(o);
}

size_t observer_bytes(void) {
    return sizeof(struct observer);
}

struct observer *observer_init(void *memory, enum dialect dialect, enum operation operation, bool stream,
                               struct slice content_type, unsigned status) {
    assert(memory != NULL && dialect < DIALECT_COUNT && operation < OPERATION_COUNT);
    pthread_once(&compile_once, tables_compile);
    struct observer *o = memory;
    memset(o, 0, sizeof *o);
    o->dialect = dialect;
    o->operation = operation;
    o->stream = stream;
    o->reading.succeeded = status >= 200 && status < 300;
    shape_settle(o, shape_by_type(slice_trim(content_type)));
    o->shape_known = o->shape == ANSWER_OPAQUE;
    return o;
}

static void done_match(struct observer *o, struct slice text) {
    for (size_t i = 0; i < text.n && o->done_matched < done_text.n; i++) {
        if (text.p[i] == done_text.p[o->done_matched])
            o->done_matched++;
        else if (o->done_matched > 0 || (text.p[i] != ' ' && text.p[i] != '\t'))
            o->done_matched = UINT8_MAX;
    }
}

static void event_open(struct observer *o) {
    if (o->data_open) return;
    o->data_open = true;
    o->done_matched = 0;
    json_begin(o);
}

static void data_take(struct observer *o, struct slice text) {
    bool begins = !o->data_open;
    event_open(o);
    if (o->done_matched < done_text.n) done_match(o, text);
    if (o->done_matched == done_text.n) return; /* event_close() asks no further */
    if (begins)
        o->json = prefix_feed(&o->prefix, &o->scan, &o->reading, text);
    else if (o->json != JSON_BAD)
        o->json = json_scan_feed(&o->scan, text.p, text.n);
}

/* An empty piece begins a value: of several `event:` lines the last one names the event. */
static void name_take(struct observer *o, struct slice text) {
    if (text.n == 0) o->name_length = o->name_matched = 0;
    for (size_t i = 0; i < text.n && o->name_length <= error_name.n; i++, o->name_length++)
        if (o->name_length < error_name.n && text.p[i] == error_name.p[o->name_length]) o->name_matched++;
}

static enum event_verdict event_close(struct observer *o) {
    struct reading *r = &o->reading;
    if (o->name_length == error_name.n && o->name_matched == error_name.n) {
        event_open(o);
        r->event.marks |= MARK_ERROR;
    }
    o->name_length = o->name_matched = 0;
    if (!o->data_open) return EVENT_PASS;
    o->data_open = false;
    if (o->json != JSON_BAD) o->json = json_scan_end(&o->scan);
    bool done = o->done_matched == done_text.n;
    if (o->json == JSON_DONE && !done) return reading_event_end(r);
    uint32_t marks = r->event.marks & MARK_ERROR; /* nothing in an event that is no JSON is to be believed */
    reading_event_begin(r);
    r->event.marks = marks | (done && r->table->done_text ? MARK_END : 0);
    return r->event.marks ? reading_event_end(r) : EVENT_PASS;
}

/* An event that is known but for its token and stands here whole is not even split into lines. Returns its length; 0:
 * it has to be read. */
static size_t event_known(struct observer *o, const char *p, size_t n) {
    static const struct slice begin = SLICE_INIT("data: "), end = SLICE_INIT("\n\n");
    if (n < begin.n || o->data_open || o->name_length > 0 || !sse_between_events(&o->sse)) return 0;
    if (memcmp(p, begin.p, begin.n) != 0) return 0;
    size_t length = begin.n + prefix_whole(&o->prefix, &o->reading, (struct slice){p + begin.n, n - begin.n});
    if (length == begin.n || n - length < end.n || memcmp(p + length, end.p, end.n) != 0) return 0;
    return length + end.n;
}

static size_t events_take(struct observer *o, const char *p, size_t n, bool *ended, enum event_verdict *verdict) {
    size_t used = event_known(o, p, n);
    if (used > 0) {
        *ended = true;
        *verdict = reading_event_end(&o->reading);
        return used;
    }
    while (used < n) {
        enum sse_kind kind;
        struct slice text;
        used += sse_take(&o->sse, p + used, n - used, &kind, &text);
        if (kind == SSE_DATA) {
            data_take(o, text);
        } else if (kind == SSE_END) {
            *ended = true;
            *verdict = event_close(o);
            return used;
        } else if (kind == SSE_EVENT_NAME) {
            name_take(o, text);
        } else if (kind == SSE_ERROR_FIELD) {
            event_open(o);
            o->reading.event.marks |= MARK_ERROR;
        }
    }
    return used;
}

static void lines_take(struct observer *o, const char *p, size_t n) {
    while (n > 0) {
        const char *lf = memchr(p, '\n', n);
        size_t part = lf ? (size_t)(lf - p) : n;
        if (part > 0) data_take(o, (struct slice){p, part});
        if (lf) event_close(o);
        part += lf != NULL;
        p += part;
        n -= part;
    }
}

/* Skips what may stand before the first byte that tells the shape. Returns how many bytes. */
static size_t shape_find(struct observer *o, const char *p, size_t n) {
    size_t i = 0;
    while (i < n && (p[i] == '\n' || p[i] == '\r' || p[i] == ' ' || p[i] == '\t')) i++;
    if (i == n) return n;
    enum answer_shape shape = shape_by_byte(o, (unsigned char)p[i]);
    shape_settle(o, shape);
    return i;
}

size_t observer_take(struct observer *o, const char *p, size_t n, uint64_t wake_ns, bool *ended,
                     enum event_verdict *verdict) {
    *ended = false;
    *verdict = EVENT_PASS;
    if (o->ended) return n;
    o->reading.wake_ns = wake_ns;
    size_t skipped = o->shape_known ? 0 : shape_find(o, p, n);
    if (skipped == n) return n;
    o->body_seen = true;
    if (o->shape == ANSWER_SSE) return skipped + events_take(o, p + skipped, n - skipped, ended, verdict);
    if (o->shape == ANSWER_NDJSON)
        lines_take(o, p + skipped, n - skipped);
    else if (o->shape != ANSWER_OPAQUE && o->json != JSON_BAD)
        o->json = json_scan_feed(&o->scan, p + skipped, n - skipped);
    return n;
}

/* Streams of APIs that weir does not know (pass-through) have no terminator it could miss. */
static bool nothing_recognised(const struct observer *o) {
    return o->operation == OPERATION_PASSTHROUGH && o->reading.choices_seen == 0 && o->reading.seen.chunks == 0;
}

void observer_end(struct observer *o, uint64_t wake_ns) {
    if (o->ended) return;
    o->ended = true;
    o->reading.wake_ns = wake_ns;
    if (o->shape == ANSWER_OPAQUE) {
        o->reading.seen.terminated = true;
        return;
    }
    bool complete = true;
    if (o->shape == ANSWER_SSE || o->shape == ANSWER_NDJSON) {
        event_close(o);
    } else {
        bool readable = o->json != JSON_BAD;
        if (readable) o->json = json_scan_end(&o->scan);
        complete = o->json == JSON_DONE;
        o->reading.seen.unclosed = o->shape == ANSWER_JSON && o->body_seen && readable && !complete;
        if (o->shape == ANSWER_JSON) reading_event_end(&o->reading); /* of a cut answer, what there is */
    }
    reading_end(&o->reading, complete);
    if (nothing_recognised(o)) o->reading.seen.terminated = true;
}

const struct observation *observer_seen(const struct observer *o) {
    return &o->reading.seen;
}

enum answer_shape observer_shape(const struct observer *o) {
    return o->shape;
}

bool observer_started(const struct observer *o) {
    return o->reading.events ? o->reading.seen.first_token_ns != 0 : o->body_seen;
}
