/* Any bytes as trace fields of a head. Must hold: what is read reads again to itself, and keeps the limits. */
/* fuzz-sources: src/http/trace_context.c src/http/head.c src/http/head_policy.c src/http/bytes.c src/http/fields.c
 * src/http/lines.c src/http/reader.c src/http/start_line.c
 * src/base/slice.c src/base/buf.c src/base/json_text.c src/base/mem.c */
#include <assert.h>

#include "http/trace_context.h"

typedef void list_read(const struct http_head *head, struct buf *out);

static void list_check(const struct http_head *head, enum field_id id, list_read *read, size_t bytes_max) {
    struct buf once = {0}, twice = {0};
    read(head, &once);
    assert(buf_length(&once) <= bytes_max);
    struct field field = {.id = id, .value = buf_slice(&once)};
    struct http_head again = {.fields = &field, .field_count = 1};
    again.first[id] = 1;
    if (buf_length(&once) > 0) read(&again, &twice);
    assert(slice_equal(buf_slice(&once), buf_slice(&twice)));
    buf_clear(&once);
    buf_clear(&twice);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct head_limits limits = {.uri_bytes = 100, .header_bytes = 65536, .fields = 100};
    static struct field fields[HEAD_FIELDS_MAX];
    struct http_head head;
    struct trace_parent t, u;
    char text[TRACEPARENT_BYTES];
    size_t scanned = 0;
    struct buf raw = {0};
    buf_append_text(&raw, "GET / HTTP/1.1\r\nHost: a\r\n");
    buf_append(&raw, data, size);
    buf_append_text(&raw, "\r\n\r\n");
    size_t length = head_end(raw.data, raw.end, &scanned);
    if (length > 0 && head_parse_request(&head, (struct slice){raw.data, length}, fields, &limits) == FAILURE_NONE) {
        if (trace_parent_read(&head, &t)) {
            trace_parent_write(text, &t);
            assert(trace_parent_parse((struct slice){text, sizeof text}, &u));
            assert(memcmp(&t, &u, sizeof t) == 0);
        }
        list_check(&head, FIELD_TRACESTATE, trace_state_read, TRACESTATE_BYTES_MAX);
        list_check(&head, FIELD_BAGGAGE, baggage_read, BAGGAGE_BYTES_MAX);
    }
    buf_clear(&raw);
    return 0;
}
