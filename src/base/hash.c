/* SipHash-1-3 (Aumasson and Bernstein 2012) with a key drawn at start, and an open-addressing string map for cold
 * paths. */
#include "base/hash.h"

#include <pthread.h>

#include "base/mem.h"
#include "base/random.h"

static uint64_t key[2];
static pthread_once_t key_once = PTHREAD_ONCE_INIT;

static void key_draw(void) {
    key[0] = random_u64();
    key[1] = random_u64();
}

static uint64_t rotate(uint64_t x, int by) {
    return x << by | x >> (64 - by);
}

static void sip_round(uint64_t v[4]) {
    v[0] += v[1], v[1] = rotate(v[1], 13) ^ v[0], v[0] = rotate(v[0], 32);
    v[2] += v[3], v[3] = rotate(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotate(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotate(v[1], 17) ^ v[2], v[2] = rotate(v[2], 32);
}

uint64_t hash_bytes(const void *p, size_t n) {
    pthread_once(&key_once, key_draw);
    uint64_t v[4] = {key[0] ^ UINT64_C(0x736f6d6570736575), key[1] ^ UINT64_C(0x646f72616e646f6d),
                     key[0] ^ UINT64_C(0x6c7967656e657261), key[1] ^ UINT64_C(0x7465646279746573)};
    const uint8_t *at = p;
    uint64_t word, last = (uint64_t)n << 56;
    for (size_t left = n; left >= 8; left -= 8, at += 8) {
        memcpy(&word, at, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    for (size_t i = 0; i < (n & 7); i++) last |= (uint64_t)at[i] << (8 * i);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xff;
    for (int i = 0; i < 3; i++) sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

struct map_entry {
    char *key; /* owned; NULL = free place */
    size_t key_length;
    void *value;
};

static struct map_entry *entry_find(const struct map *m, struct slice name) {
    size_t at = (size_t)hash_bytes(name.p, name.n) & (m->capacity - 1);
    while (m->entries[at].key != NULL &&
           !slice_equal((struct slice){m->entries[at].key, m->entries[at].key_length}, name))
        at = (at + 1) & (m->capacity - 1);
    return &m->entries[at];
}

void *map_get(const struct map *m, struct slice name) {
    if (m->count == 0) return NULL;
    struct map_entry *e = entry_find(m, name);
    return e->key != NULL ? e->value : NULL;
}

static void map_grow(struct map *m) {
    struct map grown = {.capacity = m->capacity ? m->capacity * 2 : 16, .count = m->count};
    grown.entries = mem_zalloc(grown.capacity * sizeof *grown.entries);
    for (size_t i = 0; i < m->capacity; i++) {
        struct map_entry *old = &m->entries[i];
        if (old->key != NULL) *entry_find(&grown, (struct slice){old->key, old->key_length}) = *old;
    }
    mem_free(m->entries);
    *m = grown;
}

bool map_put(struct map *m, struct slice name, void *value) {
    if ((m->count + 1) * 4 > m->capacity * 3) map_grow(m);
    struct map_entry *e = entry_find(m, name);
    if (e->key != NULL) return false;
    *e = (struct map_entry){mem_strndup(name.p, name.n), name.n, value};
    m->count++;
    return true;
}

void map_clear(struct map *m) {
    for (size_t i = 0; i < m->capacity; i++) mem_free(m->entries[i].key);
    mem_free(m->entries);
    *m = (struct map){0};
}

bool map_next(const struct map *m, size_t *cursor, struct slice *name, void **value) {
    for (; *cursor < m->capacity; ++*cursor) {
        struct map_entry *e = &m->entries[*cursor];
        if (e->key == NULL) continue;
        *name = (struct slice){e->key, e->key_length};
        *value = e->value;
        ++*cursor;
        return true;
    }
    return false;
}
