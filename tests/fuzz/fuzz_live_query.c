/* Any bytes as the query of /api/live: what is taken holds to its bounds, what is not is answered with valid JSON. */
/* fuzz-sources: src/admin/api_live_query.c src/admin/api.c src/http/query.c src/telemetry/live.c
 *   src/telemetry/traffic_part.c src/telemetry/live_json.c src/telemetry/row.c src/telemetry/row_json.c
 * src/telemetry/sparse.c src/telemetry/histogram.c src/facts/names.c src/base/hash.c src/base/random.c
 * src/base/json_text.c src/base/clock.c src/base/clock_source.c src/base/slice.c src/base/buf.c src/base/mem.c */
#include <assert.h>
#include <jansson.h>

#include "../../src/admin/api_live_query.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct live_query asked;
    struct buf body = {0};
    if (live_query_read(&asked, (struct slice){(const char *)data, size}, &body)) {
        const struct live_question *q = &asked.question;
        assert(q->window_ns >= LIVE_WINDOW_MIN_NS && q->window_ns <= LIVE_WINDOW_MAX_NS);
        assert(q->filter_count <= LIVE_FILTERS_MAX && buf_length(&body) == 0);
        for (unsigned i = 0; i < q->filter_count; i++) assert(q->filters[i].key < TRAFFIC_PART_COUNT);
    } else {
        struct slice text = buf_slice(&body);
        json_t *answer = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, NULL);
        assert(json_is_string(json_object_get(json_object_get(answer, "error"), "message")));
        json_decref(answer);
    }
    buf_clear(&body);
    return 0;
}
