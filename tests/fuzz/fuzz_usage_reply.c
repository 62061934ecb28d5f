/* Any bytes as what Redis gives of usage: a field, a NUL, a value. What is taken can be written and read again, and what
 * is not adds nothing. */
/* fuzz-sources: src/redis/usage_key.c src/redis/key.c src/crypto/digest.c src/telemetry/row_text.c src/telemetry/row.c
 *   src/telemetry/sparse.c src/telemetry/histogram.c src/facts/names.c src/base/hash.c src/base/random.c src/base/slice.c
 *   src/base/buf.c src/base/mem.c src/base/json_text.c src/base/clock.c src/base/clock_source.c */
#include <assert.h>

#include "redis/usage_key.h"
#include "telemetry/row_text.h"

static void value_check(struct slice value) {
    struct row read = {0}, again = {0}, none = {0};
    struct buf text = {0}, twice = {0};
    if (row_text_read(value, &read)) {
        row_text_write(&text, &read, true);
        assert(row_text_read(buf_slice(&text), &again));
        row_text_write(&twice, &again, true);
        assert(slice_equal(buf_slice(&text), buf_slice(&twice)));
        for (int i = 0; i < ROW_MEASURE_COUNT; i++) sparse_quantile(&read.measures[i], 0.99);
    } else {
        assert(memcmp(&read, &none, sizeof none) == 0);
    }
    buf_clear(&text);
    buf_clear(&twice);
    row_clear(&read);
    row_clear(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice rest = {(const char *)data, size}, field;
    struct traffic_key key = {0};
    struct buf tenant = {0};
    if (!slice_cut(&rest, '\0', &field)) return 0;
    usage_field_read(field, &key);
    usage_tenant_field_read(field, &tenant);
    buf_clear(&tenant);
    value_check(rest);
    return 0;
}
