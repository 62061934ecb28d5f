/* crypto/digest.h: SHA-256 of keys, SHA-1 as a name (never for secrecy), and comparing in constant time. */
#pragma once
#include "base/slice.h"
#define DIGEST_BYTES 32
void digest_sha256(struct slice s, uint8_t out[DIGEST_BYTES]);
#define DIGEST_SHA1_BYTES 20
void digest_sha1(struct slice s, uint8_t out[DIGEST_SHA1_BYTES]); /* what Redis knows a script by; not for hot paths */
bool digest_equal(const uint8_t *a, const uint8_t *b);            /* constant time, DIGEST_BYTES */
bool secret_equal(struct slice a, struct slice b); /* constant time in the bytes; the lengths are no secret */
