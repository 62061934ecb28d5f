/* Shared state, request sizes: relations that are too few to have a file each. */
#include "verify.h"

static void verify_state(const struct config *c, struct conf_errors *errors) {
    const struct conf_text *url = &c->state.redis.url;
    bool redis = c->state.backend == CONFIG_BACKEND_REDIS;
    if (url->text.p != NULL && !slice_starts(url->text, SLICE("redis://")) &&
        !slice_starts(url->text, SLICE("rediss://")))
        conf_error_add(errors, url->at, "expected a URL that begins with redis:// or rediss://");
    if (redis && !text_given(url))
        conf_error_add(errors, c->state.at, "`state.redis.url` is missing, because `state.backend` is redis");
    if (redis)
        conf_warning_add(errors, c->state.at,
                         "`state.backend: redis` is not built yet: every instance counts for itself");
}

void verify_rest(const struct config *c, struct conf_errors *errors) {
    verify_state(c, errors);
    if (c->http.buffered_bytes < c->http.body_bytes)
        conf_error_add(errors, c->http.at, "`http.buffered_bytes` must not be below `http.body_bytes`");
}
