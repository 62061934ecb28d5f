/* A record as JSON. Members are fixed: what is not known is null. Texts come from clients and providers; they are
 * escaped by the writer, so that no line can be forged. One line costs the recorder's thread under a microsecond,
 * which is why room for the longest line this record can make is reserved once, and all that follows writes without
 * asking. */
#include "recorder/access_log.h"

#include <assert.h>

#include "base/clock.h"
#include "base/json_text.h"
#include "facts/names.h"
#include "telemetry/traffic.h"

/* Everything but the texts: 68 members, none with a longer name than provider_request_id. */
#define FIXED_BYTES (70 * (sizeof ",\"provider_request_id\":" + JSON_TEXT_NUMBER_BYTES))
#define HEX_BYTES 32

/* Always inline, so that a member's name is copied by a few stores of constants. */
#define ALWAYS_INLINE static inline __attribute__((always_inline))

#define MEMBER(name) SLICE(",\"" name "\":")

ALWAYS_INLINE char *literal_put(char *at, struct slice literal) {
    memcpy(at, literal.p, literal.n);
    return at + literal.n;
}

ALWAYS_INLINE char *text_put(char *at, struct slice member, struct slice s) {
    at = literal_put(at, member);
    return s.n == 0 ? literal_put(at, SLICE("null")) : json_text_put_string(at, s);
}

ALWAYS_INLINE char *count_put(char *at, struct slice member, uint64_t value) {
    return json_text_put_u64(literal_put(at, member), value);
}

ALWAYS_INLINE char *flag_put(char *at, struct slice member, bool value) {
    at = literal_put(at, member);
    return value ? literal_put(at, SLICE("true")) : literal_put(at, SLICE("false"));
}

ALWAYS_INLINE char *ms_put(char *at, struct slice member, uint64_t ns) {
    at = literal_put(at, member);
    return ns == TIME_UNKNOWN_NS ? literal_put(at, SLICE("null")) : json_text_put_ms(at, ns);
}

ALWAYS_INLINE char *usd_put(char *at, struct slice member, int64_t pico_usd) {
    at = literal_put(at, member);
    return pico_usd == COST_UNKNOWN ? literal_put(at, SLICE("null")) : json_text_put_usd(at, pico_usd);
}

ALWAYS_INLINE char *id_put(char *at, struct slice member, const uint8_t *id, size_t bytes) {
    static const uint8_t none[HEX_BYTES / 2];
    at = literal_put(at, member);
    if (memcmp(id, none, bytes) == 0) return literal_put(at, SLICE("null"));
    *at = '"';
    hex_encode(id, bytes, at + 1);
    at[1 + 2 * bytes] = '"';
    return at + 2 * bytes + 2;
}

/* The first member. Splitting a date is the slow part (and takes libc's time zone lock), so it is done once a
 * second. */
static char *time_put(char *at, int64_t unix_ns) {
    static _Thread_local int64_t kept_s = INT64_MIN;
    static _Thread_local char kept[CLOCK_RFC3339_BYTES];
    int64_t s = unix_ns / (int64_t)NS_PER_S;
    if (s != kept_s) clock_format_rfc3339(s * (int64_t)NS_PER_S, kept);
    kept_s = s;
    at = literal_put(at, SLICE("{\"time\":\""));
    memcpy(at, kept, sizeof kept - 1);
    char *end = at + sizeof kept - 1;
    uint64_t us = (uint64_t)(unix_ns % (int64_t)NS_PER_S) / NS_PER_US;
    for (char *digit = end - 2; us > 0; us /= 10) *digit-- = (char)('0' + us % 10);
    return literal_put(end, SLICE("\""));
}

static char *tags_put(char *at, struct slice tags) {
    struct slice name, value;
    at = literal_put(at, MEMBER("tags"));
    char *open = at;
    *at++ = '{';
    while (tags.n > 0 && slice_cut(&tags, '\0', &name) && slice_cut(&tags, '\0', &value)) {
        at = json_text_put_string(at, name);
        *at++ = ':';
        at = json_text_put_string(at, value);
        *at++ = ',';
    }
    if (at > open + 1) at--;
    *at++ = '}';
    return at;
}

static char *who_put(char *at, const struct record *r, const struct slice *texts, struct slice replica) {
    at = time_put(at, r->start_unix_ns);
    at = text_put(at, MEMBER("replica"), replica);
    at = id_put(at, MEMBER("trace_id"), r->trace_id, sizeof r->trace_id);
    at = id_put(at, MEMBER("span_id"), r->span_id, sizeof r->span_id);
    at = id_put(at, MEMBER("parent_id"), r->parent_id, sizeof r->parent_id);
    at = text_put(at, MEMBER("tenant"), name_of(r->tenant));
    at = text_put(at, MEMBER("key_id"), name_of(r->key));
    at = tags_put(at, texts[RECORD_TEXT_TAGS]);
    at = text_put(at, MEMBER("session"), texts[RECORD_TEXT_SESSION]);
    at = text_put(at, MEMBER("workload"), name_of(r->workload));
    return text_put(at, MEMBER("release"), texts[RECORD_TEXT_RELEASE]);
}

