/* http/bytes.h (private): which bytes may stand where in HTTP/1.1, and fast searches for the ones that end a run. */
#pragma once
#include "base/slice.h"

enum {
    BYTE_TOKEN = 1, /* RFC 9110 5.6.2: names and methods */
    BYTE_PATH = 2,  /* RFC 3986 pchar, `/` and the `%` of an escape */
    BYTE_QUERY = 4, /* the same, `?`, and `[ ] |`, which browsers and SDKs leave bare in queries */
    BYTE_HOST = 8,  /* letters, digits, `- . _`: a name or an IPv4 address */
    BYTE_TEXT = 16, /* field values: TAB, SP, visible, obs-text (RFC 9110 5.5) */
    BYTE_HEX = 32,
    BYTE_DIGIT = 64,
};
extern const uint8_t byte_classes[256];

static inline bool byte_is(char c, unsigned class) {
    return (byte_classes[(uint8_t)c] & class) != 0;
}
bool bytes_are(struct slice s, unsigned class);            /* all of them; true when empty */
const char *find_control(const char *p, const char *end);  /* first control byte but TAB, or DEL; `end` when none */
const char *find_line_end(const char *p, const char *end); /* first CR or LF; `end` when none */
