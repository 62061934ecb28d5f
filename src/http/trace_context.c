/* Reading traceparent, tracestate and baggage. The hard part is what to do with half of it: a tracestate is dropped
 * whole when one member is malformed (Trace Context 3.3.1), baggage is read member by member; a second traceparent
 * makes both worthless. Values are copied as they came, never decoded. */
#include "http/trace_context.h"

#include <assert.h>

enum { MEMBER_LONG = 128, KEY_MAX = 256, VALUE_MAX = 256 };

/* ---- traceparent ---- */

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

static bool hex_read(const char *p, uint8_t *out, size_t bytes) {
    struct slice hex = {p, 2 * bytes};
    return lower_hex(hex) && hex_decode(hex, out, bytes);
}

bool trace_parent_parse(struct slice value, struct trace_parent *t) {
    uint8_t version, flags;
    const char *p = value.p;
    if (value.n < TRACEPARENT_BYTES || p[2] != '-' || p[35] != '-' || p[52] != '-') return false;
    if (!hex_read(p, &version, 1) || version == 0xff) return false;
    if (value.n > TRACEPARENT_BYTES && (version == 0 || p[TRACEPARENT_BYTES] != '-')) return false;
    if (!hex_read(p + 3, t->trace_id, 16) || !hex_read(p + 36, t->parent_id, 8) || !hex_read(p + 53, &flags, 1))
        return false;
    t->flags = flags & (TRACE_SAMPLED | TRACE_RANDOM);
    return !all_zero(t->trace_id, 16) && !all_zero(t->parent_id, 8);
}

static bool field_is_alone(const struct http_head *head, enum field_id id) {
    for (unsigned i = head->first[id]; i < head->field_count; i++)
        if (head->fields[i].id == id) return false;
    return true;
}

bool trace_parent_read(const struct http_head *head, struct trace_parent *t) {
    return head->first[FIELD_TRACEPARENT] != 0 && field_is_alone(head, FIELD_TRACEPARENT) &&
           trace_parent_parse(head_value(head, FIELD_TRACEPARENT), t);
}

void trace_parent_write(char out[TRACEPARENT_BYTES], const struct trace_parent *t) {
    memcpy(out, "00-", 3);
    hex_encode(t->trace_id, 16, out + 3);
    out[35] = '-';
    hex_encode(t->parent_id, 8, out + 36);
    out[52] = '-';
    hex_encode(&t->flags, 1, out + 53);
}

bool trace_sampler_takes(const struct trace_sampler *s, const uint8_t trace_id[16]) {
    uint64_t random = 0;
    for (int i = 9; i < 16; i++) random = random << 8 | trace_id[i];
    return random >= s->threshold;
}

/* ---- lists over several fields ---- */

static struct slice blanks_trim(struct slice s) {
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) s.p++, s.n--;
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) s.n--;
    return s;
}

struct members { /* walks the comma lists of all fields with one id */
    const struct http_head *head;
    enum field_id id;
    unsigned next; /* index of the next field to open */
    struct slice rest;
};

static bool member_next(struct members *m, struct slice *member) {
    while (true) {
        while (slice_cut(&m->rest, ',', member)) {
            *member = blanks_trim(*member);
            if (member->n > 0) return true; /* empty ones are allowed and mean nothing */
        }
        while (m->next < m->head->field_count && m->head->fields[m->next].id != m->id) m->next++;
        if (m->next >= m->head->field_count) return false;
        m->rest = m->head->fields[m->next++].value;
    }
}

static struct members members_of(const struct http_head *head, enum field_id id) {
    return (struct members){.head = head, .id = id, .next = head->first[id] ? head->first[id] - 1u : head->field_count};
}

static void member_append(struct buf *out, size_t from, struct slice member) {
    if (buf_length(out) > from) buf_append(out, ",", 1);
    buf_append_slice(out, member);
}

static bool key_and_value(struct slice member, struct slice *key, struct slice *value) {
    const char *equals = memchr(member.p, '=', member.n);
    if (equals == NULL) return false;
    *key = (struct slice){member.p, (size_t)(equals - member.p)};
    *value = (struct slice){equals + 1, member.n - key->n - 1};
    return true;
}

