/* Any reply to the limiter's scripts: what is taken holds possible numbers only. A byte tells each item's type, eight
 * its number. */
/* fuzz-sources: src/limit/replies.c */
#include <assert.h>
#include <string.h>

#include "../../src/limit/replies.h"

enum { ITEMS_MAX = 512 };

static void check_amounts(const struct limit_amounts *a) {
    assert(a->running >= 0 && a->tokens >= 0 && a->requests_ahead >= 0 && a->tokens_ahead >= 0);
    assert(a->day_pico >= 0 && a->month_pico >= 0);
}

static void check_rows(const struct limit_rows *rows) {
    assert(rows->count <= LIMIT_COUNT);
    for (unsigned i = 0; i < rows->count; i++) {
        assert(rows->rows[i].kind < LIMIT_COUNT);
        assert(rows->rows[i].used <= INT64_MAX && rows->rows[i].reserved <= INT64_MAX);
    }
}

static void check(const struct redis_reply *reply) {
    struct take_reply take;
    struct sync_reply sync;
    struct limit_rows rows[64];
    for (unsigned scopes = 1; scopes <= 2; scopes++) {
        if (!take_reply_read(reply, scopes, &take)) continue;
        assert(take.kind < LIMIT_COUNT && (scopes > 1 || !take.of_model));
        for (unsigned i = 0; i < scopes; i++) check_rows(&take.rows[i]);
    }
    for (unsigned scopes = 1; scopes <= SYNC_SCOPES_MAX; scopes++) {
        if (!sync_reply_read(reply, scopes, &sync)) continue;
        for (unsigned i = 0; i < scopes; i++) {
            check_amounts(&sync.scopes[i].held);
            check_amounts(&sync.scopes[i].got);
            check_rows(&sync.scopes[i].rows);
        }
    }
    for (unsigned scopes = 1; scopes <= 64; scopes += 21)
        if (view_reply_read(reply, scopes, rows))
            for (unsigned i = 0; i < scopes; i++) check_rows(&rows[i]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static struct redis_reply items[ITEMS_MAX];
    struct redis_reply reply = {.type = REDIS_ARRAY, .items = items};
    if (size > 0 && data[0] == 0xff) reply.type = REDIS_INTEGER;
    for (size_t at = 0; at + 9 <= size && reply.count < ITEMS_MAX; at += 9) {
        int64_t number;
        memcpy(&number, data + at + 1, sizeof number);
        items[reply.count++] =
            (struct redis_reply){.type = data[at] % 16 == 15 ? REDIS_STRING : REDIS_INTEGER, .integer = number};
    }
    check(&reply);
    return 0;
}
