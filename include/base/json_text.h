/* base/json_text.h: writing JSON text into a buffer. Output is always valid UTF-8 JSON, whatever the input bytes. */
#pragma once
#include "base/buf.h"

void json_text_string(struct buf *out, struct slice s); /* quoted and escaped; invalid UTF-8 becomes U+FFFD */
void json_text_ms(struct buf *out, uint64_t ns);        /* as decimal milliseconds, exact, no trailing zeros */
void json_text_usd(struct buf *out, int64_t pico_usd);  /* as decimal dollars, exact, no trailing zeros */

/* The same into memory with room for …_BYTES more, for writers of many members that reserve once; each returns the
 * end of what it wrote. Bytes behind that end, but within the room, may have been written over. */
#define JSON_TEXT_STRING_BYTES(n) (6 * (size_t)(n) + 10)
#define JSON_TEXT_NUMBER_BYTES ((size_t)22) /* the longest of the three below: a sign, 20 digits and a point */
char *json_text_put_string(char *at, struct slice s);
char *json_text_put_u64(char *at, uint64_t value);
char *json_text_put_ms(char *at, uint64_t ns);
char *json_text_put_usd(char *at, int64_t pico_usd);
