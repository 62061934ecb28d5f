/* A bump allocator in growing chunks. The first chunk is small because most exchanges need little and thousands are
 * open at once. It does not run destructors: what holds anything but memory must not live only here. */
#include "base/arena.h"

#include <stddef.h>

#include "base/mem.h"

/* The first holds what a usual exchange needs (a head, its fields, the observer): measured with the official SDKs. */
enum { FIRST_CHUNK_BYTES = 3568, LATER_CHUNK_BYTES = 4080 };

struct arena_chunk {
    struct arena_chunk *next;
    max_align_t data[];
};

void arena_init(struct arena *a) {
    *a = (struct arena){0};
}

void arena_clear(struct arena *a) {
    for (struct arena_chunk *c = a->chunks, *next; c != NULL; c = next) {
        next = c->next;
        mem_free(c);
    }
    arena_init(a);
}

static char *chunk_add(struct arena *a, size_t bytes) {
    struct arena_chunk *c = mem_alloc(sizeof *c + bytes);
    c->next = a->chunks;
    a->chunks = c;
    return (char *)c->data;
}

void *arena_alloc(struct arena *a, size_t size) {
    size = (size + 7) & ~(size_t)7;
    a->used_bytes += size;
    if (size > (size_t)(a->end - a->free)) {
        size_t chunk = a->chunks == NULL ? FIRST_CHUNK_BYTES : LATER_CHUNK_BYTES;
        if (size > chunk / 2) return chunk_add(a, size);
        a->free = chunk_add(a, chunk);
        a->end = a->free + chunk;
    }
    void *p = a->free;
    a->free += size;
    return p;
}

void *arena_zalloc(struct arena *a, size_t size) {
    return memset(arena_alloc(a, size), 0, size);
}

struct slice arena_copy(struct arena *a, struct slice s) {
    char *copy = arena_alloc(a, s.n + 1);
    if (s.n > 0) memcpy(copy, s.p, s.n);
    copy[s.n] = '\0';
    return (struct slice){copy, s.n};
}
