/* Live numbers as JSON, for the admin's API and for a tenant's own question. */
#include <string.h>

#include "base/json_text.h"
#include "facts/names.h"
#include "live_parts.h"

static void name_put(struct buf *out, uint32_t name) {
    if (name == NAME_NONE)
        buf_append_text(out, "null");
    else
        json_text_string(out, name_of(name));
}

static void keys_put(struct buf *out, const struct live_question *q, const struct traffic_key *key) {
    for (int k = 0; k < TRAFFIC_PART_COUNT; k++) {
        if (!q->by[k]) continue;
        json_text_string(out, traffic_part_name((enum traffic_part)k));
        buf_append(out, ":", 1);
        name_put(out, traffic_part_of(key, (enum traffic_part)k));
        buf_append(out, ",", 1);
    }
}

static void health_put(struct buf *out, const struct live_extra *extra, const struct traffic_key *key) {
    const char *health = extra->health != NULL ? extra->health(extra->context, key->provider, key->model) : NULL;
    buf_append_text(out, "\"health\":");
    if (health != NULL)
        json_text_string(out, slice_of(health));
    else
        buf_append_text(out, "null");
    buf_append(out, ",", 1);
}

static void by_put(struct buf *out, const struct live_question *q) {
    bool first = true;
    buf_append_text(out, "\"by\":[");
    for (int k = 0; k < TRAFFIC_PART_COUNT; k++) {
        if (!q->by[k]) continue;
        if (!first) buf_append(out, ",", 1);
        json_text_string(out, traffic_part_name((enum traffic_part)k));
        first = false;
    }
    buf_append(out, "]", 1);
}

static void rows_put(struct buf *out, const struct live_question *q, const struct live_answer *a,
                     const struct row_style *style, const struct live_extra *extra) {
    buf_append_text(out, ",\"rows\":[");
    for (size_t i = 0; i < a->rows.count; i++) {
        const struct row_entry *e = &a->rows.entries[i];
        buf_append_text(out, i > 0 ? ",{" : "{");
        keys_put(out, q, &e->key);
        if (extra != NULL) health_put(out, extra, &e->key);
        row_write(out, &e->row, style);
        buf_append(out, "}", 1);
    }
    buf_append_text(out, "],\"other\":");
    if (a->any_other) {
        buf_append(out, "{", 1);
        row_write(out, &a->other, style);
        buf_append(out, "}", 1);
    } else {
        buf_append_text(out, "null");
    }
    buf_append_text(out, ",\"total\":{");
    row_write(out, &a->total, style);
    buf_append(out, "}", 1);
}

/* One that is missing under this replica's own name is what it was before it was restarted. */
static void others_put(struct buf *out, const struct live_answer *a, struct slice own, bool missing, bool first) {
    for (unsigned i = 0; i < a->other_count; i++) {
        if (a->others[i].missing != missing || (missing && slice_equal(slice_of(a->others[i].name), own))) continue;
        if (!first) buf_append(out, ",", 1);
        json_text_string(out, slice_of(a->others[i].name));
        first = false;
    }
}

void live_write(struct buf *out, const struct live_question *q, const struct live_answer *a,
                const struct live_extra *extra) {
    char time[CLOCK_RFC3339_BYTES];
    const struct row_style style = {.window_ns = a->covered_ns, .measures = true, .gauges = true};
    clock_format_rfc3339(a->unix_ns != 0 ? a->unix_ns : clock_real_ns(), time);
    buf_printf(out, "{\"time\":\"%s\",\"window_s\":%llu,\"scope\":\"%s\",", time,
               (unsigned long long)(q->window_ns / NS_PER_S), a->fleet ? "fleet" : "replica");
    if (extra != NULL) {
        buf_append_text(out, "\"replicas\":[");
        json_text_string(out, extra->replica);
        others_put(out, a, extra->replica, false, false);
        buf_append_text(out, "],\"missing_replicas\":[");
        others_put(out, a, extra->replica, true, true);
        buf_append_text(out, "],");
    }
    by_put(out, q);
    rows_put(out, q, a, &style, extra);
    if (extra != NULL) {
        static const char *const words[] = {"null", "false", "true"};
        row_measure_write(out, "loop_lag_ms", &a->lag);
        buf_printf(out, ",\"redis_up\":%s,\"dropped\":{\"records\":%llu,\"spans\":%llu}", words[extra->redis_up + 1],
                   (unsigned long long)extra->dropped_records, (unsigned long long)extra->dropped_spans);
    }
    buf_append(out, "}", 1);
}

/* ---- a tenant's own ---- */

static struct live_cached *cached_find(struct live *l, uint32_t tenant, uint64_t window_ns) {
    uint64_t to_ns = l->fine_count > 0 ? l->fine[l->fine_count - 1]->to_ns : 0;
    for (unsigned i = 0; i < LIVE_CACHED; i++) {
        struct live_cached *c = &l->cached[i];
        if (c->tenant == tenant && c->window_ns == window_ns && c->to_ns == to_ns && to_ns != 0) return c;
    }
    return NULL;
}

static bool cached_get(struct live *l, uint32_t tenant, uint64_t window_ns, struct buf *out) {
    pthread_mutex_lock(&l->lock);
    const struct live_cached *c = cached_find(l, tenant, window_ns);
    if (c != NULL) buf_append_slice(out, buf_slice(&c->text));
    pthread_mutex_unlock(&l->lock);
    return c != NULL;
}

/* As of the newest window now: if another came meanwhile, the answer is a second old for a second. */
static void cached_put(struct live *l, uint32_t tenant, uint64_t window_ns, struct slice text) {
    pthread_mutex_lock(&l->lock);
    if (l->fine_count > 0 && cached_find(l, tenant, window_ns) == NULL) {
        struct live_cached *c = &l->cached[l->cached_next++ % LIVE_CACHED];
        c->tenant = tenant;
        c->window_ns = window_ns;
        c->to_ns = l->fine[l->fine_count - 1]->to_ns;
        c->text.start = c->text.end = 0;
        buf_append_slice(&c->text, text);
    }
    pthread_mutex_unlock(&l->lock);
}

void live_write_tenant(struct live *l, uint32_t tenant, uint64_t window_ns, struct buf *out) {
    struct live_question q = {.window_ns = window_ns, .by[TRAFFIC_PART_model] = true, .filter_count = 1};
    struct live_answer a;
    struct buf text = {0};
    if (cached_get(l, tenant, window_ns, out)) return;
    q.filters[0] = (struct live_filter){TRAFFIC_PART_tenant, name_of(tenant)};
    live_ask(l, &q, &a);
    live_write(&text, &q, &a, NULL);
    live_answer_clear(&a);
    cached_put(l, tenant, window_ns, buf_slice(&text));
    buf_append_slice(out, buf_slice(&text));
    buf_clear(&text);
}

bool live_window_parse(struct slice text, uint64_t *window_ns) {
    uint64_t number, unit = NS_PER_S;
    if (text.n < 2) return false;
    char last = text.p[text.n - 1];
    if (last != 's' && last != 'm') return false;
    if (last == 'm') unit *= 60;
    if (!slice_to_u64((struct slice){text.p, text.n - 1}, &number) || number > LIVE_WINDOW_MAX_NS / unit) return false;
    *window_ns = number * unit;
    return *window_ns >= LIVE_WINDOW_MIN_NS;
}
