/* mock/cache.h: answers already made, under the facts that decide them: a bench's requests are all alike, and making an
 * answer costs more than sending it. */
#pragma once
#include "script.h"

#define CACHE_SLOTS 256

struct script_cache { /* zero-initialise; one thread */
    struct script *slots[CACHE_SLOTS];
    size_t count, bytes;
};
struct script *cache_answer(struct script_cache *c, const struct request *r); /* the caller's reference; never NULL */
void cache_clear(struct script_cache *c);
