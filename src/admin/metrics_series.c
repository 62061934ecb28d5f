/* Which label sets have series of their own: the first that come, for the life of the process. A label set that once
 * was summed under `_other` stays there, because a counter that moved from one series to another would look like a
 * restart to whoever takes rates of it. */
#include <assert.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"
#include "metrics_page.h"

static uint16_t *slot_of(struct series_set *s, const uint32_t key[SERIES_NAMES]) {
    unsigned mask = s->slot_count - 1, at = (unsigned)hash_bytes(key, sizeof s->items->key) & mask;
    while (s->slots[at] != 0 && memcmp(s->items[s->slots[at] - 1].key, key, sizeof s->items->key) != 0)
        at = (at + 1) & mask;
    return &s->slots[at];
}

struct series *series_of(struct series_set *s, const uint32_t key[SERIES_NAMES]) {
    uint16_t *slot = slot_of(s, key);
    if (*slot == 0) {
        if (s->count == s->max) return &s->items[0];
        memcpy(s->items[s->count].key, key, sizeof s->items->key);
        *slot = (uint16_t)++s->count;
    }
    return &s->items[*slot - 1];
}

void series_set_init(struct series_set *s, unsigned max, const uint32_t other[SERIES_NAMES]) {
    assert(max > 0 && max < UINT16_MAX);
    *s = (struct series_set){.max = max, .slot_count = 1};
    while (s->slot_count < 2 * max) s->slot_count *= 2;
    s->items = mem_zalloc(max * sizeof *s->items);
    s->slots = mem_zalloc(s->slot_count * sizeof *s->slots);
    series_of(s, other);
}

void series_set_clear(struct series_set *s) {
    mem_free(s->items);
    mem_free(s->slots);
}
