/* Who calls, and under which labels. Two different keys in one request are refused: which one counts must never depend
 * on the order of fields. A key is never copied anywhere; what is kept of it is its name. */
#include "head_facts.h"

#include "base/clock.h"
#include "base/utf8.h"
#include "http/trace_context.h"

enum { TAGS_MAX = 16, TAG_NAME_MAX = 64, LABEL_MAX = 256 };

static struct slice bearer_token(struct slice value) {
    if (value.n < 7 || !slice_equal_nocase((struct slice){value.p, 6}, SLICE("Bearer")) || value.p[6] != ' ')
        return SLICE("");
    return slice_trim((struct slice){value.p + 7, value.n - 7});
}

static bool key_take(struct slice *key, struct slice candidate) {
    if (candidate.n == 0) return true;
    if (key->n > 0) return secret_equal(*key, candidate);
    *key = candidate;
    return true;
}

static bool query_is_key(struct slice parameter) {
    return slice_starts(parameter, SLICE("key="));
}

/* Google's clients may send their key in the query, whichever version the path names. */
static bool query_has_keys(const struct exchange *x) {
    return x->route.dialect == DIALECT_GEMINI || slice_starts(x->head.path, SLICE("/v1beta/"));
}

static bool keys_from_query(const struct exchange *x, struct slice *key) {
    struct slice rest = x->head.query, parameter;
    if (rest.n == 0 || !query_has_keys(x)) return true;
    while (slice_cut(&rest, '&', &parameter))
        if (query_is_key(parameter) && !key_take(key, slice_trim((struct slice){parameter.p + 4, parameter.n - 4})))
            return false;
    return true;
}

static bool keys_collect(const struct exchange *x, struct slice *key) {
    for (unsigned i = 0; i < x->head.field_count; i++) {
        const struct field *f = &x->head.fields[i];
        struct slice candidate = SLICE("");
        if (f->id == FIELD_AUTHORIZATION)
            candidate = bearer_token(f->value);
        else if (f->id == FIELD_X_API_KEY || f->id == FIELD_API_KEY || f->id == FIELD_X_GOOG_API_KEY)
            candidate = slice_trim(f->value);
        if (!key_take(key, candidate)) return false;
    }
    return keys_from_query(x, key);
}

enum failure head_credentials(struct exchange *x) {
    struct slice key = {NULL, 0};
    x->tenant = tenants_open_to_all(x->conf->tenants);
    if (x->tenant != NULL) return FAILURE_NONE;
    if (!keys_collect(x, &key)) return FAILURE_CONFLICTING_KEYS;
    if (key.n == 0) return FAILURE_NO_KEY;
    int64_t now_s = clock_wall_ns(x->worker->loop->now_ns) / (int64_t)NS_PER_S;
    enum failure f = tenants_find_again(x->conf->tenants, &x->client->key_memo, key, now_s, &x->key);
    if (x->key != NULL) x->tenant = x->key->tenant;
    return f;
}

/* Under whatever name: a client's key may stand in a query that weir does not look for one in. */
static bool parameter_holds(struct slice parameter, struct slice key) {
    const char *equals = memchr(parameter.p, '=', parameter.n);
    if (key.n == 0 || equals == NULL) return false;
    const char *value = equals + 1;
    return secret_equal((struct slice){value, (size_t)(parameter.p + parameter.n - value)}, key);
}

struct slice head_query_without_key(struct exchange *x) {
    struct slice rest = x->head.query, parameter, key = {NULL, 0};
    if (rest.n == 0) return rest;
    bool named = query_has_keys(x);
    keys_collect(x, &key);
    char *out = arena_alloc(&x->arena, rest.n + 1);
    size_t n = 0;
    while (slice_cut(&rest, '&', &parameter)) {
        if ((named && query_is_key(parameter)) || parameter_holds(parameter, key)) continue;
        if (n > 0) out[n++] = '&';
        memcpy(out + n, parameter.p, parameter.n);
        n += parameter.n;
    }
    return (struct slice){out, n};
}

/* ---- labels ---- */

/* UTF-8 without control characters, be they C0 or C1, and without Unicode's own line ends. */
static bool label_is_printable(struct slice s) {
    if (s.n == 0 || s.n > LABEL_MAX) return false;
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0, step; i < s.n; i += step) {
        step = utf8_length(p + i, s.n - i);
        bool control = step == 1 ? p[i] < 0x20 || p[i] == 0x7f : step == 2 && p[i] == 0xc2 && p[i + 1] < 0xa0;
        bool line_end = step == 3 && p[i] == 0xe2 && p[i + 1] == 0x80 && (p[i + 2] & 0xfe) == 0xa8;
        if (step == 0 || control || line_end) return false;
    }
    return true;
}

