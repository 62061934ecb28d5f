/* What one process of weir is told by another: frames, lines of ports, counts of limits and notes about them. Whatever
 * the bytes, nothing may break; counts that were taken must be usable, and exported and read again be the same. */
/* fuzz-sources: src/limit/limit.c src/limit/scope.c src/limit/window.c src/limit/bucket.c src/limit/budget.c
 * src/limit/handover.c src/limit/notes.c src/runtime/frames.c src/base/buf.c src/base/mem.c src/base/slice.c
 * src/base/hash.c src/base/clock.c src/base/clock_source.c src/base/random.c src/base/json_text.c */
#include <assert.h>

#include "../../src/runtime/frames.h"
#include "base/clock.h"
#include "limit/handover.h"

static const int64_t noon = INT64_C(1795262400) * 1000000000;

static void frames_read(struct slice bytes) {
    struct frame f;
    for (ssize_t size; bytes.n > 0 && (size = frame_take(bytes, &f)) > 0;) {
        assert((size_t)size <= bytes.n && f.payload.n + FRAME_HEAD_BYTES == (size_t)size);
        struct slice rest = f.payload, kind, address;
        while (ports_line_take(&rest, &kind, &address)) assert(kind.n > 0 && address.n > 0);
        bytes.p += size;
        bytes.n -= (size_t)size;
    }
}

static void use(struct limiter *l) {
    struct config_limits limits = {.limit = {.requests_per_minute = 5,
                                             .tokens_per_minute = 1000,
                                             .concurrent_requests = 3,
                                             .pico_usd_per_day = 1000000}};
    struct tenant tenant = {.name = SLICE("acme"), .limits = &limits};
    struct limit_request want = {.input_tokens = 10, .pico_usd = 10};
    struct reservation hold = {0};
    struct limit_refusal why;
    struct limit_row rows[2 * LIMIT_COUNT];
    uint64_t now_ns = 1000 * NS_PER_S;
    if (limiter_take(l, &tenant, SLICE(""), now_ns, noon, &want, &hold, &why) == FAILURE_NONE)
        limit_settle(&hold, 20, 20, now_ns, noon);
    limit_view(l, &tenant, SLICE(""), now_ns + NS_PER_S, noon, rows);
}

static void counts_read(struct slice bytes) {
    struct limiter *l = limiter_new(), *again = limiter_new();
    struct buf first = {0}, second = {0};
    if (limiter_import(l, bytes)) {
        limiter_export(l, &first);
        assert(limiter_import(again, buf_slice(&first)));
        limiter_export(again, &second);
        assert(buf_length(&first) == buf_length(&second)); /* tenants may come in another order */
    }
    use(l);
    limiter_holder_gone(l);
    limiter_free(l);
    limiter_free(again);
    buf_clear(&first);
    buf_clear(&second);
}

static void notes_read(struct slice bytes) {
    struct limiter *l = limiter_new();
    limiter_note_apply(l, bytes, 1000 * NS_PER_S, noon);
    use(l);
    limiter_holder_gone(l);
    limiter_free(l);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size == 0) return 0;
    struct slice rest = {(const char *)data + 1, size - 1};
    void (*const readers[])(struct slice) = {frames_read, counts_read, notes_read};
    readers[data[0] % 3](rest);
    return 0;
}
