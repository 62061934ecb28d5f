/* Reading replies: flat arrays of integers below 2^53, as the heads of the scripts in lua/ say. */
#include "replies.h"

#include "base/clock.h"

enum { PICO_A_MICRO = 1000000 };
#define NUMBER_MAX (INT64_C(1) << 53)
#define PERIOD_NUMBER_MAX 10000000

struct numbers { /* what is left of a reply */
    const struct redis_reply *items;
    size_t count;
    bool good;
};

static struct numbers numbers_of(const struct redis_reply *r) {
    bool good = r != NULL && r->type == REDIS_ARRAY;
    return (struct numbers){good ? r->items : NULL, good ? r->count : 0, good};
}

static int64_t next(struct numbers *n, int64_t max) {
    if (n->count == 0 || n->items->type != REDIS_INTEGER || n->items->integer < 0 || n->items->integer > max) {
        *n = (struct numbers){0};
        return 0;
    }
    n->count--;
    return (n->items++)->integer;
}

static int64_t next_money(struct numbers *n) {
    int64_t micro = next(n, INT64_MAX / PICO_A_MICRO - 1);
    return micro * PICO_A_MICRO + next(n, PICO_A_MICRO - 1);
}

static void row_read(struct numbers *n, unsigned scopes, struct limit_rows *rows) {
    int64_t code = next(n, (int64_t)scopes * 8 - 1);
    enum limit_kind kind = (enum limit_kind)(code % 8);
    struct limit_rows *of = &rows[code / 8];
    int64_t used = next(n, NUMBER_MAX), used_pico = next(n, PICO_A_MICRO - 1);
    int64_t reserved = next(n, NUMBER_MAX), reserved_pico = next(n, PICO_A_MICRO - 1), reset_us = next(n, NUMBER_MAX);
    int64_t unit = kind == LIMIT_DAY || kind == LIMIT_MONTH ? PICO_A_MICRO : 1;
    n->good = n->good && kind < LIMIT_COUNT && of->count < LIMIT_COUNT && used <= INT64_MAX / unit - 1 &&
              reserved <= INT64_MAX / unit - 1;
    if (!n->good) return;
    of->rows[of->count++] =
        (struct limit_told){kind, (uint64_t)(used * unit + used_pico), (uint64_t)(reserved * unit + reserved_pico),
                            (uint64_t)reset_us * NS_PER_US};
}

static bool rows_read(struct numbers *n, unsigned scopes, struct limit_rows *rows) {
    for (unsigned i = 0; i < scopes; i++) rows[i].count = 0;
    while (n->good && n->count > 0) row_read(n, scopes, rows);
    return n->good;
}

bool take_reply_read(const struct redis_reply *r, unsigned scopes, struct take_reply *out) {
    struct numbers n = numbers_of(r);
    out->taken = next(&n, 1) == 1;
    out->of_model = next(&n, scopes - 1) == 1;
    out->kind = (enum limit_kind)next(&n, LIMIT_COUNT - 1);
    out->wait_ns = (uint64_t)next(&n, NUMBER_MAX) * NS_PER_US;
    out->day = next(&n, PERIOD_NUMBER_MAX);
    out->month = next(&n, PERIOD_NUMBER_MAX);
    return rows_read(&n, scopes, out->rows);
}

bool sync_reply_read(const struct redis_reply *r, unsigned scopes, struct sync_reply *out) {
    struct numbers n = numbers_of(r);
    struct limit_rows rows[SYNC_SCOPES_MAX];
    out->counted = next(&n, 1) == 1;
    out->day = next(&n, PERIOD_NUMBER_MAX);
    out->month = next(&n, PERIOD_NUMBER_MAX);
    for (unsigned i = 0; i < scopes; i++) {
        struct limit_amounts *held = &out->scopes[i].held, *got = &out->scopes[i].got;
        *held = (struct limit_amounts){.running = next(&n, NUMBER_MAX)};
        held->tokens = next(&n, NUMBER_MAX);
        held->requests_ahead = next(&n, NUMBER_MAX);
        held->tokens_ahead = next(&n, NUMBER_MAX);
        held->day_pico = next_money(&n);
        held->month_pico = next_money(&n);
        *got = (struct limit_amounts){.requests_ahead = next(&n, NUMBER_MAX)};
        got->tokens_ahead = next(&n, NUMBER_MAX);
        got->running = next(&n, NUMBER_MAX);
        got->day_pico = next_money(&n);
        got->month_pico = next_money(&n);
    }
    if (!rows_read(&n, scopes, rows)) return false;
    for (unsigned i = 0; i < scopes; i++) out->scopes[i].rows = rows[i];
    return true;
}

bool view_reply_read(const struct redis_reply *r, unsigned scopes, struct limit_rows *rows) {
    struct numbers n = numbers_of(r);
    return rows_read(&n, scopes, rows);
}