static bool tag_name_is_good(struct slice s) {
    if (s.n == 0 || s.n > TAG_NAME_MAX) return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = ascii_lower(s.p[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.')) return false;
    }
    return true;
}

/* Is this field a tag? Its name is checked with its value; `x-weir-tag-` alone names nothing. */
static bool tag_take(const struct field *f, struct slice *name, bool *good) {
    const size_t prefix = sizeof "x-weir-tag-" - 1;
    bool nameless = f->id == FIELD_X_WEIR && slice_equal_nocase(f->name, SLICE("x-weir-tag-"));
    if (f->id != FIELD_X_WEIR_TAG && !nameless) return false;
    *name = (struct slice){f->name.p + prefix, f->name.n - prefix};
    *good = tag_name_is_good(*name) && label_is_printable(f->value);
    return true;
}

static char *tag_put(char *at, struct slice name, struct slice value) {
    for (size_t i = 0; i < name.n; i++) *at++ = ascii_lower(name.p[i]);
    *at++ = '\0';
    memcpy(at, value.p, value.n);
    at += value.n;
    *at++ = '\0';
    return at;
}

/* A tenant's own tag gives way to one of the same name that the request brings. */
static bool request_has_tag(const struct exchange *x, struct slice name) {
    struct slice sent;
    bool good;
    for (unsigned i = 0; i < x->head.field_count; i++)
        if (tag_take(&x->head.fields[i], &sent, &good) && slice_equal_nocase(sent, name)) return true;
    return false;
}

static bool tag_is_repeated(const struct exchange *x, unsigned before, struct slice name) {
    struct slice earlier;
    bool good;
    for (unsigned i = 0; i < before; i++)
        if (tag_take(&x->head.fields[i], &earlier, &good) && slice_equal_nocase(earlier, name)) return true;
    return false;
}

static bool tags_collect(struct exchange *x) {
    const struct conf_pairs *own = x->tenant->conf != NULL ? &x->tenant->conf->tags : NULL;
    bool any = x->head.first[FIELD_X_WEIR_TAG] != 0 || x->head.first[FIELD_X_WEIR] != 0;
    size_t bytes = 0, count = 0, own_count = own != NULL ? own->count : 0;
    struct slice name;
    bool good;
    for (unsigned i = 0; any && i < x->head.field_count; i++) {
        if (!tag_take(&x->head.fields[i], &name, &good)) continue;
        if (!good || ++count > TAGS_MAX || tag_is_repeated(x, i, name)) return false;
        bytes += name.n + x->head.fields[i].value.n + 2;
    }
    for (size_t i = 0; i < own_count; i++) bytes += own->items[i].name.text.n + own->items[i].value.text.n + 2;
    if (bytes == 0) return true;
    char *out = arena_alloc(&x->arena, bytes), *at = out;
    for (size_t i = 0; i < own_count; i++)
        if (!any || !request_has_tag(x, own->items[i].name.text))
            at = tag_put(at, own->items[i].name.text, own->items[i].value.text);
    for (unsigned i = 0; any && i < x->head.field_count; i++)
        if (tag_take(&x->head.fields[i], &name, &good)) at = tag_put(at, name, x->head.fields[i].value);
    x->tags = (struct slice){out, (size_t)(at - out)};
    return true;
}

static bool label_collect(const struct exchange *x, enum field_id id, struct slice *label) {
    if (x->head.first[id] == 0) return true;
    *label = head_value(&x->head, id);
    for (unsigned i = x->head.first[id]; i < x->head.field_count; i++) /* those behind the first */
        if (x->head.fields[i].id == id) return false;
    return label_is_printable(*label);
}

static bool decimal_is_good(struct slice s) {
    size_t digits = 0, dots = 0;
    for (size_t i = 0; i < s.n; i++) {
        if (s.p[i] == '.')
            dots++;
        else if (s.p[i] >= '0' && s.p[i] <= '9')
            digits++;
        else
            return false;
    }
    return digits > 0 && digits <= 15 && dots <= 1;
}

/* `retrieval;dur=120, rerank;dur=35`: layers the application measured itself (the grammar of Server-Timing). */
static bool timing_is_good(struct slice value) {
    struct slice rest = value, item;
    while (slice_cut(&rest, ',', &item)) {
        item = slice_trim(item);
        const char *semicolon = memchr(item.p, ';', item.n);
        if (semicolon == NULL) return false;
        struct slice name = {item.p, (size_t)(semicolon - item.p)};
        struct slice duration = slice_trim((struct slice){semicolon + 1, item.n - name.n - 1});
        if (!tag_name_is_good(name) || !slice_starts(duration, SLICE("dur=")) ||
            !decimal_is_good((struct slice){duration.p + 4, duration.n - 4}))
            return false;
    }
    return true;
}

void head_trace(struct exchange *x) {
    struct trace_parent t;
    if (x->head.first[FIELD_TRACEPARENT] == 0 || !trace_parent_read(&x->head, &t)) return;
    memcpy(x->trace_id, t.trace_id, sizeof x->trace_id);
    memcpy(x->parent_id, t.parent_id, sizeof x->parent_id);
    x->trace_flags = t.flags;
    if (x->worker->sampler.always) {
        x->trace_flags &= TRACE_RANDOM;
        if (trace_sampler_takes(&x->worker->sampler, t.trace_id)) x->trace_flags |= TRACE_SAMPLED;
    }
    if (x->head.first[FIELD_TRACESTATE] == 0) return;
    struct buf state = {0};
    trace_state_read(&x->head, &state);
    if (buf_length(&state) > 0) x->trace_state = exchange_copy(x, buf_slice(&state));
    buf_clear(&state);
}

enum failure head_labels(struct exchange *x) {
    bool good = tags_collect(x) && label_collect(x, FIELD_X_WEIR_SESSION, &x->session) &&
                label_collect(x, FIELD_X_WEIR_WORKLOAD, &x->workload_name) &&
                label_collect(x, FIELD_X_WEIR_RELEASE, &x->release);
    for (unsigned i = x->head.first[FIELD_X_WEIR_TIMING]; good && i > 0 && i <= x->head.field_count; i++)
        if (x->head.fields[i - 1].id == FIELD_X_WEIR_TIMING) good = timing_is_good(x->head.fields[i - 1].value);
    if (x->head.first[FIELD_X_WEIR_DEBUG] != 0) {
        struct slice value = head_value(&x->head, FIELD_X_WEIR_DEBUG);
        x->debug = slice_equal(value, SLICE("1"));
        good = good && (x->debug || slice_equal(value, SLICE("0")));
    }
    return good ? FAILURE_NONE : FAILURE_BAD_WEIR_HEADER;
}
