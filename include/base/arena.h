/* base/arena.h: memory that lives as long as one exchange and is freed whole. Small allocations come from chunks; what
 * is larger than half a chunk gets a chunk of its own. Not thread-safe. */
#pragma once
#include "base/slice.h"

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks;
    char *free, *end;
    size_t used_bytes; /* given out so far, for ceilings */
};

void arena_init(struct arena *a);                /* allocates nothing until first used */
void arena_clear(struct arena *a);               /* frees everything; the arena is then as after init */
void *arena_alloc(struct arena *a, size_t size); /* 8-byte aligned, uninitialised, never NULL */
void *arena_zalloc(struct arena *a, size_t size);
struct slice arena_copy(struct arena *a, struct slice s); /* the copy is NUL-terminated (not counted in n) */
