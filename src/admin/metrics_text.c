/* How lines of metrics look, in both formats. They differ in the head of a family (OpenMetrics leaves a counter's
 * _total out of it and tells units), in the exemplars, and in the page's end. */
#include <stdio.h>

#include "base/clock.h"
#include "base/utf8.h"
#include "metrics_page.h"

void family_head(struct page *p, const struct family *f) {
    static const char *const types[] = {"counter", "gauge", "histogram"};
    bool open = p->format == METRICS_OPENMETRICS;
    const char *suffix = f->type == METRIC_COUNTER && !open ? "_total" : "";
    buf_printf(p->out, "# HELP %s%s %s\n# TYPE %s%s %s\n", f->name, suffix, f->help, f->name, suffix, types[f->type]);
    if (open && f->unit[0] != '\0') buf_printf(p->out, "# UNIT %s %s\n", f->name, f->unit);
}

/* A label's value: any text; three characters are escaped, and what is not UTF-8 would make a scraper refuse the
 * page. */
static void value_escape(struct buf *out, struct slice value) {
    for (size_t i = 0, length; i < value.n; i += length) {
        const char *c = value.p + i;
        length = utf8_length((const unsigned char *)c, value.n - i);
        if (length == 0)
            buf_append_text(out, UTF8_REPLACEMENT);
        else if (*c == '\n')
            buf_append(out, "\\n", 2);
        else if (*c == '\\' || *c == '"')
            buf_append(out, (char[]){'\\', *c}, 2);
        else
            buf_append(out, c, length);
        if (length == 0) length = 1;
    }
}

void label_put(struct buf *out, const char *name, struct slice value, bool first) {
    buf_append(out, first ? "{" : ",", 1);
    buf_append_text(out, name);
    buf_append(out, "=\"", 2);
    value_escape(out, value);
    buf_append(out, "\"", 1);
}

void sample_begin(struct page *p, const struct family *f) {
    buf_append_text(p->out, f->name);
    if (f->type == METRIC_COUNTER) buf_append_text(p->out, "_total");
}

void sample_u64(struct page *p, bool labels, uint64_t value) {
    buf_append_text(p->out, labels ? "} " : " ");
    buf_append_u64(p->out, value);
    buf_append(p->out, "\n", 1);
}

void sample_decimal(struct page *p, bool labels, uint64_t whole, uint64_t part, int digits) {
    buf_printf(p->out, "%s%llu.%0*llu\n", labels ? "} " : " ", (unsigned long long)whole, digits,
               (unsigned long long)part);
}

/* ---- histograms ---- */

static void value_text(char *out, size_t bytes, const struct edges *e, uint64_t value) {
    if (e->tokens)
        snprintf(out, bytes, "%llu", (unsigned long long)value);
    else
        snprintf(out, bytes, "%llu.%09llu", (unsigned long long)(value / NS_PER_S),
                 (unsigned long long)(value % NS_PER_S));
}

/* The newest exemplar in (above, up_to]; NULL for none. */
static const struct exemplar *exemplar_in(const struct exemplar *list, unsigned count, uint64_t above, uint64_t up_to) {
    const struct exemplar *found = NULL;
    for (unsigned i = 0; i < count; i++) {
        bool first_bucket = above == 0 && list[i].value == 0;
        if ((list[i].value <= above && !first_bucket) || list[i].value > up_to) continue;
        if (found == NULL || list[i].unix_ns > found->unix_ns) found = &list[i];
    }
    return found;
}

static void exemplar_put(struct page *p, const struct edges *e, const struct exemplar *x) {
    char id[2 * sizeof x->trace_id + 1] = "", value[32];
    hex_encode(x->trace_id, sizeof x->trace_id, id);
    value_text(value, sizeof value, e, x->value);
    long long ms = (long long)(x->unix_ns / (int64_t)NS_PER_MS);
    buf_printf(p->out, " # {trace_id=\"%s\"} %s %lld.%03lld", id, value, ms / 1000, ms % 1000);
}

static void bucket_put(struct page *p, const struct family *f, struct slice labels, const char *le, uint64_t count,
                       const struct exemplar *x) {
    buf_append_text(p->out, f->name);
    buf_append_text(p->out, "_bucket");
    buf_append_slice(p->out, labels);
    buf_append_text(p->out, ",le=\"");
    buf_append_text(p->out, le);
    buf_append(p->out, "\"} ", 3);
    buf_append_u64(p->out, count);
    if (x != NULL && p->format == METRICS_OPENMETRICS) exemplar_put(p, f->edges, x);
    buf_append(p->out, "\n", 1);
}

static void total_put(struct page *p, const struct family *f, const char *suffix, struct slice labels) {
    buf_append_text(p->out, f->name);
    buf_append_text(p->out, suffix);
    buf_append_slice(p->out, labels);
}

void histogram_put(struct page *p, const struct family *f, struct slice labels, const struct histogram_view *v,
                   const struct exemplar *exemplars, unsigned exemplar_count) {
    const struct edges *e = f->edges;
    char text[32];
    uint64_t below = 0, count = 0;
    unsigned bucket = 0;
    for (unsigned edge = e->first; edge <= e->last; edge += e->step) {
        while (bucket < edge) count += v->counts[bucket++];
        uint64_t value = histogram_bucket_edge(edge);
        value_text(text, sizeof text, e, value);
        bucket_put(p, f, labels, text, count, exemplar_in(exemplars, exemplar_count, below, value));
        below = value;
    }
    bucket_put(p, f, labels, "+Inf", v->count, exemplar_in(exemplars, exemplar_count, below, UINT64_MAX));
    total_put(p, f, "_sum", labels);
    if (e->tokens)
        sample_u64(p, true, v->sum);
    else
        sample_decimal(p, true, v->sum / NS_PER_S, v->sum % NS_PER_S, 9);
    total_put(p, f, "_count", labels);
    sample_u64(p, true, v->count);
}
