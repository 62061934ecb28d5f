/* ROW as JSON. What is divided is rounded down to six decimals, all else is exact; dividing by nothing gives null. */
#include "base/clock.h"
#include "base/json_text.h"
#include "telemetry/row.h"

#define MILLION UINT64_C(1000000)

static void member(struct buf *out, const char *name) {
    buf_append_text(out, ",\"");
    buf_append_text(out, name);
    buf_append(out, "\":", 2);
}

static void count_put(struct buf *out, const char *name, uint64_t value) {
    member(out, name);
    buf_append_u64(out, value);
}

static void null_put(struct buf *out, const char *name) {
    member(out, name);
    buf_append_text(out, "null");
}

/* numerator * scale / denominator. */
static uint64_t divided(uint64_t numerator, uint64_t scale, uint64_t denominator) {
    unsigned __int128 value = (unsigned __int128)numerator * scale / denominator;
    return value > UINT64_MAX ? UINT64_MAX : (uint64_t)value;
}

static void share_put(struct buf *out, const char *name, uint64_t part, uint64_t whole) {
    if (whole == 0) {
        null_put(out, name);
        return;
    }
    member(out, name);
    json_text_ms(out, divided(part, MILLION, whole)); /* a number of millionths, as nanoseconds are of a ms */
}

static void rate_put(struct buf *out, const char *name, uint64_t count, uint64_t window_ns) {
    if (window_ns == 0) {
        null_put(out, name);
        return;
    }
    member(out, name);
    json_text_ms(out, divided(count, MILLION * NS_PER_S, window_ns));
}

static void usd_put(struct buf *out, const char *name, uint64_t pico_usd) {
    member(out, name);
    json_text_usd(out, pico_usd > INT64_MAX ? INT64_MAX : (int64_t)pico_usd);
}

void row_measure_write(struct buf *out, const char *name, const struct sparse *s) {
    if (s->count == 0) {
        null_put(out, name);
        return;
    }
    member(out, name);
    buf_append_text(out, "{\"n\":");
    buf_append_u64(out, s->count);
    buf_append_text(out, ",\"p50\":");
    json_text_ms(out, sparse_quantile(s, 0.5));
    buf_append_text(out, ",\"p95\":");
    json_text_ms(out, sparse_quantile(s, 0.95));
    buf_append_text(out, ",\"p99\":");
    json_text_ms(out, sparse_quantile(s, 0.99));
    buf_append_text(out, ",\"max\":");
    json_text_ms(out, s->max);
    buf_append(out, "}", 1);
}

static void measures_put(struct buf *out, const struct row *r) {
#define MEASURE_NAME(id, name) #name "_ms",
    static const char *const names[] = {MEASURES(MEASURE_NAME)};
#undef MEASURE_NAME
    for (int i = 0; i < ROW_MEASURE_COUNT; i++) row_measure_write(out, names[i], &r->measures[i]);
}

static void gauge_put(struct buf *out, const char *name, uint32_t value, bool known) {
    if (known)
        count_put(out, name, value);
    else
        null_put(out, name);
}

void row_write(struct buf *out, const struct row *r, const struct row_style *style) {
    const uint64_t *c = r->counters;
    buf_append_text(out, "\"requests\":");
    buf_append_u64(out, c[ROW_REQUESTS]);
    rate_put(out, "rps", c[ROW_REQUESTS], style->window_ns);
    gauge_put(out, "in_flight", r->in_flight, style->gauges);
    gauge_put(out, "queued", r->queued, style->gauges);
    count_put(out, "errors", c[ROW_ERRORS]);
    count_put(out, "refused", c[ROW_REFUSED]);
    count_put(out, "abandoned", c[ROW_ABANDONED]);
    if (style->measures) measures_put(out, r);
    count_put(out, "input_tokens", c[ROW_INPUT_TOKENS]);
    count_put(out, "output_tokens", c[ROW_OUTPUT_TOKENS]);
    count_put(out, "cache_read_tokens", c[ROW_CACHE_READ_TOKENS]);
    count_put(out, "reasoning_tokens", c[ROW_REASONING_TOKENS]);
    share_put(out, "prompt_cache_share", c[ROW_CACHE_READ_TOKENS], c[ROW_INPUT_TOKENS]);
    share_put(out, "response_cache_share", 0, c[ROW_REQUESTS]); /* no answer comes from a cache of weir's own yet */
    rate_put(out, "output_tokens_per_s", c[ROW_OUTPUT_TOKENS], style->window_ns);
    usd_put(out, "cost_usd", c[ROW_COST]);
    usd_put(out, "waste_usd", c[ROW_WASTE]);
    if (style->window_ns == 0)
        null_put(out, "usd_per_h");
    else
        usd_put(out, "usd_per_h", divided(c[ROW_COST], 3600 * NS_PER_S, style->window_ns));
}
