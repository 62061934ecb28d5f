/* A record as JSON. Members are fixed: what is not known is null. Texts come from clients and providers; they are escaped
 * by the writer, so that no line can be forged. */
#include "recorder/access_log.h"

#include "base/clock.h"
#include "base/json_text.h"
#include "facts/names.h"
#include "telemetry/traffic.h"

static void name_put(struct buf *out, const char *name) {
    buf_append(out, ",\"", 2);
    buf_append_text(out, name);
    buf_append(out, "\":", 2);
}

static void text_put(struct buf *out, const char *name, struct slice s) {
    name_put(out, name);
    if (s.n == 0) buf_append(out, "null", 4);
    else json_text_string(out, s);
}

static void count_put(struct buf *out, const char *name, uint64_t value) {
    name_put(out, name);
    buf_append_u64(out, value);
}

static void flag_put(struct buf *out, const char *name, bool value) {
    name_put(out, name);
    buf_append_text(out, value ? "true" : "false");
}

static void ms_put(struct buf *out, const char *name, uint64_t ns) {
    name_put(out, name);
    if (ns == TIME_UNKNOWN_NS) buf_append(out, "null", 4);
    else json_text_ms(out, ns);
}

static void usd_put(struct buf *out, const char *name, int64_t pico_usd) {
    name_put(out, name);
    if (pico_usd == COST_UNKNOWN) buf_append(out, "null", 4);
    else json_text_usd(out, pico_usd);
}

static void id_put(struct buf *out, const char *name, const uint8_t *id, size_t bytes) {
    char hex[32];
    bool zero = true;
    for (size_t i = 0; i < bytes; i++) zero = zero && id[i] == 0;
    hex_encode(id, bytes, hex);
    text_put(out, name, zero ? SLICE("") : (struct slice){hex, 2 * bytes});
}

static void tags_put(struct buf *out, struct slice tags) {
    struct slice name, value;
    bool any = false;
    name_put(out, "tags");
    buf_append(out, "{", 1);
    while (tags.n > 0 && slice_cut(&tags, '\0', &name) && slice_cut(&tags, '\0', &value)) {
        if (any) buf_append(out, ",", 1);
        any = true;
        json_text_string(out, name);
        buf_append(out, ":", 1);
        json_text_string(out, value);
    }
    buf_append(out, "}", 1);
}

static void who_put(struct buf *out, const struct record *r, struct slice replica) {
    char time[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(r->start_unix_ns, time);
    buf_append_text(out, "{\"time\":\"");
    buf_append_text(out, time);
    buf_append(out, "\"", 1);
    text_put(out, "replica", replica);
    id_put(out, "trace_id", r->trace_id, sizeof r->trace_id);
    id_put(out, "span_id", r->span_id, sizeof r->span_id);
    id_put(out, "parent_id", r->parent_id, sizeof r->parent_id);
    text_put(out, "tenant", name_of(r->tenant));
    text_put(out, "key_id", name_of(r->key));
    tags_put(out, record_text(r, RECORD_TEXT_TAGS));
    text_put(out, "session", record_text(r, RECORD_TEXT_SESSION));
    text_put(out, "workload", name_of(r->workload));
    text_put(out, "release", record_text(r, RECORD_TEXT_RELEASE));
}

static void what_put(struct buf *out, const struct record *r) {
    const struct failure_row *failure = failure_row((enum failure)r->error);
    text_put(out, "method", record_text(r, RECORD_TEXT_METHOD));
    text_put(out, "path", record_text(r, RECORD_TEXT_PATH));
    text_put(out, "operation", record_text(r, RECORD_TEXT_OPERATION));
    text_put(out, "provider", name_of(r->provider));
    text_put(out, "model_requested", record_text(r, RECORD_TEXT_MODEL_REQUESTED));
    text_put(out, "model", record_text(r, RECORD_TEXT_MODEL));
    flag_put(out, "stream", r->stream);
    count_put(out, "status", r->status);
    text_put(out, "error", slice_of(failure->name));
    text_put(out, "error_source", slice_of(error_source_name((enum error_source)r->error_source)));
    text_put(out, "limit", record_text(r, RECORD_TEXT_LIMIT));
    count_put(out, "attempts", r->attempts);
    text_put(out, "cache", SLICE("off"));
    text_put(out, "finish_reason", record_text(r, RECORD_TEXT_FINISH_REASON));
}

static void counts_put(struct buf *out, const struct record *r) {
    count_put(out, "input_tokens", r->usage.input);
    count_put(out, "output_tokens", r->usage.output);
    count_put(out, "cache_read_tokens", r->usage.cache_read);
    count_put(out, "cache_write_tokens", r->usage.cache_write);
    count_put(out, "reasoning_tokens", r->usage.reasoning);
    flag_put(out, "tokens_estimated", r->usage.estimated);
    usd_put(out, "cost_usd", r->cost_pico_usd);
    usd_put(out, "waste_usd", r->waste_pico_usd);
}

static void phases_put(struct buf *out, const struct record *r) {
    name_put(out, "phases");
    for (int i = 0; i < PHASE_COUNT; i++) {
        buf_append(out, i == 0 ? "{\"" : ",\"", 2);
        buf_append_text(out, phase_name((enum phase)i));
        buf_append_text(out, "_ms\":");
        json_text_ms(out, r->phase_ns[i]);
    }
    buf_append(out, "}", 1);
}

static void times_put(struct buf *out, const struct record *r) {
    ms_put(out, "total_ms", r->total_ns);
    ms_put(out, "ttft_ms", r->ttft_ns);
    ms_put(out, "first_visible_ms", r->first_visible_ns);
    ms_put(out, "tpot_ms", r->tpot_ns);
    count_put(out, "chunks", r->chunks);
    ms_put(out, "gap_max_ms", r->gap_max_ns);
    phases_put(out, r);
    ms_put(out, "limiter_ms", r->limiter_ns);
    ms_put(out, "tls_in_ms", r->tls_in_ns);
    ms_put(out, "settle_ms", r->settle_ns);
    ms_put(out, "overhead_ms", record_overhead_ns(r));
    ms_put(out, "cpu_ms", r->callback_ns);
    ms_put(out, "provider_ms", r->provider_ns);
    name_put(out, "rtt_ms");
    buf_append_text(out, "{\"client\":");
    if (r->rtt_client_ns == 0) buf_append_text(out, "null");
    else json_text_ms(out, r->rtt_client_ns);
    buf_append_text(out, ",\"provider\":");
    if (r->rtt_provider_ns == 0) buf_append_text(out, "null");
    else json_text_ms(out, r->rtt_provider_ns);
    buf_append_text(out, "}");
}

void access_log_line(struct buf *out, const struct record *r, struct slice replica) {
    buf_reserve(out, 2048);
    who_put(out, r, replica);
    what_put(out, r);
    counts_put(out, r);
    times_put(out, r);
    count_put(out, "in_flight", r->in_flight);
    count_put(out, "request_bytes", r->request_bytes);
    count_put(out, "response_bytes", r->response_bytes);
    flag_put(out, "connection_reused", r->connection_reused);
    text_put(out, "client", record_text(r, RECORD_TEXT_CLIENT));
    text_put(out, "user_agent", record_text(r, RECORD_TEXT_USER_AGENT));
    text_put(out, "provider_request_id", record_text(r, RECORD_TEXT_PROVIDER_REQUEST_ID));
    buf_append(out, "}\n", 2);
}
