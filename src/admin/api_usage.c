/* Usage as JSON, page by page. */
#include "api_usage.h"

#include "api.h"
#include "base/clock.h"
#include "base/json_text.h"
#include "facts/names.h"

static void names_of(const struct traffic_key *key, struct slice names[TRAFFIC_PART_COUNT]) {
    for (int k = 0; k < TRAFFIC_PART_COUNT; k++) names[k] = name_of(traffic_part_of(key, (enum traffic_part)k));
}

static int names_compare(struct slice a, struct slice b) {
    size_t n = a.n < b.n ? a.n : b.n;
    int order = n > 0 ? memcmp(a.p, b.p, n) : 0;
    return order != 0 ? order : (a.n > b.n) - (a.n < b.n);
}

/* In the order of usage_answer_sort(). */
static bool comes_after_cursor(const struct usage_page *page, int64_t time_s, const struct slice names[]) {
    if (!page->has_cursor || time_s > page->after_time_s) return true;
    if (time_s < page->after_time_s) return false;
    for (int k = 0; k < TRAFFIC_PART_COUNT; k++) {
        int order = names_compare(names[k], page->after_names[k]);
        if (order != 0) return order > 0;
    }
    return false;
}

/* Rates are over the part of the step that has been counted. */
static uint64_t window_ns(const struct usage_question *q, const struct usage_answer *a, int64_t time_s,
                          int64_t now_unix_ns) {
    const int64_t second = (int64_t)NS_PER_S;
    int64_t end_s = q->step_s == 0 ? q->to_s : time_s + q->step_s;
    int64_t from_ns = (time_s > a->since_s ? time_s : a->since_s) * second;
    int64_t to_ns = end_s * second < now_unix_ns ? end_s * second : now_unix_ns;
    return to_ns > from_ns ? (uint64_t)(to_ns - from_ns) : 0;
}

static void row_put(struct buf *body, const struct usage_question *q, const struct usage_answer *a, int64_t time_s,
                    const struct row_entry *e, int64_t now_unix_ns) {
    const struct row_style style = {.window_ns = window_ns(q, a, time_s, now_unix_ns), .measures = true};
    buf_append_text(body, "{\"time\":");
    api_instant_write(body, time_s);
    for (int k = 0; k < TRAFFIC_PART_COUNT; k++) {
        if (!q->by[k]) continue;
        buf_append(body, ",", 1);
        json_text_string(body, traffic_part_name((enum traffic_part)k));
        buf_append(body, ":", 1);
        uint32_t name = traffic_part_of(&e->key, (enum traffic_part)k);
        if (name == NAME_NONE)
            buf_append_text(body, "null");
        else
            json_text_string(body, name_of(name));
    }
    buf_append(body, ",", 1);
    row_write(body, &e->row, &style);
    buf_append(body, "}", 1);
}

static void by_put(struct buf *body, const struct usage_question *q) {
    bool first = true;
    buf_append_text(body, ",\"by\":[");
    for (int k = 0; k < TRAFFIC_PART_COUNT; k++) {
        if (!q->by[k]) continue;
        if (!first) buf_append(body, ",", 1);
        json_text_string(body, traffic_part_name((enum traffic_part)k));
        first = false;
    }
    buf_append(body, "]", 1);
}

static void head_put(struct buf *body, const struct usage_question *q, const struct usage_answer *a,
                     struct slice scope) {
    buf_append_text(body, "{\"from\":");
    api_instant_write(body, q->from_s);
    buf_append_text(body, ",\"to\":");
    api_instant_write(body, q->to_s);
    buf_append_text(body, ",\"step_s\":");
    buf_append_u64(body, q->step_s != 0 ? q->step_s : (uint64_t)(q->to_s - q->from_s));
    buf_append_text(body, ",\"scope\":");
    json_text_string(body, scope);
    buf_append_text(body, ",\"since\":");
    api_instant_write(body, a->since_s);
    by_put(body, q);
}

/* The rows of one page; false when there are more. The last one's place is kept in *last. */
static bool rows_put(struct buf *body, const struct usage_question *q, const struct usage_page *page,
                     const struct usage_answer *a, int64_t now_unix_ns, struct buf *last) {
    unsigned count = 0;
    struct slice names[TRAFFIC_PART_COUNT];
    for (size_t i = 0; i < a->count; i++) {
        const struct usage_answer_step *step = &a->steps[i];
        for (size_t j = 0; j < step->rows.count; j++) {
            names_of(&step->rows.entries[j].key, names);
            if (!comes_after_cursor(page, step->time_s, names)) continue;
            if (count == page->limit) return false;
            if (count++ > 0) buf_append(body, ",", 1);
            row_put(body, q, a, step->time_s, &step->rows.entries[j], now_unix_ns);
            last->start = last->end = 0;
            if (count == page->limit) usage_cursor_write(last, step->time_s, names);
        }
    }
    return true;
}

void usage_answer_write(struct buf *body, const struct usage_question *q, const struct usage_page *page,
                        const struct usage_answer *a, struct slice scope, int64_t now_unix_ns) {
    struct buf last = {0};
    head_put(body, q, a, scope);
    buf_append_text(body, ",\"rows\":[");
    bool all = rows_put(body, q, page, a, now_unix_ns, &last);
    buf_append_text(body, "],\"next\":");
    if (all)
        buf_append_text(body, "null");
    else
        json_text_string(body, buf_slice(&last));
    buf_append(body, "}", 1);
    buf_clear(&last);
}
