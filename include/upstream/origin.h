/* upstream/origin.h: where a provider is: an address, how it is verified, and how many connections it may have. What
 * connections have in common lives here, not in the configuration: a provider that a reload leaves at its place keeps
 * its connections, permits and TLS sessions; one that moves gets a new origin, and the old one's connections drain.
 *
 * OWNED BY its registry. Providers of any configuration hold references; each worker's pool of it holds it as well. It
 * is freed when nobody does. */
#pragma once
#include "conf/config.h"
#include "crypto/digest.h"
#include "crypto/tls_context.h"
#include "upstream/permits.h"

#define ORIGINS_MAX 256

struct origins;
struct origin {
    struct origins *registry;
    const char *name;        /* of the provider it was made for */
    const char *host, *port; /* to resolve and to connect to */
    struct tls_context *tls; /* NULL: plain HTTP */
    struct permits permits;  /* connections, process-wide */
    unsigned slot;           /* its pool's place in each worker; another origin's once it is freed */
    uint8_t fingerprint[DIGEST_BYTES];
    unsigned references, pool_count; /* the registry's lock: of providers, of pools */
    bool leaving;                    /* … not given to anybody any more */
    _Atomic uint64_t complained;     /* the gate of its complaints in the log */
};

struct origin_place { /* texts are borrowed */
    struct slice name, host, port;
    bool tls, verify;
    const char *ca_file; /* NULL: the system's */
};

struct origins *origins_new(void);
void origins_free(struct origins *o); /* all providers and pools have gone */
/* The origin of that name at that place, with a reference; a new one when there is none. NULL with a message: the CA
 * file cannot be read, or there are ORIGINS_MAX of them. Any thread. */
struct origin *origin_get(struct origins *o, const struct origin_place *place, uint64_t max_connections, char *error,
                          size_t error_bytes);
void origin_put(struct origin *o); /* any thread */
/* One that no provider holds any more but pools do; it will not be given out again. NULL: none. Who gets it makes every
 * worker clear its pool of it; the last one frees it. */
struct origin *origins_take_unused(struct origins *o);
void origin_pool_joined(struct origin *o); /* the pool's own */
void origin_pool_left(struct origin *o);
