/* Any bytes become one JSON string that another parser takes, without a control byte in it, and both writers agree. */
/* fuzz-sources: src/base/json_text.c src/base/buf.c src/base/mem.c */
#include <assert.h>
#include <stdint.h>

#include <jansson.h>

#include "base/json_text.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    struct slice s = {(const char *)data, size};
    struct buf out = {0};
    char *room = mem_alloc(JSON_TEXT_STRING_BYTES(size));
    size_t n = (size_t)(json_text_put_string(room, s) - room);
    json_text_string(&out, s);
    assert(n == buf_length(&out) && memcmp(room, out.data, n) == 0);
    for (size_t i = 0; i < n; i++) assert((uint8_t)room[i] >= 0x20 && room[i] != 0x7f);
    json_t *value = json_loadb(room, n, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert(json_is_string(value) && json_string_length(value) >= size);
    json_decref(value);
    mem_free(room);
    buf_clear(&out);
    return 0;
}
