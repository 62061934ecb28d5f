/* Shared state, request sizes: relations that are too few to have a file each. */
#include "redis_url.h"
#include "verify.h"

static void verify_redis(const struct config *c, struct conf_errors *errors) {
    const struct conf_text *url = &c->state.redis.url, *ca = &c->state.redis.tls.ca;
    struct config_redis_target target;
    struct arena scratch;
    if (url->text.p == NULL) return;
    arena_init(&scratch);
    const char *fault = redis_url_split(&scratch, url->text, &target);
    if (fault != NULL)
        conf_error_add(errors, url->at, "%s", fault);
    else if (!target.tls && !target.loopback && target.password.n > 0)
        conf_warning_add(errors, url->at, "the password of Redis travels unencrypted (redis://)");
    if (fault == NULL && !target.tls && text_given(ca))
        conf_warning_add(errors, ca->at, "`tls` has no effect with redis://");
    if (fault == NULL && target.tls && !c->state.redis.tls.verify)
        conf_warning_add(errors, url->at, "`tls.verify` is off: whoever answers gets the password");
    arena_clear(&scratch);
}

static void verify_state(const struct config *c, struct conf_errors *errors) {
    const struct conf_text *prefix = &c->state.redis.prefix;
    verify_redis(c, errors);
    if (prefix->text.n > 0 && strpbrk(prefix->text.p, "{}") != NULL)
        conf_error_add(errors, prefix->at, "braces are not allowed here: they decide where a cluster keeps a key");
    if (c->state.backend == CONFIG_BACKEND_REDIS && !text_given(&c->state.redis.url))
        conf_error_add(errors, c->state.at, "`state.redis.url` is missing, because `state.backend` is redis");
}

void verify_rest(const struct config *c, struct conf_errors *errors) {
    verify_state(c, errors);
    if (c->http.buffered_bytes < c->http.body_bytes)
        conf_error_add(errors, c->http.at, "`http.buffered_bytes` must not be below `http.body_bytes`");
}
