/* redis/key.h: the names of keys. All keys of a tenant carry the same hash tag, so that a cluster keeps them in one
 * slot and one script may touch them together: PREFIX{TAG}KIND[:PART]… as in `weir:{acme}rpm`. Every part is encoded,
 * so that no name can end a part or the tag early, and no two lists of parts give one key: bytes other than letters,
 * digits and
 * `-_.~` become %XX; what would be longer than REDIS_PART_MAX bytes becomes its first bytes, `%%` and its SHA-256. */
#pragma once
#include "base/buf.h"

#define REDIS_PART_MAX 128

/* Appends a key. `prefix` and `kind` are taken as they are; `tag` and the parts are encoded. Nothing is terminated. */
void redis_key_append(struct buf *out, struct slice prefix, struct slice tag, struct slice kind,
                      const struct slice *parts, size_t part_count);
void redis_key_part_append(struct buf *out, struct slice part);    /* one encoded part */
bool redis_key_part_decode(struct slice encoded, struct buf *out); /* false: not one of ours, or it was shortened */

/* The cluster slot of a key: CRC-16/XMODEM of what stands between the first `{` and the next `}` (when there is
 * something), else of all of it, modulo 16384. */
#define REDIS_SLOTS 16384
unsigned redis_key_slot(struct slice key);
