/* GET /weir/usage: where the tenant that asks stands with its limits, and what it has used of them. Counts are the
 * limiter's own: what it does not count is null, never 0. */
#include "base/clock.h"
#include "base/json_text.h"
#include "pipeline/exchange.h"
#include "respond.h"

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

static void totals_put(struct buf *out, const char *name, const struct limit_totals *t) {
    buf_append_text(out, name);
    if (t == NULL) {
        buf_append_text(out, "null");
        return;
    }
    char since[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(t->since_unix_ns, since);
    buf_printf(out,
               "{\"since\":\"%s\",\"requests\":%llu,\"rps\":null,\"in_flight\":null,\"queued\":null,\"errors\":null,"
               "\"refused\":null,\"abandoned\":null,\"input_tokens\":null,\"output_tokens\":null,\"total_tokens\":%llu,"
               "\"cache_read_tokens\":null,\"reasoning_tokens\":null,\"prompt_cache_share\":null,"
               "\"response_cache_share\":null,\"output_tokens_per_s\":null,\"cost_usd\":",
               since, (unsigned long long)t->requests, (unsigned long long)t->tokens);
    json_text_usd(out, t->pico_usd > INT64_MAX ? INT64_MAX : (int64_t)t->pico_usd);
    buf_append_text(out, ",\"waste_usd\":null,\"usd_per_h\":null}");
}

void respond_usage(struct exchange *x) {
    struct buf out = {0};
    char time[CLOCK_RFC3339_BYTES];
    struct limit_usage usage;
    uint64_t now_ns = x->worker->loop->now_ns;
    int64_t unix_ns = clock_wall_ns(now_ns);
    bool limits = x->worker->limiter != NULL;
    bool known = limits && limit_usage(x->worker->limiter, x->tenant, now_ns, unix_ns, &usage);
    clock_format_rfc3339(unix_ns, time);
    buf_append_text(&out, "{\"tenant\":");
    json_text_string(&out, x->tenant->name);
    buf_printf(&out, ",\"time\":\"%s\",\"scope\":\"replica\",\"limits\":[", time);
    if (limits) rows_put(x, &out, now_ns, unix_ns);
    buf_append_text(&out, "]");
    totals_put(&out, ",\"today\":", known ? &usage.today : NULL);
    totals_put(&out, ",\"month\":", known ? &usage.month : NULL);
    buf_append_text(&out, "}");
    respond_json(x, 200, buf_slice(&out));
    buf_clear(&out);
}
