/* The URL of a Redis. It holds a secret, so what is said of a fault never quotes it. */
#include "redis_url.h"

#include "address.h"

enum { DATABASE_MAX = 65535 };

static const char decode_fault[] = "the URL's user or password is malformed (percent-encode what is special there)";

/* False: a lone `%`, or a byte that no URL holds. */
static bool percent_decode(struct arena *arena, struct slice s, struct slice *out) {
    char *text = arena_alloc(arena, s.n + 1);
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        uint8_t byte = (uint8_t)s.p[i];
        if (byte <= 0x20 || byte >= 0x7F) return false;
        if (s.p[i] == '%') {
            if (i + 2 >= s.n || !hex_decode((struct slice){s.p + i + 1, 2}, &byte, 1)) return false;
            i += 2;
        }
        text[n++] = (char)byte;
    }
    text[n] = '\0';
    *out = (struct slice){text, n};
    return true;
}

static bool userinfo_split(struct arena *arena, struct slice info, struct config_redis_target *out) {
    const char *colon = info.n > 0 ? memchr(info.p, ':', info.n) : NULL;
    struct slice user = {info.p, colon != NULL ? (size_t)(colon - info.p) : info.n};
    struct slice password = {user.p + user.n + 1, colon != NULL ? info.n - user.n - 1 : 0};
    return percent_decode(arena, user, &out->user) && percent_decode(arena, password, &out->password);
}

static const char *authority_split(struct arena *arena, struct slice authority, struct config_redis_target *out) {
    struct slice host;
    const char *fault = address_authority_split(authority, &host, &out->port, &out->loopback);
    if (fault != NULL) return fault;
    out->host = arena_copy(arena, host);
    out->port = out->port.n > 0 ? arena_copy(arena, out->port) : SLICE("6379");
    return NULL;
}

const char *redis_url_split(struct arena *arena, struct slice url, struct config_redis_target *out) {
    *out = (struct config_redis_target){.tls = slice_starts(url, SLICE("rediss://"))};
    if (!out->tls && !slice_starts(url, SLICE("redis://")))
        return "expected a URL that begins with redis:// or rediss://";
    size_t scheme = out->tls ? 9 : 8;
    struct slice rest = {url.p + scheme, url.n - scheme};
    const char *at = rest.n > 0 ? memrchr(rest.p, '@', rest.n) : NULL;
    if (at != NULL) {
        struct slice info = {rest.p, (size_t)(at - rest.p)};
        if (!userinfo_split(arena, info, out)) return decode_fault;
        rest = (struct slice){at + 1, rest.n - info.n - 1};
    }
    const char *slash = rest.n > 0 ? memchr(rest.p, '/', rest.n) : NULL;
    struct slice authority = {rest.p, slash != NULL ? (size_t)(slash - rest.p) : rest.n};
    struct slice database = {authority.p + authority.n + 1, slash != NULL ? rest.n - authority.n - 1 : 0};
    if (database.n > 0 && (!slice_to_u64(database, &out->database) || out->database > DATABASE_MAX))
        return "after the host, a Redis URL may only have the number of a database, as in /0";
    return authority_split(arena, authority, out);
}
