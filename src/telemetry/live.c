/* The windows of the last minutes. Only the recorder changes the two lists, so it merges without the lock and takes it
 * for moving pointers. Fine windows become a coarse one ten at a time, so that both together leave no gap. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "facts/names.h"
#include "live_parts.h"

struct live *live_new(void) {
    struct live *l = mem_zalloc(sizeof *l);
    l->bytes_max = LIVE_BYTES_MAX;
    pthread_mutex_init(&l->lock, NULL);
    return l;
}

void live_window_release(struct live_window *w) {
    if (atomic_fetch_sub(&w->holders, 1) != 1) return;
    row_table_free(&w->rows);
    sparse_clear(&w->lag);
    mem_free(w);
}

void live_free(struct live *l) {
    if (l == NULL) return;
    for (unsigned i = 0; i < l->fine_count; i++) live_window_release(l->fine[i]);
    for (unsigned i = 0; i < l->coarse_count; i++) live_window_release(l->coarse[i]);
    for (unsigned i = 0; i < LIVE_CACHED; i++) buf_clear(&l->cached[i].text);
    for (unsigned i = 0; i < l->peer_count; i++) live_free(l->peers[i].windows);
    pthread_mutex_destroy(&l->lock);
    mem_free(l);
}

/* ---- making windows ---- */

static struct live_window *window_new(uint64_t from_ns, uint64_t to_ns, int64_t to_unix_ns) {
    struct live_window *w = mem_zalloc(sizeof *w);
    atomic_init(&w->holders, 1);
    w->from_ns = from_ns;
    w->to_ns = to_ns;
    w->to_unix_ns = to_unix_ns;
    w->rows.detail_max = LIVE_DETAIL_MAX;
    return w;
}

static void rows_add(struct live_window *w, const struct row_table *rows) {
    for (size_t i = 0; i < rows->count; i++) {
        const struct row *from = &rows->entries[i].row;
        struct row *into = row_table_get(&w->rows, &rows->entries[i].key);
        row_add(into, from);
        into->in_flight += from->in_flight;
        into->queued += from->queued;
    }
}

static void window_weigh(struct live_window *w) {
    w->bytes = sizeof *w + w->rows.capacity * sizeof *w->rows.entries + w->rows.slot_count * sizeof *w->rows.slots +
               w->lag.capacity * sizeof *w->lag.cells;
    for (size_t i = 0; i < w->rows.count; i++)
        for (int m = 0; m < ROW_MEASURE_COUNT; m++)
            w->bytes += w->rows.entries[i].row.measures[m].capacity * sizeof(uint64_t);
}

void live_watch_lag(struct live *l, const struct histogram *lag) {
    unsigned n = atomic_load(&l->lag_count);
    if (n == LIVE_LAGS_MAX) return;
    l->lags[n] = lag;
    atomic_store_explicit(&l->lag_count, n + 1, memory_order_release);
}

/* What was added to the workers' loop lags since the last look. */
static void lag_take(struct live *l, struct sparse *lag) {
    unsigned count = atomic_load_explicit(&l->lag_count, memory_order_acquire);
    memset(&l->lag_now, 0, sizeof l->lag_now);
    for (unsigned i = 0; i < count; i++) histogram_read(l->lags[i], &l->lag_now);
    for (unsigned b = 0; b < HISTOGRAM_BUCKETS; b++) sparse_add(lag, b, l->lag_now.counts[b] - l->lag_seen.counts[b]);
    lag->sum = l->lag_now.sum - l->lag_seen.sum;
    if (lag->cell_count > 0) {
        unsigned last = sparse_bucket(lag->cells[lag->cell_count - 1]);
        uint64_t end = last + 1 < HISTOGRAM_BUCKETS ? histogram_bucket_edge(last + 1) : UINT64_MAX;
        lag->max = end < l->lag_now.max ? end : l->lag_now.max;
    }
    l->lag_seen = l->lag_now;
}

