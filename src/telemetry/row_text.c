/* Rows as text. What is read may come from anywhere: every number is looked at before it is added. */
#include "telemetry/row_text.h"

static void sparse_write(struct buf *out, const struct sparse *s) {
    buf_append(out, ";", 1);
    if (s->count == 0) return;
    buf_append_u64(out, s->sum);
    buf_append(out, ",", 1);
    buf_append_u64(out, s->max);
    for (uint32_t i = 0; i < s->cell_count; i++) {
        buf_append(out, ",", 1);
        buf_append_u64(out, sparse_bucket(s->cells[i]));
        buf_append(out, ":", 1);
        buf_append_u64(out, sparse_count(s->cells[i]));
    }
}

void row_text_write(struct buf *out, const struct row *r, bool measures) {
    for (int i = 0; i < ROW_COUNTER_COUNT; i++) {
        if (i > 0) buf_append(out, ",", 1);
        buf_append_u64(out, r->counters[i]);
    }
    for (int i = 0; measures && i < ROW_MEASURE_COUNT; i++) sparse_write(out, &r->measures[i]);
}

static bool counters_read(struct slice text, struct row *r) {
    struct slice item;
    for (int i = 0; slice_cut(&text, ',', &item); i++) {
        uint64_t value;
        if (!slice_to_u64(item, &value)) return false;
        if (i < ROW_COUNTER_COUNT) r->counters[i] = value;
    }
    return true;
}

static bool cell_read(struct slice text, struct sparse *s) {
    struct slice bucket;
    uint64_t at, count;
    if (!slice_cut(&text, ':', &bucket) || !slice_to_u64(bucket, &at) || !slice_to_u64(text, &count)) return false;
    bool ascends = s->cell_count == 0 || at > sparse_bucket(s->cells[s->cell_count - 1]);
    if (at >= HISTOGRAM_BUCKETS || count == 0 || count > SPARSE_COUNT_MAX || !ascends) return false;
    sparse_add(s, (unsigned)at, count);
    return true;
}

static bool sparse_read(struct slice text, struct sparse *s) {
    struct slice item;
    if (text.n == 0) return true;
    if (!slice_cut(&text, ',', &item) || !slice_to_u64(item, &s->sum)) return false;
    if (!slice_cut(&text, ',', &item) || !slice_to_u64(item, &s->max)) return false;
    while (slice_cut(&text, ',', &item))
        if (!cell_read(item, s)) return false;
    return s->count > 0;
}

bool row_text_read(struct slice text, struct row *into) {
    struct row read = {0};
    struct slice item, unknown;
    bool good = slice_cut(&text, ';', &item) && counters_read(item, &read);
    for (int i = 0; good && i < ROW_MEASURE_COUNT && slice_cut(&text, ';', &item); i++)
        good = sparse_read(item, &read.measures[i]);
    while (good && slice_cut(&text, ';', &unknown)) continue;
    if (good) row_add(into, &read);
    row_clear(&read);
    return good;
}