/* ---- tracestate ---- */

static bool state_key_is_good(struct slice key) {
    if (key.n == 0 || key.n > KEY_MAX) return false;
    for (size_t i = 0; i < key.n; i++) {
        char c = key.p[i];
        bool alphanumeric = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
        if (!alphanumeric && (i == 0 || c == '\0' || strchr("_-*/@", c) == NULL)) return false;
    }
    return true;
}

static bool state_member_is_good(struct slice member) {
    struct slice key, value;
    if (!key_and_value(member, &key, &value) || !state_key_is_good(key)) return false;
    if (value.n == 0 || value.n > VALUE_MAX) return false;
    for (size_t i = 0; i < value.n; i++)
        if (value.p[i] < 0x20 || value.p[i] > 0x7e || value.p[i] == '=') return false;
    return true;
}

struct state_size {
    unsigned count;
    size_t bytes, short_bytes; /* joined by commas; without the long members */
};

static bool state_measure(const struct http_head *head, struct state_size *size) {
    struct members m = members_of(head, FIELD_TRACESTATE);
    *size = (struct state_size){0};
    for (struct slice member; member_next(&m, &member); size->count++) {
        if (!state_member_is_good(member)) return false;
        size->bytes += member.n + (size->bytes > 0);
        if (member.n <= MEMBER_LONG) size->short_bytes += member.n + (size->short_bytes > 0);
    }
    return size->count <= TRACESTATE_MEMBERS_MAX;
}

void trace_state_read(const struct http_head *head, struct buf *out) {
    struct state_size size;
    if (!state_measure(head, &size)) return;
    struct members m = members_of(head, FIELD_TRACESTATE);
    size_t from = buf_length(out);
    bool short_only = size.bytes > TRACESTATE_BYTES_MAX;
    for (struct slice member; member_next(&m, &member);) {
        if (short_only && member.n > MEMBER_LONG) continue;
        if (buf_length(out) - from + member.n + 1 > TRACESTATE_BYTES_MAX + (buf_length(out) == from)) return;
        member_append(out, from, member);
    }
}

/* ---- baggage ---- */

static bool is_token(struct slice s) { /* RFC 9110 5.6.2 */
    if (s.n == 0) return false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i], lower = ascii_lower(c);
        bool alphanumeric = (lower >= 'a' && lower <= 'z') || (c >= '0' && c <= '9');
        if (!alphanumeric && (c == '\0' || strchr("!#$%&'*+-.^_`|~", c) == NULL)) return false;
    }
    return true;
}

static bool is_baggage_value(struct slice s) { /* baggage-octet: printable ASCII without space " , ; and backslash */
    for (size_t i = 0; i < s.n; i++)
        if (s.p[i] <= 0x20 || s.p[i] > 0x7e || strchr("\",;\\", s.p[i]) != NULL) return false;
    return true;
}

static bool baggage_part_is_good(struct slice part, bool property) {
    struct slice key, value;
    if (!key_and_value(part, &key, &value)) return property && is_token(blanks_trim(part));
    return is_token(blanks_trim(key)) && is_baggage_value(blanks_trim(value));
}

static bool baggage_member_is_good(struct slice member) {
    struct slice rest = member, part;
    for (bool property = false; slice_cut(&rest, ';', &part); property = true)
        if (!baggage_part_is_good(part, property)) return false;
    return true;
}

void baggage_read(const struct http_head *head, struct buf *out) {
    struct members m = members_of(head, FIELD_BAGGAGE);
    size_t from = buf_length(out);
    unsigned count = 0;
    for (struct slice member; member_next(&m, &member) && count < BAGGAGE_MEMBERS_MAX;) {
        if (!baggage_member_is_good(member)) continue;
        if (buf_length(out) - from + member.n + 1 > BAGGAGE_BYTES_MAX) continue;
        member_append(out, from, member);
        count++;
    }
}