static struct live_window *window_of(struct live *l, const struct changes *c) {
    struct live_window *w = window_new(c->from_ns, c->to_ns, c->to_unix_ns);
    rows_add(w, &c->rows);
    lag_take(l, &w->lag);
    window_weigh(w);
    return w;
}

/* ---- the lists ---- */

static void first_drop(struct live *l, struct live_window **list, unsigned *count, unsigned dropped) {
    for (unsigned i = 0; i < dropped; i++) {
        l->bytes -= list[i]->bytes;
        live_window_release(list[i]);
    }
    memmove(list, list + dropped, (*count - dropped) * sizeof *list);
    *count -= dropped;
}

static struct live_window *merged(const struct live *l) {
    struct live_window *w =
        window_new(l->fine[0]->from_ns, l->fine[LIVE_MERGED - 1]->to_ns, l->fine[LIVE_MERGED - 1]->to_unix_ns);
    for (unsigned i = 0; i < LIVE_MERGED; i++) {
        rows_add(w, &l->fine[i]->rows);
        sparse_merge(&w->lag, &l->fine[i]->lag);
    }
    window_weigh(w);
    return w;
}

static void room_make(struct live *l) {
    while (l->bytes > l->bytes_max && l->coarse_count > 0) first_drop(l, l->coarse, &l->coarse_count, 1);
    while (l->bytes > l->bytes_max && l->fine_count > 1) first_drop(l, l->fine, &l->fine_count, 1);
}

void live_take(void *live, const struct changes *c) {
    struct live *l = live;
    if (c->from_ns == 0) return; /* the first look has no beginning, and nothing has happened yet */
    struct live_window *fine = window_of(l, c);
    struct live_window *coarse = l->fine_count == LIVE_FINE_MAX ? merged(l) : NULL;
    pthread_mutex_lock(&l->lock);
    if (coarse != NULL) {
        if (l->coarse_count == LIVE_COARSE_MAX) first_drop(l, l->coarse, &l->coarse_count, 1);
        l->coarse[l->coarse_count++] = coarse;
        l->bytes += coarse->bytes;
        first_drop(l, l->fine, &l->fine_count, LIVE_MERGED);
    }
    l->fine[l->fine_count++] = fine;
    l->bytes += fine->bytes;
    room_make(l);
    pthread_mutex_unlock(&l->lock);
}

void live_windows_drop(struct live *l) {
    pthread_mutex_lock(&l->lock);
    first_drop(l, l->fine, &l->fine_count, l->fine_count);
    first_drop(l, l->coarse, &l->coarse_count, l->coarse_count);
    pthread_mutex_unlock(&l->lock);
}

struct live_window *live_window_after(struct live *l, int64_t unix_ns) {
    struct live_window *found = NULL;
    pthread_mutex_lock(&l->lock);
    for (unsigned i = 0; i < l->fine_count && found == NULL; i++)
        if (l->fine[i]->to_unix_ns > unix_ns) found = l->fine[i];
    if (found != NULL) atomic_fetch_add(&found->holders, 1);
    pthread_mutex_unlock(&l->lock);
    return found;
}

size_t live_bytes(struct live *l) {
    pthread_mutex_lock(&l->lock);
    size_t bytes = l->bytes;
    pthread_mutex_unlock(&l->lock);
    return bytes;
}

/* ---- asking ---- */

struct held {
    struct live_window *windows[LIVE_FINE_MAX + LIVE_COARSE_MAX]; /* newest first */
    unsigned count;
};

/* Windows whose middle is inside what is asked for. */
static void hold_list(struct held *h, struct live_window *const *list, unsigned count, uint64_t window_ns,
                      uint64_t end_ns) {
    while (count-- > 0) {
        struct live_window *w = list[count];
        if ((int64_t)(end_ns - w->from_ns / 2 - w->to_ns / 2) > (int64_t)window_ns) return;
        atomic_fetch_add(&w->holders, 1);
        h->windows[h->count++] = w;
    }
}

