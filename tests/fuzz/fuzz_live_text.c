/* Any bytes as another replica's window: what is taken is told again the same, what is not leaves nothing behind. */
/* fuzz-sources: src/telemetry/live_text.c src/telemetry/live.c src/telemetry/traffic_part.c src/telemetry/row.c
 * src/telemetry/row_text.c src/telemetry/changes.c src/telemetry/traffic.c src/telemetry/sparse.c
 * src/telemetry/histogram.c src/facts/names.c src/facts/record.c src/facts/tables.c src/base/hash.c src/base/random.c
 *   src/base/json_text.c src/base/clock.c src/base/clock_source.c src/base/slice.c src/base/buf.c src/base/mem.c */
#include <assert.h>

#include "../../src/telemetry/live_parts.h"

static uint64_t requests_of(struct live *l) {
    struct live_answer a;
    const struct live_question q = {.window_ns = LIVE_WINDOW_MAX_NS, .by[TRAFFIC_PART_model] = true};
    live_ask(l, &q, &a);
    uint64_t requests = a.total.counters[ROW_REQUESTS];
    live_answer_clear(&a);
    return requests;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct live *one = live_new(), *two = live_new();
    if (live_hear(one, 7, SLICE("x"), (struct slice){(const char *)data, size})) {
        struct buf text = {0}, again = {0};
        int64_t last = 0;
        assert(live_tell(one->peers[0].windows, &last, &text));
        assert(live_hear(two, 7, SLICE("x"), buf_slice(&text)));
        assert(requests_of(one) == requests_of(two));
        last = 0;
        assert(live_tell(two->peers[0].windows, &last, &again));
        assert(slice_equal(buf_slice(&text), buf_slice(&again)));
        buf_clear(&text);
        buf_clear(&again);
    } else {
        assert(one->peer_count == 0 && requests_of(one) == 0);
    }
    live_free(one);
    live_free(two);
    return 0;
}
