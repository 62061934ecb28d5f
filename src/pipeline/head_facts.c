/* Who calls, and under which labels. Two different keys in one request are refused: which one counts must never depend
 * on the order of fields. A key is never copied anywhere; what is kept of it is its name. */
#include "head_facts.h"

#include "base/clock.h"

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

static bool keys_from_query(const struct exchange *x, struct slice *key) {
    struct slice rest = x->head.query, parameter;
    if (rest.n == 0 || !slice_starts(x->head.path, SLICE("/v1beta/"))) return true;
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

struct slice head_query_without_key(struct exchange *x) {
    struct slice rest = x->head.query, parameter;
    if (rest.n == 0 || !slice_starts(x->head.path, SLICE("/v1beta/"))) return rest;
    char *out = arena_alloc(&x->arena, rest.n + 1);
    size_t n = 0;
    while (slice_cut(&rest, '&', &parameter)) {
        if (query_is_key(parameter)) continue;
        if (n > 0) out[n++] = '&';
        memcpy(out + n, parameter.p, parameter.n);
        n += parameter.n;
    }
    return (struct slice){out, n};
}

/* ---- labels ---- */

static bool label_is_printable(struct slice s) {
    if (s.n == 0 || s.n > LABEL_MAX) return false;
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] < 0x20 || s.p[i] == 0x7f) return false;
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

static bool tags_collect(struct exchange *x) {
    const struct conf_pairs *own = x->tenant->conf != NULL ? &x->tenant->conf->tags : NULL;
    bool any = x->head.first[FIELD_X_WEIR_TAG] != 0 || x->head.first[FIELD_X_WEIR] != 0;
    size_t bytes = 0, count = 0, own_count = own != NULL ? own->count : 0;
    struct slice name;
    bool good;
    for (unsigned i = 0; any && i < x->head.field_count; i++) {
        if (!tag_take(&x->head.fields[i], &name, &good)) continue;
        if (!good || ++count > TAGS_MAX) return false;
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

static bool all_zero(const uint8_t *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (p[i] != 0) return false;
    return true;
}

static bool lower_hex(struct slice s) {
    for (size_t i = 0; i < s.n; i++)
        if (!((s.p[i] >= '0' && s.p[i] <= '9') || (s.p[i] >= 'a' && s.p[i] <= 'f'))) return false;
    return true;
}

/* W3C Trace Context 2.2: version-traceid-parentid-flags. What is malformed starts a new trace, it is not an error. */
void head_trace(struct exchange *x) {
    if (x->head.first[FIELD_TRACEPARENT] == 0) return;
    struct slice value = head_value(&x->head, FIELD_TRACEPARENT);
    uint8_t trace[16], parent[8];
    if (value.n < 55 || value.p[2] != '-' || value.p[35] != '-' || value.p[52] != '-') return;
    struct slice version = {value.p, 2}, flags = {value.p + 53, 2};
    struct slice trace_hex = {value.p + 3, 32}, parent_hex = {value.p + 36, 16};
    if (!lower_hex(version) || !lower_hex(flags) || !lower_hex(trace_hex) || !lower_hex(parent_hex)) return;
    if (slice_equal(version, SLICE("ff")) || (slice_equal(version, SLICE("00")) && value.n != 55)) return;
    if (value.n > 55 && value.p[55] != '-') return;
    if (!hex_decode(trace_hex, trace, 16) || !hex_decode(parent_hex, parent, 8)) return;
    if (all_zero(trace, 16) || all_zero(parent, 8)) return;
    memcpy(x->trace_id, trace, 16);
    memcpy(x->parent_id, parent, 8);
}

enum failure head_labels(struct exchange *x) {
    bool good = tags_collect(x) && label_collect(x, FIELD_X_WEIR_SESSION, &x->session) &&
                label_collect(x, FIELD_X_WEIR_WORKLOAD, &x->workload_name) &&
                label_collect(x, FIELD_X_WEIR_RELEASE, &x->release);
    if (good && x->head.first[FIELD_X_WEIR_TIMING] != 0)
        good = timing_is_good(head_value(&x->head, FIELD_X_WEIR_TIMING));
    if (x->head.first[FIELD_X_WEIR_DEBUG] != 0) {
        struct slice value = head_value(&x->head, FIELD_X_WEIR_DEBUG);
        x->debug = slice_equal(value, SLICE("1"));
        good = good && (x->debug || slice_equal(value, SLICE("0")));
    }
    return good ? FAILURE_NONE : FAILURE_BAD_WEIR_HEADER;
}