/* `end_ns` 0: the newest window's. */
static void windows_hold(struct live *l, uint64_t window_ns, uint64_t end_ns, struct held *h) {
    h->count = 0;
    pthread_mutex_lock(&l->lock);
    if (end_ns == 0 && l->fine_count > 0) end_ns = l->fine[l->fine_count - 1]->to_ns;
    hold_list(h, l->fine, l->fine_count, window_ns, end_ns);
    if (h->count == l->fine_count && h->count > 0) hold_list(h, l->coarse, l->coarse_count, window_ns, end_ns);
    pthread_mutex_unlock(&l->lock);
}

static bool is_wanted(const struct live_question *q, const struct traffic_key *key) {
    bool asked[TRAFFIC_PART_COUNT] = {false}, met[TRAFFIC_PART_COUNT] = {false};
    for (unsigned i = 0; i < q->filter_count; i++) {
        const struct live_filter *f = &q->filters[i];
        asked[f->key] = true;
        met[f->key] |= slice_equal(name_of(traffic_part_of(key, f->key)), f->value);
    }
    for (int k = 0; k < TRAFFIC_PART_COUNT; k++)
        if (asked[k] && !met[k]) return false;
    return true;
}

static struct traffic_key projected(const struct live_question *q, const struct traffic_key *key) {
    return (struct traffic_key){
        q->by[TRAFFIC_PART_tenant] ? key->tenant : NAME_NONE, q->by[TRAFFIC_PART_provider] ? key->provider : NAME_NONE,
        q->by[TRAFFIC_PART_model] ? key->model : NAME_NONE, q->by[TRAFFIC_PART_workload] ? key->workload : NAME_NONE};
}

static bool is_other(const struct live_question *q, const struct traffic_key *key) {
    for (int k = 0; k < TRAFFIC_PART_COUNT; k++)
        if (q->by[k] && traffic_part_of(key, (enum traffic_part)k) == NAME_OTHER) return true;
    return false;
}

static void row_count(struct row *into, const struct row *from, bool newest) {
    row_add(into, from);
    if (!newest) return;
    into->in_flight += from->in_flight;
    into->queued += from->queued;
}

static void window_count(const struct live_window *w, const struct live_question *q, struct live_answer *a,
                         bool newest) {
    for (size_t i = 0; i < w->rows.count; i++) {
        const struct row_entry *e = &w->rows.entries[i];
        if (!is_wanted(q, &e->key)) continue;
        const struct traffic_key key = projected(q, &e->key);
        row_count(&a->total, &e->row, newest);
        row_count(row_table_get(&a->rows, &key), &e->row, newest);
    }
    sparse_merge(&a->lag, &w->lag);
}

static int by_names(const struct traffic_key *a, const struct traffic_key *b) {
    for (int k = 0; k < TRAFFIC_PART_COUNT; k++) {
        struct slice left = name_of(traffic_part_of(a, (enum traffic_part)k)),
                     right = name_of(traffic_part_of(b, (enum traffic_part)k));
        int order = memcmp(left.p, right.p, left.n < right.n ? left.n : right.n);
        if (order != 0) return order;
        if (left.n != right.n) return left.n < right.n ? -1 : 1;
    }
    return 0;
}

static int busiest_first(const void *a, const void *b) {
    const struct row_entry *left = a, *right = b;
    uint64_t l = left->row.counters[ROW_REQUESTS], r = right->row.counters[ROW_REQUESTS];
    return l != r ? (l < r) - (l > r) : by_names(&left->key, &right->key);
}

/* Takes what a bound has folded together out of the rows; orders the rest. The index over them is no good after this.
 */
