/* The field table and its lookup. Exact names sit in a small open hash filled before main() from the one table, so a
 * lookup is one probe and one comparison; the few prefix rows are tried, longest first, only for names whose third
 * byte is that of one. Case is ignored without folding: two bytes are the same letter when they differ in no bit but
 * 0x20 where the table has a letter. Nothing here keeps a header's value. */
#include "http/fields.h"

#include <assert.h>

struct row {
    struct slice name;
    uint8_t request, answer;
};

#define ROW(id, name, request, answer) [FIELD_##id] = {SLICE_INIT(name), WAY_##request, WAY_##answer},
static const struct row rows[FIELD_COUNT] = {FIELDS(ROW)};
#undef ROW

enum { SLOTS = 256, PREFIXES_MAX = 16, NAME_MAX_BYTES = 40 };
static uint8_t slots[SLOTS];               /* field ids; FIELD_OTHER marks a free slot */
static uint8_t prefixes[PREFIXES_MAX + 1]; /* field ids, longest name first, ended by FIELD_OTHER */
static bool third_of_prefix[256]; /* third bytes of those names, either case: the one that tells x-names apart */
static char case_bits[FIELD_COUNT][NAME_MAX_BYTES]; /* 0x20 where the row's name has a letter, else 0 */

static_assert(FIELD_COUNT <= SLOTS / 3, "the open hash stays sparse");

static unsigned slot_of(struct slice name) {
    unsigned first = name.p[0] | 0x20, middle = name.p[name.n / 2] | 0x20, last = name.p[name.n - 1] | 0x20;
    return ((unsigned)name.n * 37 + first * 5 + middle * 11 + last * 3) % SLOTS;
}

static void prefix_add(uint8_t id) {
    int at = 0;
    while (prefixes[at] != FIELD_OTHER && rows[prefixes[at]].name.n >= rows[id].name.n) at++;
    for (int i = PREFIXES_MAX - 1; i > at; i--) prefixes[i] = prefixes[i - 1];
    prefixes[at] = id;
    uint8_t third = (uint8_t)rows[id].name.p[2];
    third_of_prefix[third] = third_of_prefix[third & ~0x20] = true;
}

__attribute__((constructor)) static void fields_build(void) {
    int prefix_count = 0;
    for (unsigned id = FIELD_OTHER + 1; id < FIELD_COUNT; id++) {
        assert(rows[id].name.n <= NAME_MAX_BYTES);
        for (size_t i = 0; i < rows[id].name.n; i++) case_bits[id][i] = rows[id].name.p[i] >= 'a' ? 0x20 : 0;
        if (rows[id].request & WAY_PREFIX) {
            prefix_count++;
            assert(prefix_count <= PREFIXES_MAX && rows[id].name.n > 2);
            prefix_add((uint8_t)id);
            continue;
        }
        unsigned slot = slot_of(rows[id].name);
        while (slots[slot] != FIELD_OTHER) slot = (slot + 1) % SLOTS;
        slots[slot] = (uint8_t)id;
    }
}

static inline uint64_t eight(const char *p) {
    uint64_t word;
    memcpy(&word, p, sizeof word);
    return word;
}

static inline bool eight_differ(const char *a, const char *b, const char *ignored) {
    return ((eight(a) ^ eight(b)) & ~eight(ignored)) != 0;
}

/* Do the bytes at p begin with the row's name, in any case? They are at least as many. */
static bool same_name(const char *p, unsigned id) {
    const char *name = rows[id].name.p, *ignored = case_bits[id];
    size_t n = rows[id].name.n, at = 0;
    if (n < 8) {
        while (at < n && ((p[at] ^ name[at]) & ~ignored[at]) == 0) at++;
        return at == n;
    }
    for (; at + 8 < n; at += 8)
        if (eight_differ(p + at, name + at, ignored + at)) return false;
    return !eight_differ(p + n - 8, name + n - 8, ignored + n - 8); /* overlaps what was compared */
}

static enum field_id lookup_prefix(struct slice name) {
    for (const uint8_t *id = prefixes; *id != FIELD_OTHER; id++) {
        if (name.n > rows[*id].name.n && same_name(name.p, *id)) return (enum field_id) * id;
    }
    return FIELD_OTHER;
}

enum field_id field_lookup(struct slice name) {
    if (name.n == 0) return FIELD_OTHER;
    for (unsigned slot = slot_of(name); slots[slot] != FIELD_OTHER; slot = (slot + 1) % SLOTS) {
        if (rows[slots[slot]].name.n == name.n && same_name(name.p, slots[slot])) return (enum field_id)slots[slot];
    }
    return name.n > 2 && third_of_prefix[(uint8_t)name.p[2]] ? lookup_prefix(name) : FIELD_OTHER;
}

enum field_way field_way_request(enum field_id id) {
    return (enum field_way)(rows[id].request & ~WAY_PREFIX);
}
enum field_way field_way_answer(enum field_id id) {
    return (enum field_way)(rows[id].answer & ~WAY_PREFIX);
}
