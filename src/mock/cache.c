/* src/mock/cache.c: the cache of answers. When it is full it is emptied: the mock has few kinds of requests, or one of
 * each, and neither gains from an order of eviction. */
#include "cache.h"

#include "base/hash.h"

enum { COUNT_MAX = 512, SCRIPT_BYTES_MAX = 4 * 1024 * 1024, BYTES_MAX = 32 * 1024 * 1024 };

/* Does anything but the facts decide the answer? */
static bool cacheable(const struct request *r) {
    const uint64_t *v = r->facts.knobs.value;
    return !r->refused_status && !v[MOCK_ECHO] && !v[MOCK_LEAK] && !v[MOCK_JITTER_MS] &&
           r->facts.operation != OPERATION_FILES;
}

struct script *cache_answer(struct script_cache *c, const struct request *r) {
    if (!cacheable(r)) return script_make(r);
    struct script **slot = &c->slots[hash_bytes(&r->facts, sizeof r->facts) % CACHE_SLOTS];
    for (struct script *s = *slot; s; s = s->next) {
        /* Facts are zeroed before they are filled, padding included. */
        if (memcmp(&s->facts, &r->facts, sizeof r->facts) == 0) { /* NOLINT(bugprone-suspicious-memory-comparison) */
            s->refs++;
            return s;
        }
    }
    struct script *s = script_make(r);
    size_t bytes = buf_length(&s->bytes) + s->piece_count * sizeof *s->pieces;
    if (bytes > SCRIPT_BYTES_MAX) return s;
    if (c->count == COUNT_MAX || c->bytes + bytes > BYTES_MAX) cache_clear(c);
    s->refs++;
    s->next = *slot;
    *slot = s;
    c->count++;
    c->bytes += bytes;
    return s;
}

void cache_clear(struct script_cache *c) {
    for (size_t i = 0; i < CACHE_SLOTS; i++) {
        while (c->slots[i]) {
            struct script *s = c->slots[i];
            c->slots[i] = s->next;
            s->next = NULL;
            script_unref(s);
        }
    }
    c->count = c->bytes = 0;
}
