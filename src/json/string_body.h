/* json/string_body.h: walks the inside of a string (a value or a name) up to its closing quote, in both modes. */
#pragma once
#include "json/scan.h"

enum string_step { /* what the next byte of a string has to be, when it is not plain text */
                   STRING_PLAIN,
                   STRING_UTF8,
                   STRING_HEX_LAST, /* of the four digits after \u; the ones before it follow */
                   STRING_HEX_2,
                   STRING_HEX_3,
                   STRING_HEX_FIRST,
                   STRING_ESCAPE,
                   STRING_LOW_BACKSLASH, /* a low surrogate must follow a high one */
                   STRING_LOW_U,
};

/* Go on from p. Stops at the closing quote (string_step is then STRING_PLAIN), at `end`, or at a byte that is wrong. */
const char *string_rest_strict(struct json_scan *s, const char *p, const char *end, const char *start);
const char *string_rest_relaxed(struct json_scan *s, const char *p, const char *end, const char *start);
