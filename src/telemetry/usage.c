/* Usage by minute, hour and day, and tenants' sums. Each kind is a sorted array of slots; the newest is nearly always
 * the one that is added to, but the wall clock may jump either way, so a slot is looked for from the end and made where
 * it belongs. The history's lock is held by who adds, asks or sends; sums are also read under a lock of their own,
 * which is held for a moment. */
#include "telemetry/usage.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "facts/names.h"
#include "usage_parts.h"

#define LEVEL_SECONDS(id, seconds) seconds,
static const uint32_t level_seconds[] = {USAGE_LEVELS(LEVEL_SECONDS)};
#undef LEVEL_SECONDS
#define KIND_KEPT(id, kept) kept,
static const size_t kinds_kept[] = {USAGE_KINDS(KIND_KEPT)};
#undef KIND_KEPT

uint32_t usage_level_seconds(enum usage_level l) {
    return level_seconds[l];
}

struct usage_book *usage_new(int64_t unix_ns) {
    struct usage_book *u = mem_zalloc(sizeof *u);
    u->begin_unix_ns = unix_ns;
    pthread_mutex_init(&u->history_lock, NULL);
    pthread_mutex_init(&u->sums_lock, NULL);
    return u;
}

void usage_free(struct usage_book *u) {
    if (u == NULL) return;
    for (int k = 0; k < USAGE_KIND_COUNT; k++) {
        for (size_t i = 0; i < u->kinds[k].count; i++) row_table_free(&u->kinds[k].slots[i].rows);
        mem_free(u->kinds[k].slots);
    }
    pthread_mutex_destroy(&u->history_lock);
    pthread_mutex_destroy(&u->sums_lock);
    mem_free(u);
}

/* ---- periods ---- */

static int64_t floor_to(int64_t s, int64_t step) {
    int64_t rest = s % step;
    return s - (rest < 0 ? rest + step : rest);
}

int64_t usage_day_begin_s(int64_t unix_s) {
    return floor_to(unix_s, 86400);
}

int64_t usage_month_begin_s(int64_t unix_s) {
    time_t s = (time_t)unix_s;
    struct tm t;
    gmtime_r(&s, &t);
    return usage_day_begin_s(unix_s) - (int64_t)(t.tm_mday - 1) * 86400;
}

static int64_t seconds_of(int64_t unix_ns) {
    return floor_to(unix_ns, (int64_t)NS_PER_S) / (int64_t)NS_PER_S;
}

/* ---- slots ---- */

static bool is_sum(enum usage_kind k) {
    return k >= USAGE_KIND_DAY_SUM;
}

static int64_t slot_begin_s(enum usage_kind k, int64_t unix_s) {
    if (k == USAGE_KIND_MONTH_SUM) return usage_month_begin_s(unix_s);
    return floor_to(unix_s, k == USAGE_KIND_DAY_SUM ? 86400 : level_seconds[k]);
}

static void slot_drop(struct usage_book *u, enum usage_kind k) {
    struct usage_slots *kind = &u->kinds[k];
    if (!is_sum(k)) u->row_count -= kind->slots[0].rows.count;
    row_table_free(&kind->slots[0].rows);
    memmove(kind->slots, kind->slots + 1, (kind->count - 1) * sizeof *kind->slots);
    kind->count--;
    kind->dropped = true;
}

/* NULL when there is none. */
static struct usage_slot *slot_find(const struct usage_book *u, enum usage_kind k, int64_t start_s) {
    const struct usage_slots *kind = &u->kinds[k];
    size_t at = kind->count;
    while (at > 0 && kind->slots[at - 1].start_s > start_s) at--;
    return at > 0 && kind->slots[at - 1].start_s == start_s ? &kind->slots[at - 1] : NULL;
}

