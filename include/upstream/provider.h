/* upstream/provider.h: a provider ready to be called: where it is (its origin) and the head fields every request to it
 * carries. Compiled once per configuration; the key exists only inside `fields`, which nothing logs. */
#pragma once
#include "conf/config.h"
#include "upstream/origin.h"

struct provider {
    const struct config_provider *conf;
    uint32_t name_id;
    struct slice name;
    enum dialect dialect;
    struct origin *origin;  /* a reference: connections, their ceiling, TLS */
    struct slice base_path; /* base_url's path: "" or "/v1" */
    struct slice fields;    /* Host, credential and configured fields as they are sent, each with its CRLF */
    struct slice secret;    /* the key, for finding its echoes in answers; empty when there is none */
};

/* NULL with a message in `errors` (the CA file cannot be read …). */
struct provider *provider_compile(const struct config_provider *c, struct origins *origins, struct conf_errors *errors);
void provider_free(struct provider *p);
bool provider_serves(const struct provider *p, struct slice bare_model);
