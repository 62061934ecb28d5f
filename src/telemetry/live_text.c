/* Windows between replicas, as text: a line with the window's ends in Unix time, then one for each group: its four
 * names, escaped, with colons, what was under way, and the row (telemetry/row_text.h). What is read may come from
 * anywhere: every line is looked at before it is added, and there is room for as many as a window has. */
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "facts/names.h"
#include "live_parts.h"
#include "telemetry/row_text.h"

enum { LINES_MAX = 4 * LIVE_DETAIL_MAX, NAME_TEXT_MAX = 1024 };
#define WINDOW_MAX_NS (60 * NS_PER_S)

/* ---- names ---- */

static void name_write(struct buf *out, uint32_t name) {
    struct slice s = name_of(name);
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c > ' ' && c != ':' && c != '%' && c != 0x7f)
            buf_append(out, &s.p[i], 1);
        else
            buf_printf(out, "%%%02x", c);
    }
}

static bool name_read(struct slice text, uint32_t *name) {
    char plain[NAME_TEXT_MAX];
    size_t n = 0;
    if (text.n > sizeof plain) return false;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t byte = (uint8_t)text.p[i];
        if (byte == '%') {
            if (text.n - i < 3 || !hex_decode((struct slice){text.p + i + 1, 2}, &byte, 1)) return false;
            i += 2;
        }
        plain[n++] = (char)byte;
    }
    *name = n == 0 ? NAME_NONE : name_told((struct slice){plain, n});
    return true;
}

/* ---- telling ---- */

static void row_tell(struct buf *out, const struct row_entry *e) {
    for (int k = 0; k < TRAFFIC_PART_COUNT; k++) {
        name_write(out, traffic_part_of(&e->key, (enum traffic_part)k));
        buf_append(out, ":", 1);
    }
    buf_printf(out, "%u:%u:", e->row.in_flight, e->row.queued);
    row_text_write(out, &e->row, true);
    buf_append(out, "\n", 1);
}

bool live_tell(struct live *l, int64_t *last_unix_ns, struct buf *text) {
    struct live_window *w = live_window_after(l, *last_unix_ns);
    if (w == NULL) return false;
    *last_unix_ns = w->to_unix_ns;
    buf_printf(text, "%lld:%lld\n", (long long)w->to_unix_ns - (long long)(w->to_ns - w->from_ns),
               (long long)w->to_unix_ns);
    for (size_t i = 0; i < w->rows.count; i++) row_tell(text, &w->rows.entries[i]);
    live_window_release(w);
    return true;
}

/* ---- hearing ---- */

static bool row_hear(struct slice line, struct changes *c) {
    struct slice part;
    uint32_t names[TRAFFIC_PART_COUNT];
    uint64_t gauges[2];
    for (int k = 0; k < TRAFFIC_PART_COUNT; k++)
        if (!slice_cut(&line, ':', &part) || !name_read(part, &names[k])) return false;
    for (int i = 0; i < 2; i++)
        if (!slice_cut(&line, ':', &part) || !slice_to_u64(part, &gauges[i]) || gauges[i] > UINT32_MAX) return false;
    const struct traffic_key key = {names[0], names[1], names[2], names[3]};
    struct row *row = row_table_get(&c->rows, &key);
    row->in_flight += (uint32_t)gauges[0];
    row->queued += (uint32_t)gauges[1];
    return row_text_read(line, row);
}

static bool window_hear(struct slice text, struct changes *c) {
    struct slice line, from;
    unsigned lines = 0;
    if (!slice_cut(&text, '\n', &line) || !slice_cut(&line, ':', &from)) return false;
    if (!slice_to_u64(from, &c->from_ns) || !slice_to_u64(line, &c->to_ns)) return false;
    if (c->from_ns == 0 || c->from_ns >= c->to_ns || c->to_ns > INT64_MAX || c->to_ns - c->from_ns > WINDOW_MAX_NS)
        return false;
    c->to_unix_ns = (int64_t)c->to_ns;
    while (text.n > 0 && slice_cut(&text, '\n', &line))
        if (++lines > LINES_MAX || !row_hear(line, c)) return false;
    return true;
}

