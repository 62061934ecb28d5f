/* gzip by zlib at its fastest level: spans of one batch say nearly the same, which any level finds. */
#include "gzip.h"

#include <assert.h>
#include <zlib.h>

#include "base/mem.h"

enum { LEVEL = 1, WINDOW_GZIP = 15 + 16, MEMORY = 8 };

struct gzip {
    z_stream stream;
};

static void *zlib_alloc(void *context, unsigned items, unsigned size) {
    (void)context;
    return mem_zalloc((size_t)items * size);
}

static void zlib_free(void *context, void *p) {
    (void)context;
    mem_free(p);
}

struct gzip *gzip_new(void) {
    struct gzip *g = mem_zalloc(sizeof *g);
    g->stream.zalloc = zlib_alloc;
    g->stream.zfree = zlib_free;
    int failed = deflateInit2(&g->stream, LEVEL, Z_DEFLATED, WINDOW_GZIP, MEMORY, Z_DEFAULT_STRATEGY);
    assert(failed == Z_OK);
    return g;
}

void gzip_free(struct gzip *g) {
    if (g == NULL) return;
    deflateEnd(&g->stream);
    mem_free(g);
}

void gzip_append(struct gzip *g, struct buf *out, struct slice plain) {
    z_stream *z = &g->stream;
    deflateReset(z);
    size_t room = deflateBound(z, plain.n);
    z->next_in = (unsigned char *)(uintptr_t)plain.p;
    z->avail_in = (unsigned)plain.n;
    z->next_out = (unsigned char *)buf_reserve(out, room);
    z->avail_out = (unsigned)room;
    int end = deflate(z, Z_FINISH);
    assert(end == Z_STREAM_END);
    buf_commit(out, room - z->avail_out);
}
