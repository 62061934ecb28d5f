/* src/mock/knobs.c: the table of knobs and how a value gets into one. Values are whole numbers or one of the row's
 * words; a knob that needs more than that should become two knobs. */
#include "mock/mock.h"

#define KNOB_MAX UINT64_C(1000000000) /* so that sums of milliseconds and bytes cannot overflow */

#define ROW(id, name, initial, choices, help) [MOCK_##id] = {name, choices, help, initial},
static const struct mock_knob_row rows[MOCK_KNOB_COUNT] = {MOCK_KNOBS(ROW)};
#undef ROW

const struct mock_knob_row *mock_knob_row(enum mock_knob k) {
    return &rows[k];
}

void mock_knobs_init(struct mock_knobs *knobs) {
    for (int i = 0; i < MOCK_KNOB_COUNT; i++) knobs->value[i] = rows[i].initial;
}

static bool name_matches(struct slice given, const char *name) {
    size_t i = 0;
    for (; i < given.n && name[i]; i++) {
        char c = given.p[i] == '-' ? '_' : ascii_lower(given.p[i]);
        if (c != name[i]) return false;
    }
    return i == given.n && name[i] == 0;
}

static bool choice_index(const char *choices, struct slice value, uint64_t *index) {
    struct slice rest = slice_of(choices), item;
    for (uint64_t i = 0; slice_cut(&rest, '|', &item); i++) {
        if (slice_equal(item, value)) {
            *index = i;
            return true;
        }
    }
    return false;
}

bool mock_knob_set(struct mock_knobs *knobs, struct slice name, struct slice value) {
    int i = 0;
    while (i < MOCK_KNOB_COUNT && !name_matches(name, rows[i].name)) i++;
    if (i == MOCK_KNOB_COUNT) return false;
    uint64_t number = 0;
    bool known = rows[i].choices ? choice_index(rows[i].choices, value, &number) : slice_to_u64(value, &number);
    if (!known || number > KNOB_MAX) return false;
    knobs->value[i] = number;
    return true;
}
