/* Exemplars: per group and measure eight places, chosen by the value's octave modulo eight. Two octaves that share a
 * place are a factor of 256 apart; the newer one has it. */
#include "telemetry/exemplars.h"

#include <pthread.h>
#include <string.h>

#include "base/hash.h"
#include "base/mem.h"

enum { SLOTS = 2 * EXEMPLAR_GROUPS_MAX, KEY_NAMES = 5 };

struct exemplar_group {
    uint32_t key[KEY_NAMES];
    struct exemplar kept[MEASURE_COUNT][EXEMPLARS_PER_MEASURE]; /* unix_ns 0: none */
};

struct exemplars {
    pthread_mutex_t lock;
    struct exemplar_group *groups[SLOTS]; /* open addressing; never more than half full */
    unsigned count;
};

struct exemplars *exemplars_new(void) {
    struct exemplars *e = mem_zalloc(sizeof *e);
    pthread_mutex_init(&e->lock, NULL);
    return e;
}

void exemplars_free(struct exemplars *e) {
    if (e == NULL) return;
    for (unsigned i = 0; i < SLOTS; i++) mem_free(e->groups[i]);
    pthread_mutex_destroy(&e->lock);
    mem_free(e);
}

static struct exemplar_group **place_of(struct exemplars *e, const uint32_t key[KEY_NAMES]) {
    unsigned at = (unsigned)hash_bytes((const char *)key, KEY_NAMES * sizeof *key) & (SLOTS - 1);
    while (e->groups[at] != NULL && memcmp(e->groups[at]->key, key, sizeof e->groups[at]->key) != 0)
        at = (at + 1) & (SLOTS - 1);
    return &e->groups[at];
}

static struct exemplar_group *group_of(struct exemplars *e, const uint32_t key[KEY_NAMES]) {
    struct exemplar_group **place = place_of(e, key);
    if (*place == NULL && e->count < EXEMPLAR_GROUPS_MAX) {
        *place = mem_zalloc(sizeof **place);
        memcpy((*place)->key, key, sizeof(*place)->key);
        e->count++;
    }
    return *place;
}

static unsigned octave_of(uint64_t value) {
    return value < 2 ? 0 : 63u - (unsigned)__builtin_clzll(value);
}

void exemplars_add(struct exemplars *e, const struct record *r) {
    uint64_t values[MEASURE_COUNT];
    record_measures(r, values);
    const uint32_t key[KEY_NAMES] = {r->tenant, r->provider, r->model, r->workload, r->operation};
    pthread_mutex_lock(&e->lock);
    struct exemplar_group *g = group_of(e, key);
    for (int m = 0; g != NULL && m < MEASURE_COUNT; m++) {
        if (values[m] == MEASURE_UNKNOWN) continue;
        struct exemplar *place = &g->kept[m][octave_of(values[m]) % EXEMPLARS_PER_MEASURE];
        memcpy(place->trace_id, r->trace_id, sizeof place->trace_id);
        place->value = values[m];
        place->unix_ns = r->start_unix_ns;
    }
    pthread_mutex_unlock(&e->lock);
}

unsigned exemplars_read(struct exemplars *e, const struct traffic_group *g, enum measure m,
                        struct exemplar out[EXEMPLARS_PER_MEASURE]) {
    const uint32_t key[KEY_NAMES] = {g->tenant, g->provider, g->model, g->workload, g->operation};
    unsigned count = 0;
    pthread_mutex_lock(&e->lock);
    const struct exemplar_group *found = *place_of(e, key);
    for (unsigned i = 0; found != NULL && i < EXEMPLARS_PER_MEASURE; i++)
        if (found->kept[m][i].unix_ns != 0) out[count++] = found->kept[m][i];
    pthread_mutex_unlock(&e->lock);
    return count;
}
