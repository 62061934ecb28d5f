/* What /api/usage is asked. A range and its steps are made whole, because counts are kept by whole minutes, hours and
 * days: the answer says which range it is about. A cursor is the last row's place, so that a page goes on behind it
 * whatever was counted meanwhile. */
#include <stddef.h>

#include "api.h"
#include "api_usage.h"
#include "base/clock.h"

enum { LIMIT_DEFAULT = 50, LIMIT_MAX = 500, CURSOR_BYTES_MAX = 4096 };
#define DAY_S INT64_C(86400)

/* ---- cursors: hexadecimal; eight bytes of time, then each name and a NUL ---- */

void usage_cursor_write(struct buf *out, int64_t time_s, const struct slice names[TRAFFIC_PART_COUNT]) {
    struct buf raw = {0};
    for (int shift = 56; shift >= 0; shift -= 8) buf_append(&raw, &(uint8_t){(uint8_t)((uint64_t)time_s >> shift)}, 1);
    for (int i = 0; i < TRAFFIC_PART_COUNT; i++) {
        buf_append_slice(&raw, names[i]);
        buf_append(&raw, "", 1);
    }
    struct slice bytes = buf_slice(&raw);
    hex_encode((const uint8_t *)bytes.p, bytes.n, buf_reserve(out, 2 * bytes.n));
    buf_commit(out, 2 * bytes.n);
    buf_clear(&raw);
}

bool usage_cursor_read(struct slice cursor, struct usage_page *page) {
    size_t n = cursor.n / 2;
    if (cursor.n > CURSOR_BYTES_MAX || n < 8 + TRAFFIC_PART_COUNT) return false;
    uint8_t *bytes = (uint8_t *)buf_reserve(&page->text, n);
    if (!hex_decode(cursor, bytes, n)) return false;
    buf_commit(&page->text, n);
    uint64_t time_s = 0;
    for (int i = 0; i < 8; i++) time_s = time_s << 8 | bytes[i];
    page->after_time_s = (int64_t)time_s;
    if (bytes[n - 1] != '\0') return false;
    struct slice rest = {(const char *)bytes + 8, n - 9};
    for (int i = 0; i < TRAFFIC_PART_COUNT; i++)
        if (!slice_cut(&rest, '\0', &page->after_names[i])) return false;
    page->has_cursor = true;
    return rest.p == NULL;
}

/* ---- parameters ---- */

struct reading {
    int64_t now_unix_ns, from_unix_ns, to_unix_ns;
    uint64_t step_s;
    struct usage_question *question;
    struct usage_page *page;
};

static const char *from_read(struct reading *r, struct slice value) {
    return api_time(value, r->now_unix_ns, &r->from_unix_ns) ? NULL : "not a time";
}

static const char *to_read(struct reading *r, struct slice value) {
    return api_time(value, r->now_unix_ns, &r->to_unix_ns) ? NULL : "not a time";
}

static const char *step_read(struct reading *r, struct slice value) {
    if (!api_duration_s(value, &r->step_s)) return "not a duration";
    return r->step_s == 0 || r->step_s % 60 != 0 || r->step_s > 366 * 86400 ? "not whole minutes, at most a year"
                                                                            : NULL;
}

static const char *by_read(struct reading *r, struct slice value) {
    struct slice item;
    while (slice_cut(&value, ',', &item)) {
        enum traffic_part k;
        if (!traffic_part_find(item, &k)) return "usage is kept by tenant, provider, model and workload";
        r->question->by[k] = true;
    }
    return NULL;
}

static const char *limit_read(struct reading *r, struct slice value) {
    uint64_t limit;
    if (!slice_to_u64(value, &limit) || limit < 1 || limit > LIMIT_MAX) return "not a number from 1 to 500";
    r->page->limit = (unsigned)limit;
    return NULL;
}

static const char *cursor_read(struct reading *r, struct slice value) {
    return usage_cursor_read(value, r->page) ? NULL : "not one of ours";
}

static const struct {
    struct slice name;
    const char *(*read)(struct reading *r, struct slice value);
} parameters[] = {
    {SLICE_INIT("from"), from_read}, {SLICE_INIT("to"), to_read},       {SLICE_INIT("by"), by_read},
    {SLICE_INIT("step"), step_read}, {SLICE_INIT("limit"), limit_read}, {SLICE_INIT("cursor"), cursor_read},
};
enum { PARAMETER_COUNT = sizeof parameters / sizeof *parameters };

static const char *filter_read(struct reading *r, const struct query_pair *pair) {
    struct usage_question *q = r->question;
    enum traffic_part k;
    if (!traffic_part_find(pair->name, &k))
        return "no parameter of this; usage is kept by tenant, provider, model and workload";
    if (q->filter_count == USAGE_FILTERS_MAX) return "too many filters";
    q->filters[q->filter_count++] = (struct usage_filter){k, pair->value};
    return NULL;
}

static const char *pair_read(struct reading *r, const struct query_pair *pair, bool given[PARAMETER_COUNT]) {
    for (size_t i = 0; i < PARAMETER_COUNT; i++) {
        if (!slice_equal(parameters[i].name, pair->name)) continue;
        if (given[i]) return "given twice";
        given[i] = true;
        return parameters[i].read(r, pair->value);
    }
    return filter_read(r, pair);
}

/* What a range without steps is made whole to: what is kept for long enough. */
static int64_t unit_of(int64_t range_s) {
    return range_s > 2 * DAY_S ? DAY_S : range_s > 3 * 3600 ? 3600 : 60;
}

static const char *range_make(const struct reading *r) {
    const int64_t second = (int64_t)NS_PER_S;
    int64_t from_s = r->from_unix_ns / second, to_s = (r->to_unix_ns + second - 1) / second;
    int64_t unit = r->step_s != 0 ? (int64_t)r->step_s : unit_of(to_s - from_s);
    if (from_s >= to_s) return "not before `to`";
    r->question->from_s = from_s - from_s % unit;
    r->question->to_s = to_s + (unit - to_s % unit) % unit;
    r->question->step_s = (uint32_t)r->step_s;
    return NULL;
}

/* The pair's name as a C string to be named in a refusal: only names of our own are shown. */
static const char *field_of(struct slice name) {
    for (size_t i = 0; i < PARAMETER_COUNT; i++)
        if (slice_equal(parameters[i].name, name)) return parameters[i].name.p;
    enum traffic_part k;
    return traffic_part_find(name, &k) ? traffic_part_name(k).p : "query";
}

const char *usage_query_read(const struct query *q, int64_t now_unix_ns, struct usage_question *question,
                             struct usage_page *page, const char **message) {
    struct reading r = {.now_unix_ns = now_unix_ns,
                        .from_unix_ns = now_unix_ns - DAY_S * (int64_t)NS_PER_S,
                        .to_unix_ns = now_unix_ns,
                        .question = question,
                        .page = page};
    bool given[PARAMETER_COUNT] = {false};
    *question = (struct usage_question){0};
    *page = (struct usage_page){.limit = LIMIT_DEFAULT};
    for (unsigned i = 0; i < q->count; i++)
        if ((*message = pair_read(&r, &q->pairs[i], given)) != NULL) return field_of(q->pairs[i].name);
    return (*message = range_make(&r)) != NULL ? "from" : NULL;
}
