/* The tables of facts/: names and attributes of phases, layers, failures and dialects. Nothing here computes. */
#include <assert.h>
#include <stddef.h>

#include "facts/dialect.h"
#include "facts/failures.h"
#include "facts/layers.h"
#include "facts/phases.h"

#define PHASE_ROW(id, name, layer) {#name, LAYER_##layer},
static const struct {
    const char *name;
    enum layer layer;
} phases[] = {PHASES(PHASE_ROW)};
#undef PHASE_ROW

const char *phase_name(enum phase p) {
    assert(p < PHASE_COUNT);
    return phases[p].name;
}

enum layer phase_layer(enum phase p) {
    assert(p < PHASE_COUNT);
    return phases[p].layer;
}

#define LAYER_ROW(id, name) #name,
static const char *const layers[] = {LAYERS(LAYER_ROW)};
#undef LAYER_ROW

const char *layer_name(enum layer l) {
    assert(l < LAYER_COUNT);
    return layers[l];
}

#define FAILURE_ROW(id, name, source, status, retried, text)                                                           \
    [FAILURE_##id] = {#name, SOURCE_##source, status, retried, text},
static const struct failure_row failures[FAILURE_COUNT] = {FAILURES(FAILURE_ROW)};
#undef FAILURE_ROW

const struct failure_row *failure_row(enum failure f) {
    assert(f < FAILURE_COUNT);
    return &failures[f];
}

const char *error_source_name(enum error_source s) {
    static const char *const names[] = {NULL, "client", "policy", "provider", "gateway"};
    assert(s < SOURCE_COUNT);
    return names[s];
}

const char *dialect_name(enum dialect d) {
    static const char *const names[] = {"openai", "anthropic", "gemini"};
    assert(d < DIALECT_COUNT);
    return names[d];
}

static const struct {
    const char *name, *header;
} auths[] = {[AUTH_BEARER] = {"bearer", "authorization"},
             [AUTH_X_API_KEY] = {"x-api-key", "x-api-key"},
             [AUTH_API_KEY] = {"api-key", "api-key"},
             [AUTH_X_GOOG_API_KEY] = {"x-goog-api-key", "x-goog-api-key"},
             [AUTH_NONE] = {"none", NULL}};

const char *auth_name(enum auth a) {
    assert(a < AUTH_COUNT);
    return auths[a].name;
}

const char *auth_header(enum auth a) {
    assert(a < AUTH_COUNT);
    return auths[a].header;
}

enum auth dialect_default_auth(enum dialect d) {
    static const enum auth defaults[] = {AUTH_BEARER, AUTH_X_API_KEY, AUTH_X_GOOG_API_KEY};
    assert(d < DIALECT_COUNT);
    return defaults[d];
}
