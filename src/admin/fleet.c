/* Telling and hearing live windows. A replica's windows stand in a hash of its own, a field for each of the last two
 * minutes' seconds, which is gone two minutes after its last one; who there is stands in one hash of all, with when
 * each was last there. What has not arrived is told again, what was not heard is asked for again, up to a minute back;
 * Redis gone means that the others are missing, and nothing else. A process has a number drawn at its start: two of one
 * name are two. */
#include "fleet.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "redis/client.h"
#include "redis/key.h"

enum { FIELDS = 128, HEARD_MAX_S = 60, TOLD_MAX_S = 60, ID_DIGITS = 16 };
#define AFTER_LOOK_NS (150 * NS_PER_MS) /* the recorder looks at the second */
#define GONE_S 900                      /* not there for so long: nobody asks for its windows any more */
#define FORGOTTEN_S 3600                /* … and its entry goes */

struct fleet {
    const struct admin_options *options;
    struct loop *loop;
    struct timer tick;
    uint64_t id;
    char id_text[ID_DIGITS + 1];
    int64_t told_unix_ns,
        sent_unix_ns; /* the ends of the last windows that are known to have arrived; that were sent */
    bool failed;      /* … something of this round has not arrived: it is sent again */
    unsigned waiting; /* calls without an answer */
};

struct hearing { /* one replica's windows, asked for */
    struct fleet *fleet;
    uint64_t id;
    char name[LIVE_NAME_BYTES];
};

static bool call(struct fleet *f, const struct slice *words, unsigned count, redis_done *done, void *context) {
    const struct redis_call c = {.words = words, .word_count = count, .key_count = 1, .done = done, .context = context};
    bool taken = redis_call(f->options->redis_client, &c, NULL);
    f->waiting += taken && done != NULL;
    return taken;
}

static void key_of(const struct fleet *f, struct buf *key, struct slice tag, struct slice kind) {
    redis_key_append(key, f->options->redis_prefix, tag, kind, NULL, 0);
}

static void windows_key(const struct fleet *f, struct buf *key, const char *id) {
    key_of(f, key, slice_of(id), SLICE("live"));
}

static void replicas_key(const struct fleet *f, struct buf *key) {
    key_of(f, key, SLICE("live"), SLICE("replicas"));
}

static void field_of(int64_t unix_ns, char out[8]) {
    snprintf(out, 8, "%u", (unsigned)((unix_ns / (int64_t)NS_PER_S) % FIELDS));
}

/* ---- telling ---- */

static void told(void *context, const struct redis_result *result) {
    struct fleet *f = context;
    f->failed |= result->failure != REDIS_OK;
    f->waiting--;
}

static void window_tell(struct fleet *f, struct slice key, struct slice text) {
    char field[8];
    field_of(f->sent_unix_ns, field);
    const struct slice words[] = {SLICE("HSET"), key, slice_of(field), text};
    f->failed |= !call(f, words, 4, told, f);
}

static void replica_tell(struct fleet *f, int64_t now_s) {
    struct buf key = {0};
    char value[LIVE_NAME_BYTES + 24];
    replicas_key(f, &key);
    snprintf(value, sizeof value, "%lld %.*s", (long long)now_s,
             (int)(f->options->replica.n < LIVE_NAME_BYTES ? f->options->replica.n : LIVE_NAME_BYTES - 1),
             f->options->replica.p);
    const struct slice set[] = {SLICE("HSET"), buf_slice(&key), slice_of(f->id_text), slice_of(value)};
    const struct slice expire[] = {SLICE("EXPIRE"), buf_slice(&key), SLICE("86400")};
    call(f, set, 4, told, f);
    call(f, expire, 3, NULL, NULL);
    buf_clear(&key);
}

static void tell(struct fleet *f, int64_t now_unix_ns) {
    struct buf key = {0}, text = {0};
    int64_t oldest = now_unix_ns - TOLD_MAX_S * (int64_t)NS_PER_S;
    if (!f->failed) f->told_unix_ns = f->sent_unix_ns;
    f->failed = false;
    f->sent_unix_ns = f->told_unix_ns > oldest ? f->told_unix_ns : oldest;
    windows_key(f, &key, f->id_text);
    while (live_tell(f->options->live, &f->sent_unix_ns, &text)) {
        window_tell(f, buf_slice(&key), buf_slice(&text));
        text.start = text.end = 0;
    }
    const struct slice expire[] = {SLICE("EXPIRE"), buf_slice(&key), SLICE("120")};
    call(f, expire, 3, NULL, NULL);
    replica_tell(f, now_unix_ns / (int64_t)NS_PER_S);
    buf_clear(&text);
    buf_clear(&key);
}

/* ---- hearing ---- */

static void windows_heard(void *context, const struct redis_result *result) {
    struct hearing *h = context;
    struct fleet *f = h->fleet;
    const struct redis_reply *r = result->reply;
    for (size_t i = 0; result->failure == REDIS_OK && r->type == REDIS_ARRAY && i < r->count; i++)
        if (r->items[i].type == REDIS_STRING) live_hear(f->options->live, h->id, slice_of(h->name), r->items[i].text);
    mem_free(h);
    f->waiting--;
}