static struct usage_slot *slot_get(struct usage_book *u, enum usage_kind k, int64_t unix_s) {
    struct usage_slots *kind = &u->kinds[k];
    int64_t start_s = slot_begin_s(k, unix_s);
    struct usage_slot *found = slot_find(u, k, start_s);
    if (found != NULL) return found;
    if (kind->count == kinds_kept[k]) slot_drop(u, k);
    size_t at = kind->count;
    while (at > 0 && kind->slots[at - 1].start_s > start_s) at--;
    kind->slots = mem_array_grow(kind->slots, &kind->capacity, sizeof *kind->slots, kind->count + 1);
    memmove(kind->slots + at + 1, kind->slots + at, (kind->count - at) * sizeof *kind->slots);
    kind->slots[at] =
        (struct usage_slot){.start_s = start_s, .rows.detail_max = is_sum(k) ? NAMES_MAX : TRAFFIC_DETAIL_MAX};
    kind->count++;
    return &kind->slots[at];
}

static bool row_is_empty(const struct row *r) {
    for (int i = 0; i < ROW_COUNTER_COUNT; i++)
        if (r->counters[i] != 0) return false;
    for (int i = 0; i < ROW_MEASURE_COUNT; i++)
        if (r->measures[i].count != 0) return false;
    return true;
}

/* ---- taking ---- */

static void counters_add(struct row *into, const struct row *from) {
    for (int i = 0; i < ROW_COUNTER_COUNT; i++) into->counters[i] += from->counters[i];
}

static void entry_add(const struct usage_book *u, enum usage_kind k, struct usage_slot *slot,
                      const struct row_entry *from) {
    const struct traffic_key tenant = {.tenant = from->key.tenant};
    struct row *row = row_table_get(&slot->rows, is_sum(k) ? &tenant : &from->key);
    struct row_entry *entry = row_entry_of(row);
    if (is_sum(k))
        counters_add(row, &from->row);
    else
        row_add(row, &from->row);
    if (entry->changed == entry->sent) slot->unsent++;
    entry->changed = u->takes;
}

static void kind_add(struct usage_book *u, enum usage_kind k, const struct changes *c, int64_t unix_s) {
    struct usage_slot *slot = slot_get(u, k, unix_s);
    size_t before = slot->rows.count;
    for (size_t i = 0; i < c->rows.count; i++)
        if (!row_is_empty(&c->rows.entries[i].row)) entry_add(u, k, slot, &c->rows.entries[i]);
    if (!is_sum(k)) u->row_count += slot->rows.count - before;
}

/* Too many rows: the finest level gives up its oldest slot first; each keeps the one that is being added to. */
static void history_trim(struct usage_book *u) {
    for (int k = 0; k < USAGE_LEVEL_COUNT; k++)
        while (u->row_count > USAGE_ROWS_MAX && u->kinds[k].count > 1) slot_drop(u, (enum usage_kind)k);
}

/* All of a look's numbers count for the time it began at: looks are taken at the second. */
void usage_take(void *usage, const struct changes *c) {
    struct usage_book *u = usage;
    bool any = false;
    for (size_t i = 0; i < c->rows.count && !any; i++) any = !row_is_empty(&c->rows.entries[i].row);
    if (!any) return;
    int64_t unix_s = seconds_of(c->from_unix_ns);
    pthread_mutex_lock(&u->history_lock);
    u->takes++;
    for (int k = 0; k < USAGE_LEVEL_COUNT; k++) kind_add(u, (enum usage_kind)k, c, unix_s);
    history_trim(u);
    pthread_mutex_lock(&u->sums_lock);
    kind_add(u, USAGE_KIND_DAY_SUM, c, unix_s);
    kind_add(u, USAGE_KIND_MONTH_SUM, c, unix_s);
    pthread_mutex_unlock(&u->sums_lock);
    pthread_mutex_unlock(&u->history_lock);
}

static void period_read(const struct usage_book *u, enum usage_kind k, uint32_t tenant, int64_t unix_s,
                        struct usage_period *p) {
    int64_t begin_s = slot_begin_s(k, unix_s), begin_ns = begin_s * (int64_t)NS_PER_S;
    const struct usage_slot *slot = slot_find(u, k, begin_s);
    const struct row *row = slot != NULL ? row_table_find(&slot->rows, &(struct traffic_key){.tenant = tenant}) : NULL;
    *p = (struct usage_period){.since_unix_ns = begin_ns > u->begin_unix_ns ? begin_ns : u->begin_unix_ns};
    if (row != NULL) p->row = *row;
}

