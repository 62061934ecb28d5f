/* What /api/live is asked: parameter by parameter, each said to be wrong by its own name. */
#include "api_live_query.h"

#include "api.h"

static const char *by_read(struct live_question *q, struct slice value) {
    struct slice item;
    enum traffic_part k;
    memset(q->by, 0, sizeof q->by);
    while (value.n > 0 && slice_cut(&value, ',', &item)) {
        if (!traffic_part_find(item, &k)) return "live numbers are kept by tenant, provider, model and workload";
        q->by[k] = true;
    }
    return NULL;
}

static const char *filter_read(struct live_question *q, enum traffic_part k, struct slice value) {
    if (q->filter_count == LIVE_FILTERS_MAX) return "too many filters";
    q->filters[q->filter_count++] = (struct live_filter){k, value};
    return NULL;
}

static const char *pair_read(struct live_question *q, bool *stream, const struct query_pair *pair) {
    enum traffic_part k;
    if (slice_equal(pair->name, SLICE("window")))
        return live_window_parse(pair->value, &q->window_ns) ? NULL : "a window is from 10s to 15m";
    if (slice_equal(pair->name, SLICE("by"))) return by_read(q, pair->value);
    if (traffic_part_find(pair->name, &k)) return filter_read(q, k, pair->value);
    if (!slice_equal(pair->name, SLICE("stream"))) return "no such parameter of live numbers";
    *stream = slice_equal(pair->value, SLICE("1"));
    return *stream || slice_equal(pair->value, SLICE("0")) ? NULL : "0 or 1";
}

bool live_query_read(struct live_query *live, struct slice text, struct buf *body) {
    struct live_question *q = &live->question;
    *q = (struct live_question){.window_ns = LIVE_WINDOW_DEFAULT_NS,
                                .by = {[TRAFFIC_PART_provider] = true, [TRAFFIC_PART_model] = true}};
    live->stream = false;
    if (!query_parse(&live->query, text)) {
        api_bad_query(body, "query", "not a query of UTF-8 names and values");
        return false;
    }
    for (unsigned i = 0; i < live->query.count; i++) {
        const struct query_pair *pair = &live->query.pairs[i];
        const char *wrong = pair_read(q, &live->stream, pair);
        char field[64];
        if (wrong == NULL) continue;
        size_t n = pair->name.n < sizeof field ? pair->name.n : sizeof field - 1;
        memcpy(field, pair->name.p, n);
        field[n] = '\0';
        api_bad_query(body, field, wrong);
        return false;
    }
    return true;
}