/* The seconds since it was last heard, oldest first; a field may still hold an older one, which is passed over. */
static void windows_ask(struct fleet *f, uint64_t id, struct slice name, int64_t now_unix_ns) {
    struct buf key = {0};
    char id_text[ID_DIGITS + 1], fields[HEARD_MAX_S][8];
    struct slice words[2 + HEARD_MAX_S] = {SLICE("HMGET")};
    int64_t heard = live_heard_unix_ns(f->options->live, id);
    int64_t from = now_unix_ns - (HEARD_MAX_S - 1) * (int64_t)NS_PER_S;
    unsigned count = 2;
    if (heard + (int64_t)NS_PER_S > from) from = heard + (int64_t)NS_PER_S;
    for (int64_t at = from; at <= now_unix_ns && count < 2 + HEARD_MAX_S; at += (int64_t)NS_PER_S, count++) {
        field_of(at, fields[count - 2]);
        words[count] = slice_of(fields[count - 2]);
    }
    if (count == 2) return;
    snprintf(id_text, sizeof id_text, "%016" PRIx64, id);
    windows_key(f, &key, id_text);
    words[1] = buf_slice(&key);
    struct hearing *h = mem_zalloc(sizeof *h);
    h->fleet = f;
    h->id = id;
    memcpy(h->name, name.p, name.n < sizeof h->name ? name.n : sizeof h->name - 1);
    if (!call(f, words, count, windows_heard, h)) mem_free(h);
    buf_clear(&key);
}

static void replica_forget(struct fleet *f, struct slice id) {
    struct buf key = {0};
    replicas_key(f, &key);
    const struct slice words[] = {SLICE("HDEL"), buf_slice(&key), id};
    call(f, words, 3, NULL, NULL);
    buf_clear(&key);
}

static void replica_heard(struct fleet *f, struct slice id, struct slice value, int64_t now_unix_ns) {
    uint8_t number[ID_DIGITS / 2];
    struct slice at;
    uint64_t at_s, other = 0;
    if (!hex_decode(id, number, sizeof number) || !slice_cut(&value, ' ', &at) || !slice_to_u64(at, &at_s)) return;
    if (value.n == 0) return; /* no name */
    for (size_t i = 0; i < sizeof number; i++) other = other << 8 | number[i];
    if (other == f->id) return;
    int64_t ago_s = now_unix_ns / (int64_t)NS_PER_S - (int64_t)(at_s > INT64_MAX / 2 ? 0 : at_s);
    if (ago_s > FORGOTTEN_S)
        replica_forget(f, id);
    else if (ago_s <= GONE_S)
        windows_ask(f, other, value, now_unix_ns);
}

static void replicas_heard(void *context, const struct redis_result *result) {
    struct fleet *f = context;
    const struct redis_reply *r = result->reply;
    f->waiting--;
    if (result->failure != REDIS_OK || r->type != REDIS_ARRAY) return;
    int64_t now_unix_ns = clock_wall_ns(loop_stamp(f->loop));
    live_known(f->options->live, now_unix_ns);
    for (size_t i = 0; i + 1 < r->count; i += 2)
        replica_heard(f, redis_item_text(r, i), redis_item_text(r, i + 1), now_unix_ns);
}

static void hear(struct fleet *f) {
    struct buf key = {0};
    replicas_key(f, &key);
    const struct slice words[] = {SLICE("HGETALL"), buf_slice(&key)};
    call(f, words, 2, replicas_heard, f);
    buf_clear(&key);
}

/* ---- each second ---- */

static void next_tick(struct fleet *f) {
    uint64_t unix_ns = (uint64_t)clock_wall_ns(f->loop->now_ns);
    timer_set(&f->loop->wheel, &f->tick, f->loop->now_ns + NS_PER_S - (unix_ns - AFTER_LOOK_NS) % NS_PER_S);
}

static void tick_fire(struct timer *t) {
    struct fleet *f = (struct fleet *)((char *)t - offsetof(struct fleet, tick));
    int64_t now_unix_ns = clock_wall_ns(f->loop->now_ns);
    if (f->waiting == 0) {
        tell(f, now_unix_ns);
        hear(f);
    }
    live_forget(f->options->live, now_unix_ns);
    next_tick(f);
}

struct fleet *fleet_start(const struct admin_options *o, struct loop *l) {
    struct fleet *f = mem_zalloc(sizeof *f);
    f->options = o;
    f->loop = l;
    f->id = random_u64();
    snprintf(f->id_text, sizeof f->id_text, "%016" PRIx64, f->id);
    f->tick.fire = tick_fire;
    loop_stamp(l);
    next_tick(f);
    return f;
}

void fleet_free(struct fleet *f) {
    mem_free(f);
}
