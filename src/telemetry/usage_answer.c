/* Questions about usage: slots of the fitting level are gone through, what passes the filters is added to the row of
 * its step and keys. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"
#include "facts/names.h"
#include "usage_parts.h"

static bool whole(int64_t s, uint32_t unit) {
    return s % unit == 0;
}

enum usage_level usage_question_level(const struct usage_question *q) {
    for (int l = USAGE_LEVEL_COUNT - 1; l > 0; l--) {
        uint32_t unit = usage_level_seconds((enum usage_level)l);
        if (whole(q->from_s, unit) && whole(q->to_s, unit) && whole(q->step_s, unit)) return (enum usage_level)l;
    }
    return USAGE_MINUTE;
}

static bool passes(const struct usage_question *q, const struct traffic_key *key) {
    bool asked[TRAFFIC_PART_COUNT] = {false}, found[TRAFFIC_PART_COUNT] = {false};
    for (unsigned i = 0; i < q->filter_count; i++) {
        enum traffic_part k = q->filters[i].key;
        asked[k] = true;
        found[k] |= slice_equal(name_of(traffic_part_of(key, k)), q->filters[i].value);
    }
    return memcmp(asked, found, sizeof asked) == 0;
}

static struct usage_answer_step *step_get(struct usage_answer *a, int64_t time_s) {
    size_t at = a->count;
    while (at > 0 && a->steps[at - 1].time_s > time_s) at--;
    if (at > 0 && a->steps[at - 1].time_s == time_s) return &a->steps[at - 1];
    a->steps = mem_array_grow(a->steps, &a->capacity, sizeof *a->steps, a->count + 1);
    memmove(a->steps + at + 1, a->steps + at, (a->count - at) * sizeof *a->steps);
    a->steps[at] = (struct usage_answer_step){.time_s = time_s};
    a->count++;
    return &a->steps[at];
}

void usage_answer_add(struct usage_answer *a, const struct usage_question *q, int64_t slot_s,
                      const struct traffic_key *key, const struct row *row) {
    if (slot_s < q->from_s || slot_s >= q->to_s || !passes(q, key)) return;
    struct usage_answer_step *step =
        step_get(a, q->step_s == 0 ? q->from_s : slot_s - (slot_s - q->from_s) % q->step_s);
    uint32_t parts[TRAFFIC_PART_COUNT];
    for (int i = 0; i < TRAFFIC_PART_COUNT; i++)
        parts[i] = q->by[i] ? traffic_part_of(key, (enum traffic_part)i) : NAME_NONE;
    size_t before = step->rows.count;
    step->rows.detail_max = a->row_count < USAGE_ANSWER_ROWS_MAX ? SIZE_MAX / 2 : 0;
    row_add(row_table_get(&step->rows, &(struct traffic_key){parts[0], parts[1], parts[2], parts[3]}), row);
    a->row_count += step->rows.count - before;
}

void usage_ask(struct usage_book *u, const struct usage_question *q, struct usage_answer *a) {
    enum usage_level l = usage_question_level(q);
    const struct usage_slots *level = &u->kinds[l];
    pthread_mutex_lock(&u->history_lock);
    for (size_t i = 0; i < level->count; i++)
        for (size_t j = 0; j < level->slots[i].rows.count; j++)
            usage_answer_add(a, q, level->slots[i].start_s, &level->slots[i].rows.entries[j].key,
                             &level->slots[i].rows.entries[j].row);
    int64_t since_s = u->begin_unix_ns / (int64_t)NS_PER_S;
    if (level->dropped && level->slots[0].start_s > since_s) since_s = level->slots[0].start_s;
    pthread_mutex_unlock(&u->history_lock);
    a->since_s = since_s > q->from_s ? since_s : q->from_s;
}

static int names_compare(uint32_t a, uint32_t b) {
    struct slice left = name_of(a), right = name_of(b);
    size_t n = left.n < right.n ? left.n : right.n;
    int order = n > 0 ? memcmp(left.p, right.p, n) : 0;
    return order != 0 ? order : (left.n > right.n) - (left.n < right.n);
}

static int by_names(const void *a, const void *b) {
    const struct row_entry *left = a, *right = b;
    for (int i = 0; i < TRAFFIC_PART_COUNT; i++) {
        uint32_t one = traffic_part_of(&left->key, (enum traffic_part)i),
                 other = traffic_part_of(&right->key, (enum traffic_part)i);
        int order = one != other ? names_compare(one, other) : 0;
        if (order != 0) return order;
    }
    return 0;
}

/* The tables' own index is not kept: an answer that is sorted takes nothing more. */
void usage_answer_sort(struct usage_answer *a) {
    for (size_t i = 0; i < a->count; i++) {
        struct row_table *t = &a->steps[i].rows;
        if (t->count > 1) qsort(t->entries, t->count, sizeof *t->entries, by_names);
    }
}

void usage_answer_clear(struct usage_answer *a) {
    for (size_t i = 0; i < a->count; i++) row_table_free(&a->steps[i].rows);
    mem_free(a->steps);
    *a = (struct usage_answer){0};
}
