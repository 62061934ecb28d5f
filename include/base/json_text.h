/* base/json_text.h: writing JSON text into a buffer. Output is always valid UTF-8 JSON, whatever the input bytes. */
#pragma once
#include "base/buf.h"

void json_text_string(struct buf *out, struct slice s);      /* quoted and escaped; invalid UTF-8 becomes U+FFFD */
void json_text_ms(struct buf *out, uint64_t ns);             /* nanoseconds as decimal milliseconds, exact, no trailing zeros */
void json_text_usd(struct buf *out, int64_t pico_usd);       /* pico-dollars as decimal dollars, exact, no trailing zeros */
