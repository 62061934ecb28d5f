/* The registry of origins: few, looked up only while a configuration is compiled, so a table under one lock. The hard
 * part is the end of one: its last provider goes with a configuration, its pools belong to threads that may still keep
 * idle connections, and its slot must not be used again before all of them have let go. */
#include "upstream/origin.h"

#include <assert.h>
#include <stdio.h>

#include "base/buf.h"
#include "base/mem.h"

struct origins {
    pthread_mutex_t lock;
    struct origin *slots[ORIGINS_MAX];
};

struct origins *origins_new(void) {
    struct origins *o = mem_zalloc(sizeof *o);
    pthread_mutex_init(&o->lock, NULL);
    return o;
}

static void origin_free(struct origin *o) {
    if (o->tls != NULL) tls_context_unref(o->tls);
    permits_clear(&o->permits);
    mem_free((void *)(uintptr_t)o->name);
    mem_free((void *)(uintptr_t)o->host);
    mem_free((void *)(uintptr_t)o->port);
    mem_free(o);
}

void origins_free(struct origins *o) {
    if (o == NULL) return;
    for (unsigned i = 0; i < ORIGINS_MAX; i++)
        if (o->slots[i] != NULL) origin_free(o->slots[i]);
    pthread_mutex_destroy(&o->lock);
    mem_free(o);
}

/* ---- what makes two places the same ---- */

static void file_append(struct buf *out, const char *path) {
    char bytes[4096];
    FILE *f = fopen(path, "re");
    if (f == NULL) return; /* reading it as authorities will say why */
    for (size_t n; (n = fread(bytes, 1, sizeof bytes, f)) > 0 && buf_length(out) < ((size_t)16 << 20);)
        buf_append(out, bytes, n);
    fclose(f);
}

static void fingerprint_make(const struct origin_place *p, uint8_t out[DIGEST_BYTES]) {
    struct buf text = {0};
    buf_append_slice(&text, p->host);
    buf_append(&text, "", 1);
    buf_append_slice(&text, p->port);
    buf_append(&text, (char[]){0, (char)('0' + p->tls), (char)('0' + p->verify)}, 3);
    if (p->tls && p->ca_file != NULL) {
        buf_append(&text, p->ca_file, strlen(p->ca_file) + 1);
        file_append(&text, p->ca_file);
    }
    digest_sha256(buf_slice(&text), out);
    buf_clear(&text);
}

/* ---- getting and putting ---- */

static struct origin *find(struct origins *o, struct slice name, const uint8_t fingerprint[DIGEST_BYTES]) {
    for (unsigned i = 0; i < ORIGINS_MAX; i++) {
        struct origin *each = o->slots[i];
        if (each != NULL && !each->leaving && slice_equal(slice_of(each->name), name) &&
            memcmp(each->fingerprint, fingerprint, DIGEST_BYTES) == 0)
            return each;
    }
    return NULL;
}

static unsigned slot_free(const struct origins *o) {
    unsigned i = 0;
    while (i < ORIGINS_MAX && o->slots[i] != NULL) i++;
    return i;
}

static const char *slice_dup(struct slice s) {
    return mem_strndup(s.p, s.n);
}

static struct origin *origin_new(struct origins *registry, const struct origin_place *p, uint64_t max_connections,
                                 const uint8_t fingerprint[DIGEST_BYTES]) {
    struct origin *o = mem_zalloc(sizeof *o);
    o->registry = registry;
    o->name = slice_dup(p->name);
    o->host = slice_dup(p->host);
    o->port = slice_dup(p->port);
    memcpy(o->fingerprint, fingerprint, DIGEST_BYTES);
    permits_init(&o->permits, max_connections);
    return o;
}

/* Under the lock. */
static struct origin *origin_add(struct origins *registry, struct origin *o, char *error, size_t error_bytes) {
    o->slot = slot_free(registry);
    if (o->slot < ORIGINS_MAX) return registry->slots[o->slot] = o;
    snprintf(error, error_bytes, "more than %d providers, those of a configuration still in use included", ORIGINS_MAX);
    origin_free(o);
    return NULL;
}

struct origin *origin_get(struct origins *o, const struct origin_place *place, uint64_t max_connections, char *error,
                          size_t error_bytes) {
    uint8_t fingerprint[DIGEST_BYTES];
    struct tls_context *tls = NULL;
    fingerprint_make(place, fingerprint);
    pthread_mutex_lock(&o->lock);
    struct origin *found = find(o, place->name, fingerprint);
    if (found == NULL && place->tls) tls = tls_client_new(place->ca_file, place->verify, error, error_bytes);
    if (found == NULL && (tls != NULL || !place->tls)) {
        found = origin_new(o, place, max_connections, fingerprint);
        found->tls = tls;
        found = origin_add(o, found, error, error_bytes);
    }
    if (found != NULL) found->references++;
    pthread_mutex_unlock(&o->lock);
    return found;
}

/* Under the lock. */
static void free_if_left(struct origin *o) {
    bool unused = o->references == 0 && o->pool_count == 0;
    if (!unused) return;
    o->registry->slots[o->slot] = NULL;
    origin_free(o);
}

void origin_put(struct origin *o) {
    pthread_mutex_t *lock = &o->registry->lock;
    pthread_mutex_lock(lock);
    assert(o->references > 0);
    o->references--;
    free_if_left(o);
    pthread_mutex_unlock(lock);
}

struct origin *origins_take_unused(struct origins *o) {
    struct origin *unused = NULL;
    pthread_mutex_lock(&o->lock);
    for (unsigned i = 0; i < ORIGINS_MAX && unused == NULL; i++) {
        struct origin *each = o->slots[i];
        if (each != NULL && each->references == 0 && !each->leaving) unused = each;
    }
    if (unused != NULL) unused->leaving = true;
    pthread_mutex_unlock(&o->lock);
    return unused;
}

void origin_pool_joined(struct origin *o) {
    pthread_mutex_lock(&o->registry->lock);
    o->pool_count++;
    pthread_mutex_unlock(&o->registry->lock);
}

void origin_pool_left(struct origin *o) {
    pthread_mutex_t *lock = &o->registry->lock;
    pthread_mutex_lock(lock);
    assert(o->pool_count > 0);
    o->pool_count--;
    free_if_left(o);
    pthread_mutex_unlock(lock);
}
