/* Writing one LogRecord: the access log's line with the trace it belongs to, and the few attributes logs are searched
 * by. What failed is an error, what was refused a warning. */
#include "logs.h"

#include "attribute.h"
#include "base/clock.h"
#include "facts/names.h"
#include "messages.h"

static const struct {
    unsigned number;
    struct slice text;
} severities[SOURCE_COUNT] = {
    [SOURCE_NONE] = {9, SLICE_INIT("INFO")},      [SOURCE_CLIENT] = {9, SLICE_INIT("INFO")},
    [SOURCE_POLICY] = {13, SLICE_INIT("WARN")},   [SOURCE_PROVIDER] = {17, SLICE_INIT("ERROR")},
    [SOURCE_GATEWAY] = {17, SLICE_INIT("ERROR")},
};

void log_record_put(struct buf *out, const struct view *v, struct slice line) {
    const struct record *r = v->r;
    size_t mark = proto_open(out, SCOPE_ITEMS);
    proto_fixed64(out, LOG_TIME, (uint64_t)r->start_unix_ns + r->total_ns);
    proto_fixed64(out, LOG_OBSERVED_TIME, (uint64_t)r->start_unix_ns + r->total_ns);
    proto_uint(out, LOG_SEVERITY_NUMBER, severities[r->error_source].number);
    proto_text(out, LOG_SEVERITY_TEXT, severities[r->error_source].text);
    size_t body = proto_open(out, LOG_BODY);
    proto_text(out, ANY_STRING, line);
    proto_close(out, body);
    attribute_text(out, LOG_ATTRIBUTES, "weir.tenant", name_of(r->tenant));
    attribute_text(out, LOG_ATTRIBUTES, "weir.provider", name_of(r->provider));
    attribute_text(out, LOG_ATTRIBUTES, "gen_ai.request.model", name_of(r->model));
    attribute_text(out, LOG_ATTRIBUTES, "weir.error", slice_of(failure_row((enum failure)r->error)->name));
    attribute_put(out, LOG_ATTRIBUTES, SLICE("http.response.status_code"), value_int(r->status));
    proto_fixed32(out, LOG_FLAGS, r->trace_flags);
    proto_bytes(out, LOG_TRACE_ID, r->trace_id, sizeof r->trace_id);
    proto_bytes(out, LOG_SPAN_ID, r->span_id, sizeof r->span_id);
    proto_text(out, LOG_EVENT_NAME, SLICE("weir.exchange"));
    proto_close(out, mark);
}
