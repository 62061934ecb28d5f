/* A slow, plain model of the event stream format: all bytes are split into lines first, then the lines are read. Both
 * the model and the splitter write what they saw as one text, so that the two can be compared byte for byte. */
#pragma once
#include "base/buf.h"
#include "base/mem.h"
#include "http/sse.h"

struct sse_event { /* being collected */
    struct buf data, name, error;
    bool open;
};

/* Nothing is ever taken off the front of these; an empty one has no memory to point into. */
static inline struct slice sse_text(const struct buf *b) {
    return (struct slice){b->data, b->end};
}

static inline void sse_event_flush(struct buf *log, struct sse_event *e, const char *what) {
    buf_append_text(log, what);
    buf_printf(log, " name=%zu:", buf_length(&e->name));
    buf_append_slice(log, sse_text(&e->name));
    buf_printf(log, " data=%zu:", buf_length(&e->data));
    buf_append_slice(log, sse_text(&e->data));
    buf_printf(log, " error=%zu:", buf_length(&e->error));
    buf_append_slice(log, sse_text(&e->error));
    buf_append_text(log, "|");
    buf_clear(&e->data);
    buf_clear(&e->name);
    buf_clear(&e->error);
    e->open = false;
}

static inline void sse_model_line(struct buf *log, struct sse_event *e, bool *has_data, struct slice line) {
    if (line.n == 0) {
        if (e->open) sse_event_flush(log, e, "event");
        *has_data = false;
        return;
    }
    if (line.p[0] == ':') {
        buf_append_text(log, "comment|");
        return;
    }
    e->open = true;
    const char *colon = memchr(line.p, ':', line.n);
    struct slice name = {line.p, colon ? (size_t)(colon - line.p) : line.n};
    struct slice value = colon ? (struct slice){colon + 1, line.n - name.n - 1} : (struct slice){NULL, 0};
    if (value.n > 0 && value.p[0] == ' ') value.p++, value.n--;
    if (slice_equal(name, SLICE("data"))) {
        if (*has_data) buf_append_text(&e->data, "\n");
        *has_data = true;
        buf_append_slice(&e->data, value);
    } else if (slice_equal(name, SLICE("event"))) {
        buf_clear(&e->name);
        buf_append_slice(&e->name, value);
    } else if (slice_equal(name, SLICE("error"))) {
        buf_append_slice(&e->error, value);
    }
}

static inline void sse_model(struct slice bytes, struct buf *log) {
    struct sse_event e = {0};
    bool has_data = false;
    if (slice_starts(bytes, SLICE("\xef\xbb\xbf"))) bytes.p += 3, bytes.n -= 3;
    size_t start = 0;
    for (size_t i = 0; i < bytes.n; i++) {
        if (bytes.p[i] != '\r' && bytes.p[i] != '\n') continue;
        sse_model_line(log, &e, &has_data, (struct slice){bytes.p + start, i - start});
        if (bytes.p[i] == '\r' && i + 1 < bytes.n && bytes.p[i + 1] == '\n') i++;
        start = i + 1;
    }
    /* an unfinished line: its comment has been announced, its value so far has been handed on */
    struct slice tail = {bytes.p + start, bytes.n - start};
    bool is_field = tail.n > 0 && tail.p[0] != ':';
    if (tail.n > 0 && (!is_field || memchr(tail.p, ':', tail.n) != NULL)) sse_model_line(log, &e, &has_data, tail);
    e.open |= is_field;
    sse_event_flush(log, &e, e.open ? "open" : "closed");
}

static inline void sse_note(struct buf *log, struct sse_event *e, enum sse_kind kind, struct slice text) {
    switch (kind) {
    case SSE_MORE:
        break;
    case SSE_DATA:
        buf_append_slice(&e->data, text);
        break;
    case SSE_EVENT_NAME:
        if (text.n == 0) buf_clear(&e->name);
        buf_append_slice(&e->name, text);
        break;
    case SSE_ERROR_FIELD:
        buf_append_slice(&e->error, text);
        break;
    case SSE_COMMENT:
        buf_append_text(log, "comment|");
        break;
    case SSE_END:
        sse_event_flush(log, e, "event");
        break;
    }
}

/* The splitter over the same bytes: step 0 whole, 1 byte by byte, else random pieces of up to `step`. False when it
 * breaks a promise of its header. */
static inline bool sse_split(struct slice bytes, size_t step, uint32_t seed, struct buf *log) {
    struct sse_reader reader = {0};
    struct sse_event e = {0};
    bool kept = true;
    for (size_t at = 0, piece; at < bytes.n; at += piece) {
        seed = seed * 1664525u + 1013904223u;
        piece = step == 0 ? bytes.n : step == 1 ? 1 : 1 + (seed >> 8) % step;
        if (piece > bytes.n - at) piece = bytes.n - at;
        char *exact = mem_alloc(piece);
        memcpy(exact, bytes.p + at, piece);
        for (size_t used = 0; used < piece && kept;) {
            enum sse_kind kind;
            struct slice text;
            size_t n = sse_take(&reader, exact + used, piece - used, &kind, &text);
            kept = n > 0 && n <= piece - used && (kind != SSE_MORE || n == piece - used);
            sse_note(log, &e, kind, text);
            used += n;
        }
        mem_free(exact);
    }
    sse_event_flush(log, &e, sse_inside_event(&reader) ? "open" : "closed");
    return kept;
}