static void rows_settle(const struct live_question *q, struct live_answer *a) {
    size_t kept = 0;
    for (size_t i = 0; i < a->rows.count; i++) {
        struct row_entry *e = &a->rows.entries[i];
        if (is_other(q, &e->key)) {
            row_count(&a->other, &e->row, true);
            a->any_other = true;
            row_clear(&e->row);
        } else {
            a->rows.entries[kept++] = *e;
        }
    }
    a->rows.count = kept;
    if (kept > 1) qsort(a->rows.entries, kept, sizeof *a->rows.entries, busiest_first);
}

/* The windows of one replica; `now`: its last one is about now. */
static void source_count(struct live *l, const struct live_question *q, struct live_answer *a, uint64_t end_ns,
                         bool now) {
    struct held h;
    uint64_t covered_ns = 0;
    windows_hold(l, q->window_ns, end_ns, &h);
    for (unsigned i = 0; i < h.count; i++) {
        window_count(h.windows[i], q, a, now && i == 0);
        covered_ns += h.windows[i]->to_ns - h.windows[i]->from_ns;
    }
    if (covered_ns > a->covered_ns) a->covered_ns = covered_ns;
    if (h.count > 0 && end_ns == 0) a->unix_ns = h.windows[0]->to_unix_ns;
    for (unsigned i = 0; i < h.count; i++) live_window_release(h.windows[i]);
}

/* A replica that came back has another number and the same name. */
static bool is_back(const struct live *l, const struct live_peer *gone, int64_t now_unix_ns) {
    for (unsigned i = 0; i < l->peer_count; i++)
        if (strcmp(l->peers[i].name, gone->name) == 0 &&
            now_unix_ns - l->peers[i].heard_unix_ns < (int64_t)LIVE_PEER_MISSING_NS)
            return true;
    return false;
}

/* One that ended more than once since is missing once. */
static bool is_named(const struct live_answer *a, const char *name) {
    for (unsigned i = 0; i < a->other_count; i++)
        if (strcmp(a->others[i].name, name) == 0) return true;
    return false;
}

static void other_note(struct live_answer *a, const struct live_peer *p, bool missing) {
    struct live_replica *named = &a->others[a->other_count++];
    memcpy(named->name, p->name, sizeof named->name);
    named->missing = missing;
}

/* Who else is there; their windows are counted without this lock. */
static void peers_count(struct live *l, const struct live_question *q, struct live_answer *a) {
    struct live *windows[LIVE_PEERS_MAX];
    bool missing[LIVE_PEERS_MAX];
    unsigned count = 0;
    int64_t now_unix_ns = clock_real_ns(), end_unix_ns = a->unix_ns != 0 ? a->unix_ns : now_unix_ns;
    pthread_mutex_lock(&l->lock);
    a->fleet = l->known_unix_ns != 0 && now_unix_ns - l->known_unix_ns < 2 * (int64_t)LIVE_PEER_MISSING_NS;
    for (unsigned i = 0; i < l->peer_count; i++) {
        const struct live_peer *p = &l->peers[i];
        if (p->heard_unix_ns == 0) continue;
        missing[count] = now_unix_ns - p->heard_unix_ns >= (int64_t)LIVE_PEER_MISSING_NS;
        windows[count] = p->windows;
        if (!missing[count] || (!is_back(l, p, now_unix_ns) && !is_named(a, p->name))) other_note(a, p, missing[count]);
        count++;
    }
    pthread_mutex_unlock(&l->lock);
    for (unsigned i = 0; i < count; i++) source_count(windows[i], q, a, (uint64_t)end_unix_ns, !missing[i]);
}

void live_ask(struct live *l, const struct live_question *q, struct live_answer *a) {
    *a = (struct live_answer){.rows.detail_max = LIVE_ROWS_MAX};
    source_count(l, q, a, 0, true);
    peers_count(l, q, a);
    rows_settle(q, a);
}

void live_answer_clear(struct live_answer *a) {
    row_table_free(&a->rows);
    row_clear(&a->other);
    row_clear(&a->total);
    sparse_clear(&a->lag);
}