void usage_of_tenant(struct usage_book *u, uint32_t tenant, int64_t unix_ns, struct usage_period *today,
                     struct usage_period *month) {
    int64_t unix_s = seconds_of(unix_ns);
    pthread_mutex_lock(&u->sums_lock);
    period_read(u, USAGE_KIND_DAY_SUM, tenant, unix_s, today);
    period_read(u, USAGE_KIND_MONTH_SUM, tenant, unix_s, month);
    pthread_mutex_unlock(&u->sums_lock);
}

/* ---- telling others ---- */

struct unsent_list {
    struct usage_unsent *items;
    size_t count, capacity;
};

static void slot_collect(const struct usage_slot *slot, enum usage_kind k, struct unsent_list *list) {
    for (size_t i = 0; i < slot->rows.count; i++) {
        const struct row_entry *e = &slot->rows.entries[i];
        if (e->changed == e->sent) continue;
        list->items = mem_array_grow(list->items, &list->capacity, sizeof *list->items, list->count + 1);
        list->items[list->count++] = (struct usage_unsent){k, slot->start_s, e->key, e->changed, e->told, &e->row};
    }
}

static int by_tenant(const void *a, const void *b) {
    const struct usage_unsent *left = a, *right = b;
    if (left->key.tenant != right->key.tenant) return left->key.tenant < right->key.tenant ? -1 : 1;
    if (left->kind != right->kind) return left->kind < right->kind ? -1 : 1;
    return (left->start_s > right->start_s) - (left->start_s < right->start_s);
}

void usage_unsent_each(struct usage_book *u, bool (*each)(void *context, const struct usage_unsent *s), void *context) {
    struct unsent_list list = {0};
    pthread_mutex_lock(&u->history_lock); /* nobody changes anything: sums are written under both locks */
    for (int k = 0; k < USAGE_KIND_COUNT; k++)
        for (size_t i = 0; i < u->kinds[k].count; i++)
            if (u->kinds[k].slots[i].unsent > 0) slot_collect(&u->kinds[k].slots[i], (enum usage_kind)k, &list);
    if (list.count > 1) qsort(list.items, list.count, sizeof *list.items, by_tenant);
    for (size_t i = 0; i < list.count; i++)
        if (!each(context, &list.items[i])) break;
    pthread_mutex_unlock(&u->history_lock);
    mem_free(list.items);
}

void usage_sent(struct usage_book *u, const struct usage_unsent *s, uint64_t told) {
    pthread_mutex_lock(&u->history_lock);
    struct usage_slot *slot = slot_find(u, s->kind, s->start_s);
    struct row *row = slot != NULL ? row_table_search(&slot->rows, &s->key) : NULL;
    if (row != NULL) {
        struct row_entry *e = row_entry_of(row);
        e->told = told;
        if (e->changed == s->changed && e->sent != e->changed) slot->unsent--;
        e->sent = s->changed;
    }
    pthread_mutex_unlock(&u->history_lock);
}

void usage_forget_sent(struct usage_book *u) {
    pthread_mutex_lock(&u->history_lock);
    for (int k = 0; k < USAGE_KIND_COUNT; k++)
        for (size_t i = 0; i < u->kinds[k].count; i++) {
            struct usage_slot *slot = &u->kinds[k].slots[i];
            for (size_t j = 0; j < slot->rows.count; j++) slot->rows.entries[j].sent = slot->rows.entries[j].told = 0;
            slot->unsent = slot->rows.count;
        }
    pthread_mutex_unlock(&u->history_lock);
}

bool usage_is_sent(struct usage_book *u) {
    size_t unsent = 0;
    pthread_mutex_lock(&u->history_lock);
    for (int k = 0; k < USAGE_KIND_COUNT; k++)
        for (size_t i = 0; i < u->kinds[k].count; i++) unsent += u->kinds[k].slots[i].unsent;
    pthread_mutex_unlock(&u->history_lock);
    return unsent == 0;
}
