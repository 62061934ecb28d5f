/* Reading the texts of a record. */
#include "facts/record.h"

#include <assert.h>

size_t record_text_bytes(const struct record *r) {
    size_t bytes = 0;
    for (int i = 0; i < RECORD_TEXT_COUNT; i++) bytes += r->text_bytes[i];
    return bytes;
}

const struct record_attempt *record_given_up(const struct record *r) {
    size_t at = RECORD_GIVEN_UP_AT(record_text_bytes(r));
    return (const struct record_attempt *)(const void *)((const char *)r + at);
}

struct slice record_text(const struct record *r, enum record_text which) {
    assert(which < RECORD_TEXT_COUNT);
    size_t offset = 0;
    for (int i = 0; i < (int)which; i++) offset += r->text_bytes[i];
    return (struct slice){r->text + offset, r->text_bytes[which]};
}
