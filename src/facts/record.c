/* Reading the texts of a record. */
#include "facts/record.h"

#include <assert.h>

struct slice record_text(const struct record *r, enum record_text which) {
    assert(which < RECORD_TEXT_COUNT);
    size_t offset = 0;
    for (int i = 0; i < (int)which; i++) offset += r->text_bytes[i];
    return (struct slice){r->text + offset, r->text_bytes[which]};
}
