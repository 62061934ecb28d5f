/* verify.h: what no single value can tell: relations between the parts of a configuration, and values that follow from
 * others. Each function adds its errors and tolerates parts that are missing because they were in error themselves. */
#pragma once
#include "base/hash.h"
#include "conf/config.h"

void config_finish(
    struct config *c); /* derived values: the dialect's auth, tenant defaults, key names, the host's name */
void verify_addresses(const struct config *c, struct conf_errors *errors);
void verify_providers(const struct config *c, struct conf_errors *errors);
void verify_models(struct config *c, struct conf_errors *errors);  /* resolves targets to providers */
void verify_tenants(struct config *c, struct conf_errors *errors); /* resolves passthrough rules to providers */
void verify_exporters(const struct config *c, struct conf_errors *errors);
void verify_rest(const struct config *c, struct conf_errors *errors);

/* A text that is wrong was given all the same, and is not missing. */
static inline bool text_given(const struct conf_text *t) {
    return t->at.file != NULL;
}

/* Provider names to their items; borrowed. Resolving adds an error, with the nearest name, when there is none such. */
struct provider_names {
    struct map by_name;
    const struct config *config;
};
void provider_names_init(struct provider_names *n, const struct config *c);
void provider_names_clear(struct provider_names *n);
void provider_resolve(const struct provider_names *n, const struct conf_text *name, size_t *index,
                      struct conf_errors *errors);
/* Adds "unknown KIND `name`, did you mean …". */
void unknown_reference_add(struct conf_errors *errors, const struct conf_text *name, const char *kind,
                           const struct slice *known, size_t known_count);
