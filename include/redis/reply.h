/* redis/reply.h: what Redis answered. A reply is a tree of at most REDIS_REPLY_DEPTH levels and is valid during the
 * callback that gets it, no longer. */
#pragma once
#include "base/slice.h"

#define REDIS_REPLY_DEPTH 7                      /* of arrays in arrays; deeper ones are garbage */
#define REDIS_REPLY_BYTES_MAX ((size_t)4194304)  /* of one reply as it was sent; more is garbage */
#define REDIS_REPLY_ELEMENTS_MAX ((size_t)65536) /* of one reply, over all its arrays; more is garbage */

enum redis_type { REDIS_NIL, REDIS_STRING, REDIS_STATUS, REDIS_ERROR_TEXT, REDIS_INTEGER, REDIS_ARRAY };
struct redis_reply {
    enum redis_type type;
    int64_t integer;                 /* REDIS_INTEGER */
    struct slice text;               /* REDIS_STRING, REDIS_STATUS, REDIS_ERROR_TEXT; may hold any byte */
    const struct redis_reply *items; /* REDIS_ARRAY: `count` of them */
    size_t count;
};

/* What kind of error reply it was, by the word it begins with. `trouble`: the server cannot do its work at present,
 * whoever asks; several in a row open the circuit breaker. */
#define REDIS_ERRORS(X)                                                                                                \
    X(NONE, "", false)                                                                                                 \
    X(OTHER, "?", false) /* ERR, WRONGTYPE, what a script raised itself … */                                         \
    X(NOSCRIPT, "NOSCRIPT", false)                                                                                     \
    X(LOADING, "LOADING", true)                                                                                        \
    X(BUSY, "BUSY", true)                                                                                              \
    X(MASTERDOWN, "MASTERDOWN", true)                                                                                  \
    X(READONLY, "READONLY", true)                                                                                      \
    X(NOREPLICAS, "NOREPLICAS", true)                                                                                  \
    X(OOM, "OOM", true)                                                                                                \
    X(MISCONF, "MISCONF", true)                                                                                        \
    X(MOVED, "MOVED", true) /* seen by a caller only after too many redirections */                                    \
    X(ASK, "ASK", true)                                                                                                \
    X(CLUSTERDOWN, "CLUSTERDOWN", true)                                                                                \
    X(TRYAGAIN, "TRYAGAIN", true)                                                                                      \
    X(CROSSSLOT, "CROSSSLOT", false)                                                                                   \
    X(NOAUTH, "NOAUTH", true)                                                                                          \
    X(WRONGPASS, "WRONGPASS", true)                                                                                    \
    X(NOPERM, "NOPERM", true)                                                                                          \
    X(MAXCLIENTS, "max number of clients", true)
#define REDIS_ERROR_ENUM(id, word, trouble) REDIS_ERROR_##id,
enum redis_error { REDIS_ERRORS(REDIS_ERROR_ENUM) REDIS_ERROR_COUNT };
#undef REDIS_ERROR_ENUM

/* The kind of an error reply's text (without the leading `-`). An error that a command met inside a script counts as
 * that command's, also in the wording of Redis 6 ("ERR Error running script …: -OOM …"). */
enum redis_error redis_error_of(struct slice text);
const char *redis_error_word(enum redis_error e);
bool redis_error_is_trouble(enum redis_error e);

/* Conveniences for scripts' answers: what the n-th item is, or the fallback when it is absent or something else. */
int64_t redis_item_integer(const struct redis_reply *array, size_t n, int64_t fallback);
struct slice redis_item_text(const struct redis_reply *array, size_t n); /* empty when it is no string */
