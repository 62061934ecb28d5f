/* base/hash.h: a seeded 64-bit hash for tables whose keys come from outside, and a small string map for cold paths. */
#pragma once
#include "base/slice.h"

uint64_t hash_bytes(const void *p, size_t n); /* seeded once per process at random: no crafted collisions */

struct map_entry;
struct map { /* string -> pointer, open addressing; keys are copied, values borrowed */
    struct map_entry *entries;
    size_t capacity, count;
};
void *map_get(const struct map *m, struct slice key);       /* NULL when absent */
bool map_put(struct map *m, struct slice key, void *value); /* false (and unchanged) when the key was there */
void map_clear(struct map *m);
/* Walks all entries in no particular order; *cursor starts at 0. */
bool map_next(const struct map *m, size_t *cursor, struct slice *key, void **value);
