/* otlp/gzip.h: compressing a request's body (RFC 1952). */
#pragma once
#include "base/buf.h"

struct gzip; /* its tables, about 260 KiB, kept from one batch to the next */
struct gzip *gzip_new(void);
void gzip_free(struct gzip *g);
void gzip_append(struct gzip *g, struct buf *out, struct slice plain); /* one whole member */
