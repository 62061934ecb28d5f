/* otlp/places.h: where the providers of a configuration are, in OpenTelemetry's words: what a record's provider id
 * stands for. Immutable once made. */
#pragma once
#include "conf/config.h"

struct place {
    uint32_t name_id; /* facts/names.h */
    enum dialect dialect;
    struct slice name;     /* as configured */
    struct slice system;   /* gen_ai.provider.name */
    struct slice host;     /* server.address, without brackets */
    uint64_t port;         /* server.port */
    struct slice origin;   /* scheme://host[:port] */
    struct slice base_url; /* origin and path, no trailing slash */
};

struct places;
struct places *places_new(const struct config *c); /* copies what it needs */
void places_free(struct places *p);
const struct place *places_find(const struct places *p, uint32_t name_id); /* NULL: not (any more) configured */
