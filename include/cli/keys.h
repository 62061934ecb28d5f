/* cli/keys.h: making tenant keys, for `weir key` and the demo. */
#pragma once
#include "base/slice.h"
#include "crypto/digest.h"

#define KEY_PREFIX "sk-weir-"
enum { KEY_TEXT_BYTES = sizeof KEY_PREFIX + 43 }; /* the prefix, 43 characters of 6 random bits, NUL */

void key_make(char out[KEY_TEXT_BYTES]);
void key_digest_text(struct slice key, char out[2 * DIGEST_BYTES + 1]); /* hex, NUL-terminated */
