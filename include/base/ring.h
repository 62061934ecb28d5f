/* base/ring.h: a byte ring with one writing and one reading thread, for variable-length items. When it is full the
 * newest item is dropped and counted: the writer never waits. Numbers that must be exact do not travel here. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ring;

struct ring *ring_new(size_t capacity_bytes); /* a power of two */
void ring_free(struct ring *r);
void *ring_reserve(struct ring *r, size_t n);     /* writer: room for n bytes (8-aligned) or NULL, counted as dropped */
void ring_commit(struct ring *r);                 /* writer: hands the reserved item over */
const void *ring_peek(struct ring *r, size_t *n); /* reader: oldest item or NULL; valid until ring_release() */
void ring_release(struct ring *r);                /* reader: done with the peeked item */
uint64_t ring_dropped(const struct ring *r);      /* any thread: items dropped since the start */
