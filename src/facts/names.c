/* The registry of names: an append-only array published entry by entry, and a map under a lock for adding. A reader
 * that holds an id got it from the thread that added it, so the entry is there; nothing is ever moved or freed. */
#include "facts/names.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "base/mem.h"

struct name {
    size_t length;
    char text[];
};

static _Atomic(struct name *) names[NAMES_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct map ids; /* name -> id, as a pointer-sized number */
static uint32_t count;

static void name_add(struct slice text) {
    struct name *n = mem_alloc(sizeof *n + text.n + 1);
    n->length = text.n;
    if (text.n > 0) memcpy(n->text, text.p, text.n);
    n->text[text.n] = '\0';
    map_put(&ids, text, (void *)(uintptr_t)(count + 1));
    atomic_store_explicit(&names[count], n, memory_order_release);
    count++;
}

uint32_t name_id(struct slice text) {
    pthread_mutex_lock(&lock);
    if (count == 0) {
        name_add(SLICE(""));
        name_add(SLICE("_other"));
    }
    uintptr_t found = (uintptr_t)map_get(&ids, text);
    uint32_t id = NAME_OTHER;
    if (found != 0) {
        id = (uint32_t)found - 1;
    } else if (count < NAMES_MAX) {
        id = count;
        name_add(text);
    }
    pthread_mutex_unlock(&lock);
    return id;
}

/* The name's id when it has one, or gets one of those that are left; else NAME_OTHER. */
static uint32_t name_id_bounded(struct slice text, _Atomic uint32_t *given, uint32_t most) {
    pthread_mutex_lock(&lock);
    bool known = map_get(&ids, text) != NULL;
    pthread_mutex_unlock(&lock);
    if (!known && atomic_fetch_add(given, 1) >= most) {
        atomic_store(given, most);
        return NAME_OTHER;
    }
    return name_id(text);
}

uint32_t name_told(struct slice text) {
    static _Atomic uint32_t from_others;
    return name_id_bounded(text, &from_others, NAMES_FROM_OTHERS_MAX);
}

uint32_t name_known(struct slice text) {
    enum { CACHE = 64 };
    static _Thread_local struct {
        uint64_t hash;
        uint32_t id;
    } cache[CACHE];
    static _Atomic uint32_t from_clients;
    uint64_t hash = hash_bytes(text.p, text.n);
    uint32_t slot = (uint32_t)hash % CACHE;
    if (cache[slot].hash == hash && slice_equal(name_of(cache[slot].id), text)) return cache[slot].id;
    uint32_t id = name_id_bounded(text, &from_clients, NAMES_FROM_CLIENTS_MAX);
    if (id == NAME_OTHER) return id; /* not kept: it may be another name's place tomorrow */
    cache[slot].hash = hash;
    return cache[slot].id = id;
}

struct slice name_of(uint32_t id) {
    assert(id < NAMES_MAX);
    const struct name *n = atomic_load_explicit(&names[id], memory_order_acquire);
    return n == NULL ? SLICE("") : (struct slice){n->text, n->length};
}