static char *what_put(char *at, const struct record *r, const struct slice *texts) {
    at = text_put(at, MEMBER("method"), texts[RECORD_TEXT_METHOD]);
    at = text_put(at, MEMBER("path"), texts[RECORD_TEXT_PATH]);
    at = text_put(at, MEMBER("operation"), texts[RECORD_TEXT_OPERATION]);
    at = text_put(at, MEMBER("provider"), name_of(r->provider));
    at = text_put(at, MEMBER("model_requested"), texts[RECORD_TEXT_MODEL_REQUESTED]);
    at = text_put(at, MEMBER("model"), texts[RECORD_TEXT_MODEL]);
    at = flag_put(at, MEMBER("stream"), r->stream);
    at = count_put(at, MEMBER("status"), r->status);
    at = text_put(at, MEMBER("error"), slice_of(failure_row((enum failure)r->error)->name));
    at = text_put(at, MEMBER("error_source"), slice_of(error_source_name((enum error_source)r->error_source)));
    at = text_put(at, MEMBER("limit"), texts[RECORD_TEXT_LIMIT]);
    at = count_put(at, MEMBER("attempts"), r->attempts);
    at = literal_put(at, SLICE(",\"cache\":\"off\""));
    return text_put(at, MEMBER("finish_reason"), texts[RECORD_TEXT_FINISH_REASON]);
}

static char *counts_put(char *at, const struct record *r) {
    at = count_put(at, MEMBER("input_tokens"), r->usage.input);
    at = count_put(at, MEMBER("output_tokens"), r->usage.output);
    at = count_put(at, MEMBER("cache_read_tokens"), r->usage.cache_read);
    at = count_put(at, MEMBER("cache_write_tokens"), r->usage.cache_write);
    at = count_put(at, MEMBER("reasoning_tokens"), r->usage.reasoning);
    at = flag_put(at, MEMBER("tokens_estimated"), r->usage.estimated);
    at = usd_put(at, MEMBER("cost_usd"), r->cost_pico_usd);
    return usd_put(at, MEMBER("waste_usd"), r->waste_pico_usd);
}

static char *phases_put(char *at, const struct record *r) {
    at = literal_put(at, MEMBER("phases"));
    char *open = at;
#define PHASE_PUT(id, name, layer) at = ms_put(at, MEMBER(#name "_ms"), r->phase_ns[PHASE_##id]);
    PHASES(PHASE_PUT)
#undef PHASE_PUT
    *open = '{'; /* over the first one's comma */
    *at++ = '}';
    return at;
}

static char *times_put(char *at, const struct record *r) {
    at = ms_put(at, MEMBER("total_ms"), r->total_ns);
    at = ms_put(at, MEMBER("ttft_ms"), r->ttft_ns);
    at = ms_put(at, MEMBER("first_visible_ms"), r->first_visible_ns);
    at = ms_put(at, MEMBER("tpot_ms"), r->tpot_ns);
    at = count_put(at, MEMBER("chunks"), r->chunks);
    at = ms_put(at, MEMBER("gap_max_ms"), r->gap_max_ns);
    at = phases_put(at, r);
    at = ms_put(at, MEMBER("limiter_ms"), r->limiter_ns);
    at = ms_put(at, MEMBER("tls_in_ms"), r->tls_in_ns);
    at = ms_put(at, MEMBER("settle_ms"), r->settle_ns);
    at = ms_put(at, MEMBER("overhead_ms"), record_overhead_ns(r));
    at = ms_put(at, MEMBER("cpu_ms"), r->callback_ns);
    at = ms_put(at, MEMBER("provider_ms"), r->provider_ns);
    at = ms_put(at, SLICE(",\"rtt_ms\":{\"client\":"), r->rtt_client_ns ? r->rtt_client_ns : TIME_UNKNOWN_NS);
    at = ms_put(at, MEMBER("provider"), r->rtt_provider_ns ? r->rtt_provider_ns : TIME_UNKNOWN_NS);
    return literal_put(at, SLICE("}"));
}

static char *transport_put(char *at, const struct record *r, const struct slice *texts) {
    at = count_put(at, MEMBER("in_flight"), r->in_flight);
    at = count_put(at, MEMBER("request_bytes"), r->request_bytes);
    at = count_put(at, MEMBER("response_bytes"), r->response_bytes);
    at = flag_put(at, MEMBER("connection_reused"), r->connection_reused);
    at = text_put(at, MEMBER("client"), texts[RECORD_TEXT_CLIENT]);
    at = text_put(at, MEMBER("user_agent"), texts[RECORD_TEXT_USER_AGENT]);
    return text_put(at, MEMBER("provider_request_id"), texts[RECORD_TEXT_PROVIDER_REQUEST_ID]);
}

/* The texts of a record, and how many bytes they all have. */
static size_t texts_find(const struct record *r, struct slice texts[RECORD_TEXT_COUNT]) {
    size_t bytes = 0;
    for (int i = 0; i < RECORD_TEXT_COUNT; i++) {
        texts[i] = (struct slice){r->text + bytes, r->text_bytes[i]};
        bytes += r->text_bytes[i];
    }
    return bytes;
}

void access_log_line(struct buf *out, const struct record *r, struct slice replica) {
    struct slice texts[RECORD_TEXT_COUNT];
    size_t names = name_of(r->tenant).n + name_of(r->key).n + name_of(r->workload).n + name_of(r->provider).n;
    size_t room = FIXED_BYTES + JSON_TEXT_STRING_BYTES(texts_find(r, texts) + names + replica.n);
    char *begin = buf_reserve(out, room), *at = begin;
    at = who_put(at, r, texts, replica);
    at = what_put(at, r, texts);
    at = counts_put(at, r);
    at = times_put(at, r);
    at = transport_put(at, r, texts);
    at = literal_put(at, SLICE("}\n"));
    assert((size_t)(at - begin) <= room);
    buf_commit(out, (size_t)(at - begin));
}
