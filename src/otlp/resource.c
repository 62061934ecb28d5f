/* The resource's attributes: from the configuration, and from the environment, which may replace and add; its service
 * name goes before all. */
#include "resource.h"

#include <stdio.h>
#include <unistd.h>

#include "attribute.h"
#include "base/log.h"
#include "base/mem.h"
#include "messages.h"

enum { NAME_BYTES = 256 };

struct own {
    const char *key;
    struct value value;
};

static bool list_has(struct slice list, struct slice wanted) {
    struct slice key, value;
    char *room = mem_alloc(list.n + 1);
    bool bad = false, found = false;
    while (!found && environment_pair(&list, &key, &value, room, &bad)) found = slice_equal(key, wanted);
    mem_free(room);
    return found;
}

/* Of a key that is there twice the last one counts. */
static void environment_put(struct buf *out, const struct environment *e) {
    struct slice rest = e->attributes, key, value;
    char *room = mem_alloc(rest.n + 1);
    bool bad = false;
    while (environment_pair(&rest, &key, &value, room, &bad))
        if ((e->service.n == 0 || !slice_equal(key, SLICE("service.name"))) && !list_has(rest, key))
            attribute_put(out, RESOURCE_ATTRIBUTES, key, value_text(value));
    if (bad) log_warn("OTEL_RESOURCE_ATTRIBUTES: what is malformed in it is left out");
    mem_free(room);
}

void resource_put(struct buf *out, const struct config *c, const struct environment *e) {
    char host[NAME_BYTES] = "";
    if (gethostname(host, sizeof host - 1) != 0) host[0] = '\0';
    struct slice service = e->service.n > 0 ? e->service : SLICE("weir");
    const struct own own[] = {
        {"service.name", value_text(service)},
        {"service.version", value_text(SLICE(WEIR_VERSION))},
        {"service.instance.id", value_text(c->instance.name.text)},
        {"deployment.environment.name", value_text(c->instance.environment.text)},
        {"cloud.region", value_text(c->instance.region.text)},
        {"host.name", value_text(slice_of(host))},
        {"process.pid", value_int((uint64_t)getpid())},
        {"telemetry.sdk.name", value_text(SLICE("weir"))},
        {"telemetry.sdk.language", value_text(SLICE("c"))},
        {"telemetry.sdk.version", value_text(SLICE(WEIR_VERSION))},
        {"openinference.project.name", value_text(service)}, /* Phoenix files traces by it */
    };
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        bool from_service = i == 0 && e->service.n > 0;
        if (from_service || !list_has(e->attributes, slice_of(own[i].key)))
            attribute_put(out, RESOURCE_ATTRIBUTES, slice_of(own[i].key), own[i].value);
    }
    environment_put(out, e);
}

void scope_put(struct buf *out) {
    proto_text(out, INSTRUMENTATION_NAME, SLICE("weir"));
    proto_text(out, INSTRUMENTATION_VERSION, SLICE(WEIR_VERSION));
}
