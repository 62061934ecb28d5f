/* GET /weir/usage: where the tenant that asks stands with its limits, and what it has used today and this month. The
 * limits' rows are the limiter's, up to this moment; the sums are the recorder's, up to the last whole second. */
#include "base/clock.h"
#include "base/json_text.h"
#include "pipeline/exchange.h"
#include "limiting.h"
#include "respond.h"
#include "usage_sums.h"

static void amount_put(struct buf *out, const char *before, enum limit_kind kind, uint64_t amount) {
    buf_append_text(out, before);
    if (limit_is_money(kind))
        json_text_usd(out, amount > INT64_MAX ? INT64_MAX : (int64_t)amount);
    else
        buf_append_u64(out, amount);
}

static void row_put(struct buf *out, const struct limit_row *row, bool first) {
    buf_append_text(out, first ? "{\"limit\":" : ",{\"limit\":");
    json_text_string(out, limit_name(row->kind));
    buf_append_text(out, ",\"model\":");
    if (row->model.n > 0)
        json_text_string(out, row->model);
    else
        buf_append_text(out, "null");
    amount_put(out, ",\"max\":", row->kind, row->max);
    amount_put(out, ",\"used\":", row->kind, row->used);
    amount_put(out, ",\"reserved\":", row->kind, row->reserved);
    amount_put(out, ",\"remaining\":", row->kind, row->remaining);
    buf_append_text(out, ",\"reset_s\":");
    if (row->kind == LIMIT_CONCURRENT)
        buf_append_text(out, "null");
    else
        buf_append_u64(out, row->reset_ns / NS_PER_S + (row->reset_ns % NS_PER_S != 0));
    buf_append_text(out, "}");
}

/* The tenant's rows, then those of its models: a view of one model holds the tenant's too, which are passed over. */
static void rows_put(struct exchange *x, struct buf *out, uint64_t now_ns, int64_t unix_ns) {
    const struct config_model_limits *models = x->tenant->limits != NULL ? &x->tenant->limits->models : NULL;
    struct limit_row rows[2 * LIMIT_COUNT];
    bool first = true;
    size_t model_count = models != NULL ? models->count : 0;
    for (size_t i = 0; i <= model_count; i++) {
        struct slice model = i == 0 ? SLICE("") : models->items[i - 1].name.text;
        unsigned count = limit_view(x->worker->limiter, x->tenant, model, now_ns, unix_ns, rows);
        for (unsigned r = 0; r < count; r++) {
            if ((rows[r].model.n > 0) != (i > 0)) continue;
            row_put(out, &rows[r], first);
            first = false;
        }
    }
}

static void period_put(struct buf *out, const char *before, const struct usage_period *p, int64_t unix_ns) {
    char since[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(p->since_unix_ns, since);
    buf_printf(out, "%s{\"since\":\"%s\",", before, since);
    const struct row_style style = {.window_ns =
                                        unix_ns > p->since_unix_ns ? (uint64_t)(unix_ns - p->since_unix_ns) : 0};
    row_write(out, &p->row, &style);
    buf_append_text(out, "}");
}

static void periods_put(struct exchange *x, struct buf *out, int64_t unix_ns, bool fleet) {
    struct usage_period today, month;
    if (fleet) {
        period_put(out, ",\"today\":", &x->sums->today, unix_ns);
        period_put(out, ",\"month\":", &x->sums->month, unix_ns);
        return;
    }
    if (x->worker->usage == NULL) {
        buf_append_text(out, ",\"today\":null,\"month\":null");
        return;
    }
    usage_of_tenant(x->worker->usage, x->tenant->name_id, unix_ns, &today, &month);
    period_put(out, ",\"today\":", &today, unix_ns);
    period_put(out, ",\"month\":", &month, unix_ns);
}

void respond_usage(struct exchange *x) {
    struct buf out = {0};
    char time[CLOCK_RFC3339_BYTES];
    uint64_t now_ns = x->worker->loop->now_ns;
    int64_t unix_ns = clock_wall_ns(now_ns);
    bool limits_known = limits_are_fleets(x) || !tenant_is_limited(x->tenant);
    bool fleet = limits_known && x->sums->known;
    clock_format_rfc3339(unix_ns, time);
    buf_append_text(&out, "{\"tenant\":");
    json_text_string(&out, x->tenant->name);
    buf_printf(&out, ",\"time\":\"%s\",\"scope\":\"%s\",\"limits\":[", time, fleet ? "fleet" : "replica");
    if (x->worker->limiter != NULL) rows_put(x, &out, now_ns, unix_ns);
    buf_append_text(&out, "]");
    periods_put(x, &out, unix_ns, fleet);
    buf_append_text(&out, "}");
    respond_json(x, 200, buf_slice(&out));
    buf_clear(&out);
}
