/* Any bytes as the query of /api/usage: what is taken holds to its bounds, and a cursor that is taken is written again
 * as it was. */
/* fuzz-sources: src/admin/api_usage_query.c src/admin/api.c src/http/query.c src/telemetry/usage_answer.c
 *   src/telemetry/traffic_part.c src/telemetry/usage.c src/telemetry/row.c src/telemetry/sparse.c
 * src/telemetry/histogram.c src/facts/names.c src/base/hash.c src/base/random.c src/base/json_text.c src/base/clock.c
 * src/base/clock_source.c src/base/slice.c src/base/buf.c src/base/mem.c */
#include <assert.h>

#include "../../src/admin/api.h"
#include "../../src/admin/api_usage.h"
#include "base/clock.h"

#define NOW_NS (INT64_C(1795342528) * (int64_t)NS_PER_S)

static void cursor_check(struct slice cursor, const struct usage_page *page) {
    struct buf again = {0};
    usage_cursor_write(&again, page->after_time_s, page->after_names);
    assert(slice_equal_nocase(buf_slice(&again), cursor));
    buf_clear(&again);
}

static void question_check(const struct usage_question *q, const struct usage_page *page) {
    assert(q->from_s >= 0 && q->from_s < q->to_s && q->from_s % 60 == 0 && q->to_s % 60 == 0);
    assert(q->step_s % 60 == 0 && (q->step_s == 0 || (q->to_s - q->from_s) % q->step_s == 0));
    assert(page->limit >= 1 && page->limit <= 500 && q->filter_count <= USAGE_FILTERS_MAX);
    enum usage_level l = usage_question_level(q);
    assert(q->from_s % usage_level_seconds(l) == 0 && q->step_s % usage_level_seconds(l) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct query q;
    struct usage_question question;
    struct usage_page page;
    const char *message;
    if (!query_parse(&q, (struct slice){(const char *)data, size})) return 0;
    if (usage_query_read(&q, NOW_NS, &question, &page, &message) == NULL) {
        question_check(&question, &page);
        for (unsigned i = 0; i < q.count; i++)
            if (slice_equal(q.pairs[i].name, SLICE("cursor"))) cursor_check(q.pairs[i].value, &page);
    }
    buf_clear(&page.text);
    return 0;
}
