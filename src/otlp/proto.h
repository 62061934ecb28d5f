/* otlp/proto.h: writing protobuf (the encoding of proto3) straight into a buffer, without building messages first. A
 * nested message is opened, filled and closed; its length is put in front when it is known. Texts may be any bytes:
 * what is not UTF-8 becomes U+FFFD, because a reader may refuse the whole batch for it. */
#pragma once
#include "base/buf.h"

void proto_varint(struct buf *out, uint64_t value);               /* bare: an item of a packed list */
void proto_uint(struct buf *out, unsigned field, uint64_t value); /* also enums and bools; writes zeros too */
void proto_fixed64(struct buf *out, unsigned field, uint64_t value);
void proto_fixed32(struct buf *out, unsigned field, uint32_t value);
void proto_double(struct buf *out, unsigned field, double value);
void proto_bytes(struct buf *out, unsigned field, const void *p, size_t n);
void proto_text(struct buf *out, unsigned field, struct slice s);
size_t proto_open(struct buf *out, unsigned field); /* returns a mark for proto_close() */
void proto_close(struct buf *out, size_t mark);     /* marks are closed in the reverse order */
