/* Rows and tables of them. A table is an array of entries and an index by hash over it. */
#include "telemetry/row.h"

#include <string.h>

#include "base/mem.h"
#include "facts/names.h"

void row_add(struct row *into, const struct row *from) {
    for (int i = 0; i < ROW_COUNTER_COUNT; i++) into->counters[i] += from->counters[i];
    for (int i = 0; i < ROW_MEASURE_COUNT; i++) sparse_merge(&into->measures[i], &from->measures[i]);
}

void row_clear(struct row *r) {
    for (int i = 0; i < ROW_MEASURE_COUNT; i++) sparse_clear(&r->measures[i]);
    *r = (struct row){0};
}

/* ---- tables ---- */

static size_t slot_of(const struct row_table *t, const struct traffic_key *k) {
    const uint32_t parts[] = {k->tenant, k->provider, k->model, k->workload};
    uint64_t h = 0;
    for (int i = 0; i < 4; i++) h = (h ^ parts[i]) * UINT64_C(0x9e3779b97f4a7c15);
    size_t at = (size_t)(h >> 32) & (t->slot_count - 1);
    while (t->slots[at] != 0 && memcmp(&t->entries[t->slots[at] - 1].key, k, sizeof *k) != 0)
        at = (at + 1) & (t->slot_count - 1);
    return at;
}

static void slots_grow(struct row_table *t) {
    mem_free(t->slots);
    t->slot_count = t->slot_count ? 2 * t->slot_count : 16;
    t->slots = mem_zalloc(t->slot_count * sizeof *t->slots);
    for (size_t i = 0; i < t->count; i++) t->slots[slot_of(t, &t->entries[i].key)] = (uint32_t)i + 1;
}

static bool is_rest(const struct traffic_key *k) {
    return k->provider == NAME_OTHER && k->model == NAME_OTHER && k->workload == NAME_OTHER;
}

static bool has_room(const struct row_table *t, const struct traffic_key *k) {
    return t->count < (is_rest(k) ? 2 * t->detail_max : t->detail_max) || (is_rest(k) && k->tenant == NAME_OTHER);
}

struct row *row_table_get(struct row_table *t, const struct traffic_key *key) {
    if (2 * (t->count + 1) > t->slot_count) slots_grow(t);
    size_t at = slot_of(t, key);
    if (t->slots[at] != 0) return &t->entries[t->slots[at] - 1].row;
    if (!has_room(t, key)) {
        uint32_t tenant = is_rest(key) ? NAME_OTHER : key->tenant;
        return row_table_get(t, &(struct traffic_key){tenant, NAME_OTHER, NAME_OTHER, NAME_OTHER});
    }
    t->entries = mem_array_grow(t->entries, &t->capacity, sizeof *t->entries, t->count + 1);
    t->entries[t->count] = (struct row_entry){.key = *key};
    t->slots[at] = (uint32_t)++t->count;
    return &t->entries[t->count - 1].row;
}

struct row *row_table_search(struct row_table *t, const struct traffic_key *key) {
    if (t->count == 0) return NULL;
    size_t at = slot_of(t, key);
    return t->slots[at] != 0 ? &t->entries[t->slots[at] - 1].row : NULL;
}

const struct row *row_table_find(const struct row_table *t, const struct traffic_key *key) {
    return row_table_search((struct row_table *)(uintptr_t)t, key); /* which only looks */
}

void row_table_clear(struct row_table *t) {
    for (size_t i = 0; i < t->count; i++) row_clear(&t->entries[i].row);
    if (t->slots != NULL) memset(t->slots, 0, t->slot_count * sizeof *t->slots);
    t->count = 0;
}

void row_table_free(struct row_table *t) {
    row_table_clear(t);
    mem_free(t->entries);
    mem_free(t->slots);
    *t = (struct row_table){.detail_max = t->detail_max};
}
