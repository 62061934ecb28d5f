/* Asking Redis for a tenant's sums: one call for the hashes of the day and the month, whose fields are a replica's
 * each. When Redis cannot say in time, what this replica has counted is told instead. */
#include "usage_sums.h"

#include "base/clock.h"
#include "redis/usage_key.h"
#include "telemetry/row_text.h"

enum { DAY = 1, MONTH = 2 }; /* the keys of the call, from 1 */
#define PAGE_BYTES "3000000" /* all there is: some ten thousand processes' lives */

static bool reply_take(struct usage_sums *s, const struct redis_reply *page) {
    if (page->type != REDIS_ARRAY || redis_item_integer(page, 0, -1) != 0) return false;
    for (size_t i = 2; i + 2 < page->count; i += 3) {
        int64_t which = redis_item_integer(page, i, 0);
        if (which != DAY && which != MONTH) return false;
        struct usage_period *period = which == DAY ? &s->today : &s->month;
        struct row row = {0};
        if (row_text_read(redis_item_text(page, i + 2), &row))
            for (int c = 0; c < ROW_COUNTER_COUNT; c++) period->row.counters[c] += row.counters[c];
        row_clear(&row);
    }
    return true;
}

static void sums_done(void *context, const struct redis_result *result) {
    struct usage_sums *s = context;
    struct exchange *x = s->exchange;
    s->call = (struct redis_handle){0};
    exchange_callback_begin(x);
    s->known = result->failure == REDIS_OK && reply_take(s, result->reply);
    stage_run(x);
    exchange_callback_end(x);
}

static bool sums_ask(struct usage_sums *s) {
    struct exchange *x = s->exchange;
    struct slice prefix = x->worker->redis_prefix;
    int64_t unix_s = s->unix_ns / (int64_t)NS_PER_S;
    int64_t day_s = usage_day_begin_s(unix_s), month_s = usage_month_begin_s(unix_s);
    struct buf day = {0}, month = {0};
    s->today.since_unix_ns = day_s * (int64_t)NS_PER_S;
    s->month.since_unix_ns = month_s * (int64_t)NS_PER_S;
    usage_key_append(&day, prefix, x->tenant->name, USAGE_KIND_DAY_SUM, day_s);
    usage_key_append(&month, prefix, x->tenant->name, USAGE_KIND_MONTH_SUM, month_s);
    const struct slice words[] = {buf_slice(&day), buf_slice(&month), SLICE(PAGE_BYTES), SLICE("")};
    bool taken = redis_call(x->worker->redis,
                            &(struct redis_call){.script = redis_script(REDIS_SCRIPT_count_read),
                                                 .words = words,
                                                 .word_count = 4,
                                                 .key_count = 2,
                                                 .done = sums_done,
                                                 .context = s},
                            &s->call);
    buf_clear(&day);
    buf_clear(&month);
    return taken;
}

bool usage_sums_shown(struct exchange *x) {
    if (x->sums == NULL) {
        x->sums = arena_alloc(&x->arena, sizeof *x->sums);
        *x->sums = (struct usage_sums){.exchange = x, .unix_ns = clock_wall_ns(x->worker->loop->now_ns)};
    }
    struct usage_sums *s = x->sums;
    if (s->asked || x->worker->redis == NULL) return s->call.generation == 0;
    s->asked = true;
    return !sums_ask(s);
}

void usage_sums_cancel(struct exchange *x) {
    if (x->sums == NULL || x->worker->redis == NULL) return;
    redis_cancel(x->worker->redis, x->sums->call);
    x->sums->call = (struct redis_handle){0};
}