static struct live_peer *peer_find(struct live *l, uint64_t id) {
    for (unsigned i = 0; i < l->peer_count; i++)
        if (l->peers[i].heard_unix_ns != 0 && l->peers[i].id == id) return &l->peers[i];
    return NULL;
}

static struct live_peer *peer_make(struct live *l) {
    for (unsigned i = 0; i < l->peer_count; i++)
        if (l->peers[i].heard_unix_ns == 0) return &l->peers[i];
    if (l->peer_count == LIVE_PEERS_MAX) return NULL;
    struct live_peer *p = &l->peers[l->peer_count++];
    p->windows = live_new();
    p->windows->bytes_max = LIVE_PEER_BYTES_MAX;
    return p;
}

/* Only the thread that hears makes and empties places, so what it finds stays while it needs it. */
static struct live *peer_note(struct live *l, uint64_t id, struct slice name, int64_t to_unix_ns) {
    struct live *windows = NULL;
    pthread_mutex_lock(&l->lock);
    struct live_peer *p = peer_find(l, id);
    bool newer = p == NULL || to_unix_ns > p->heard_unix_ns;
    if (p == NULL) p = peer_make(l);
    if (p != NULL && newer) {
        size_t n = name.n < sizeof p->name ? name.n : sizeof p->name - 1;
        memset(p->name, 0, sizeof p->name);
        if (n > 0) memcpy(p->name, name.p, n);
        p->id = id;
        p->heard_unix_ns = to_unix_ns;
        windows = p->windows;
    }
    pthread_mutex_unlock(&l->lock);
    return windows;
}

/* Empties the place of a replica that was last heard of before that instant. Only the thread that hears does. */
static void place_empty(struct live *l, unsigned i, int64_t before_unix_ns) {
    struct live *dropped = NULL;
    pthread_mutex_lock(&l->lock);
    struct live_peer *p = &l->peers[i];
    if (i < l->peer_count && p->heard_unix_ns != 0 && p->heard_unix_ns < before_unix_ns) {
        p->heard_unix_ns = 0;
        dropped = p->windows;
    }
    pthread_mutex_unlock(&l->lock);
    if (dropped != NULL) live_windows_drop(dropped);
}

/* Somebody new and no place left: who has been missing the longest gives way. */
static void place_make(struct live *l, uint64_t id) {
    pthread_mutex_lock(&l->lock);
    unsigned oldest = 0;
    bool full = l->peer_count == LIVE_PEERS_MAX && peer_find(l, id) == NULL;
    for (unsigned i = 0; full && i < LIVE_PEERS_MAX; i++) {
        if (l->peers[i].heard_unix_ns == 0) full = false;
        if (l->peers[i].heard_unix_ns < l->peers[oldest].heard_unix_ns) oldest = i;
    }
    pthread_mutex_unlock(&l->lock);
    if (full) place_empty(l, oldest, clock_real_ns() - (int64_t)LIVE_PEER_MISSING_NS);
}

bool live_hear(struct live *l, uint64_t replica, struct slice name, struct slice text) {
    struct changes *c = mem_zalloc(sizeof *c);
    changes_init(c);
    bool good = window_hear(text, c);
    if (good) place_make(l, replica);
    struct live *windows = good ? peer_note(l, replica, name, c->to_unix_ns) : NULL;
    if (windows != NULL) live_take(windows, c);
    changes_clear(c);
    mem_free(c);
    return windows != NULL;
}

int64_t live_heard_unix_ns(struct live *l, uint64_t replica) {
    pthread_mutex_lock(&l->lock);
    const struct live_peer *p = peer_find(l, replica);
    int64_t heard = p != NULL ? p->heard_unix_ns : 0;
    pthread_mutex_unlock(&l->lock);
    return heard;
}

void live_known(struct live *l, int64_t now_unix_ns) {
    pthread_mutex_lock(&l->lock);
    l->known_unix_ns = now_unix_ns;
    pthread_mutex_unlock(&l->lock);
}

void live_forget(struct live *l, int64_t now_unix_ns) {
    for (unsigned i = 0; i < LIVE_PEERS_MAX; i++) place_empty(l, i, now_unix_ns - (int64_t)LIVE_WINDOW_MAX_NS);
}
