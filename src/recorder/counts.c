/* Telling Redis what was counted (lua/count.lua). Once a second all rows that have changed are sent, a call for as many
 * of a tenant's as fit, and marked as sent when the answer says that they were taken. The hard part is what an answer
 * does not say: a call without an answer may have been carried out, or still be; its rows stay marked as changed, and
 * numbers that only grow keep a late one from overwriting a newer. Each hash knows the number it was told last: less
 * than what was answered before means that Redis lost data, and everything kept here is told again. A hash of this
 * replica alone, the mark, shows that also where nothing was counted: every second it gets the next number, if the one
 * that is known stands there. (Were it written over, a write whose answer is late would hide that there had been
 * nothing.) Until a mark is known to stand there nothing else is told. */
#include "recorder/counts.h"

#include <pthread.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "facts/names.h"
#include "redis/client.h"
#include "redis/key.h"
#include "redis/usage_key.h"
#include "telemetry/row_text.h"

enum { KEYS_MAX = 32, ITEMS_MAX = 400, TELLING_BYTES_MAX = 131072, MARK_TTL_S = 86400 };
#define TICK_NS NS_PER_S
#define AFTER_LOOK_NS (100 * NS_PER_MS) /* the recorder looks at the second */
#define AGAIN_NS (20 * NS_PER_MS)       /* when stopping */
#define STOP_NS NS_PER_S
#define FORGET_NS                                                                                                      \
    (3 * NS_PER_S) /* a Redis that evicts loses all the time, and is not to be told all of it all the time */

struct counts {
    struct counts_options options;
    char *prefix, replica[USAGE_REPLICA_DIGITS + 1];
    struct loop *loop;
    struct inbox inbox;
    struct redis_client *redis;
    struct timer tick;
    struct message stop;
    pthread_t thread;
    uint64_t number;            /* of the last telling */
    uint64_t mark, mark_number; /* of this replica's own hash: known to be there (0: none); last sent */
    unsigned waiting;           /* calls without an answer */
    bool failed;                /* in this round */
    bool lost;                  /* Redis has lost data, and was not told all again yet */
    uint64_t forget_ns;         /* … and is not before then */
    bool stopping;
    uint64_t stop_by_ns;
    struct telling *open;           /* being put together */
    uint8_t tenants[NAMES_MAX / 8]; /* whose name stands in the hash of tenants */
};

struct piece {
    size_t at, length; /* in the telling's text */
};

struct telling { /* one call */
    struct counts *counts;
    uint64_t number;
    struct buf text;
    struct piece keys[KEYS_MAX];
    unsigned key_count;
    struct item {
        struct usage_unsent unsent;
        unsigned key; /* which of `keys` */
        struct piece field, value;
    } * items;
    size_t item_count, capacity;
};

/* ---- answers ---- */

static void round_go_on(struct counts *c);

static void call_ended(struct counts *c, bool good) {
    c->failed |= !good;
    if (--c->waiting == 0) round_go_on(c);
}

static void telling_free(struct telling *t) {
    buf_clear(&t->text);
    mem_free(t->items);
    mem_free(t);
}

static bool telling_took(struct telling *t, const struct redis_reply *reply) {
    if (reply->type != REDIS_ARRAY || reply->count != t->key_count) return false;
    for (size_t i = 0; i < t->item_count; i++) {
        const struct usage_unsent *s = &t->items[i].unsent;
        int64_t last = redis_item_integer(reply, t->items[i].key, -1);
        if (last < 0) return false;
        if ((uint64_t)last < s->told) t->counts->lost = true;
        if ((uint64_t)last < t->number) usage_sent(t->counts->options.usage, s, t->number);
    }
    return true;
}

static void telling_done(void *context, const struct redis_result *result) {
    struct telling *t = context;
    struct counts *c = t->counts;
    bool good = result->failure == REDIS_OK && telling_took(t, result->reply);
    telling_free(t);
    call_ended(c, good);
}

/* A higher number than the one known is of an earlier call that had no answer: it found the one known. */
static void mark_done(void *context, const struct redis_result *result) {
    struct counts *c = context;
    int64_t last = result->failure == REDIS_OK && result->reply->type == REDIS_INTEGER ? result->reply->integer : -1;
    if (last >= 0) {
        if ((uint64_t)last < c->mark) c->lost = true;
        c->mark = (uint64_t)last == c->mark ? c->mark_number : (uint64_t)last;
    }
    call_ended(c, last >= 0);
}

struct tenant_call {
    struct counts *counts;
    uint32_t tenant;
};

static void tenant_done(void *context, const struct redis_result *result) {
    struct tenant_call *call = context;
    struct counts *c = call->counts;
    bool good = result->failure == REDIS_OK;
    if (good) c->tenants[call->tenant / 8] |= (uint8_t)(1u << call->tenant % 8);
    mem_free(call);
    call_ended(c, good);
}

/* ---- calls ---- */

static struct slice piece_slice(const struct telling *t, struct piece p) {
    return (struct slice){t->text.data + t->text.start + p.at, p.length};
}

static bool call(struct counts *c, const struct redis_call *call) {
    bool taken = redis_call(c->redis, call, NULL);
    if (taken)
        c->waiting++;
    else
        c->failed = true;
    return taken;
}

static void numbers_write(char out[24], uint64_t n) {
    snprintf(out, 24, "%llu", (unsigned long long)n);
}

enum { WORDS_MAX = KEYS_MAX + 2 + 2 * KEYS_MAX + 2 * ITEMS_MAX };
_Static_assert(WORDS_MAX <= REDIS_WORDS_MAX, "a telling is one call");

struct words {
    struct slice list[WORDS_MAX];
    unsigned count;
    char numbers[1 + 2 * KEYS_MAX][24];
    unsigned number_count;
};

static struct slice number_word(struct words *w, uint64_t n) {
    char *text = w->numbers[w->number_count++];
    numbers_write(text, n);
    return slice_of(text);
}

/* Time to live, count, fields and values of one key; returns the first item of the next one. */
static size_t key_words(struct words *w, const struct telling *t, size_t first) {
    size_t end = first;
    while (end < t->item_count && t->items[end].key == t->items[first].key) end++;
    w->list[w->count++] = number_word(w, usage_key_ttl_s(t->items[first].unsent.kind));
    w->list[w->count++] = number_word(w, end - first);
    for (size_t i = first; i < end; i++) {
        w->list[w->count++] = piece_slice(t, t->items[i].field);
        w->list[w->count++] = piece_slice(t, t->items[i].value);
    }
    return end;
}

static void telling_send(struct telling *t) {
    struct counts *c = t->counts;
    struct words w;
    w.count = w.number_count = 0;
    for (unsigned k = 0; k < t->key_count; k++) w.list[w.count++] = piece_slice(t, t->keys[k]);
    w.list[w.count++] = slice_of(c->replica);
    w.list[w.count++] = number_word(&w, t->number);
    for (size_t item = 0; item < t->item_count;) item = key_words(&w, t, item);
    if (!call(c, &(struct redis_call){.script = redis_script(REDIS_SCRIPT_count),
                                      .words = w.list,
                                      .word_count = w.count,
                                      .key_count = t->key_count,
                                      .done = telling_done,
                                      .context = t}))
        telling_free(t);
}

static void mark_tell(struct counts *c) {
    struct buf key = {0};
    char known[24], next[24], ttl[24];
    redis_key_append(&key, slice_of(c->prefix), slice_of(c->replica), SLICE("alive"), NULL, 0);
    c->mark_number = ++c->number;
    numbers_write(known, c->mark);
    numbers_write(next, c->mark_number);
    numbers_write(ttl, MARK_TTL_S);
    const struct slice words[] = {buf_slice(&key), slice_of(known), slice_of(next), slice_of(ttl)};
    call(c, &(struct redis_call){.script = redis_script(REDIS_SCRIPT_count_mark),
                                 .words = words,
                                 .word_count = sizeof words / sizeof *words,
                                 .key_count = 1,
                                 .done = mark_done,
                                 .context = c});
    buf_clear(&key);
}

static void tenant_tell(struct counts *c, uint32_t tenant) {
    struct buf key = {0}, field = {0};
    char ttl[24];
    usage_tenants_key_append(&key, slice_of(c->prefix));
    usage_tenant_field_append(&field, name_of(tenant));
    numbers_write(ttl, USAGE_TENANTS_TTL_S);
    const struct slice set[] = {SLICE("HSET"), buf_slice(&key), buf_slice(&field), SLICE("1")};
    const struct slice expire[] = {SLICE("EXPIRE"), buf_slice(&key), slice_of(ttl)};
    struct tenant_call *context = mem_alloc(sizeof *context);
    *context = (struct tenant_call){c, tenant};
    if (!call(c, &(struct redis_call){
                     .words = set, .word_count = 4, .key_count = 1, .done = tenant_done, .context = context}))
        mem_free(context);
    redis_call(c->redis, &(struct redis_call){.words = expire, .word_count = 3, .key_count = 1}, NULL);
    buf_clear(&key);
    buf_clear(&field);
}

/* ---- a round ---- */

static void open_send(struct counts *c) {
    struct telling *t = c->open;
    c->open = NULL;
    if (t != NULL) telling_send(t);
}

static bool belongs(const struct telling *t, const struct usage_unsent *s) {
    const struct usage_unsent *last = &t->items[t->item_count - 1].unsent;
    bool same_key = last->kind == s->kind && last->start_s == s->start_s;
    return last->key.tenant == s->key.tenant && t->item_count < ITEMS_MAX && buf_length(&t->text) < TELLING_BYTES_MAX &&
           (same_key || t->key_count < KEYS_MAX);
}

static void key_begin(struct telling *t, const struct usage_unsent *s) {
    size_t at = buf_length(&t->text);
    usage_key_append(&t->text, slice_of(t->counts->prefix), name_of(s->key.tenant), s->kind, s->start_s);
    t->keys[t->key_count++] = (struct piece){at, buf_length(&t->text) - at};
}

static void item_add(struct telling *t, const struct usage_unsent *s) {
    const struct usage_unsent *last = t->item_count > 0 ? &t->items[t->item_count - 1].unsent : NULL;
    if (last == NULL || last->kind != s->kind || last->start_s != s->start_s) key_begin(t, s);
    size_t field = buf_length(&t->text);
    usage_field_append(&t->text, slice_of(t->counts->replica), &s->key);
    size_t value = buf_length(&t->text);
    row_text_write(&t->text, s->row, true);
    t->items = mem_array_grow(t->items, &t->capacity, sizeof *t->items, t->item_count + 1);
    struct item *item = &t->items[t->item_count++];
    *item = (struct item){*s, t->key_count - 1, {field, value - field}, {value, buf_length(&t->text) - value}};
    item->unsent.row = NULL; /* it is the book's, and only now */
}

static bool unsent_take(void *context, const struct usage_unsent *s) {
    struct counts *c = context;
    if (c->open != NULL && !belongs(c->open, s)) open_send(c);
    if (c->failed) return false; /* no call is taken at present */
    if (c->open == NULL) {
        uint32_t tenant = s->key.tenant;
        c->open = mem_zalloc(sizeof *c->open);
        c->open->counts = c;
        c->open->number = ++c->number;
        if (tenant != NAME_NONE && !(c->tenants[tenant / 8] >> tenant % 8 & 1)) tenant_tell(c, tenant);
    }
    item_add(c->open, s);
    return true;
}

static void next_tick(struct counts *c, uint64_t after_ns) {
    timer_set(&c->loop->wheel, &c->tick, c->loop->now_ns + after_ns);
}

static uint64_t until_next_look_ns(const struct counts *c) {
    return TICK_NS - ((uint64_t)clock_wall_ns(c->loop->now_ns) - AFTER_LOOK_NS) % TICK_NS;
}

static bool loss_is_due(const struct counts *c) {
    return c->lost && (c->stopping || c->loop->now_ns >= c->forget_ns);
}

static void tell_all_again(struct counts *c) {
    static _Atomic uint64_t gate;
    if (log_once_a_minute(&gate)) log_warn("usage: Redis has lost what it was told; all that is kept is told again");
    usage_forget_sent(c->options.usage);
    memset(c->tenants, 0, sizeof c->tenants);
    c->lost = false;
    c->forget_ns = c->loop->now_ns + FORGET_NS;
}

static void round_begin(struct counts *c) {
    c->failed = false;
    if (loss_is_due(c)) tell_all_again(c);
    c->waiting = 1; /* until all calls are made */
    mark_tell(c);
    if (!c->failed && c->mark != 0) usage_unsent_each(c->options.usage, unsent_take, c);
    open_send(c);
    call_ended(c, true);
}

/* All calls of the round have ended. */
static void round_go_on(struct counts *c) {
    bool all = !c->failed && c->mark != 0 && !loss_is_due(c) && usage_is_sent(c->options.usage);
    if (!c->stopping) {
        next_tick(c, c->failed || all ? until_next_look_ns(c) : AGAIN_NS);
        return;
    }
    if (!all && c->loop->now_ns < c->stop_by_ns) {
        next_tick(c, AGAIN_NS);
        return;
    }
    if (!all) log_warn("usage: stopped before Redis was told all that was counted");
    loop_stop(c->loop);
}

static void tick_fire(struct timer *timer) {
    struct counts *c = (struct counts *)((char *)timer - offsetof(struct counts, tick));
    round_begin(c);
}

static void stop_run(struct message *m, void *context) {
    struct counts *c = context;
    (void)m;
    c->stopping = true;
    c->stop_by_ns = c->loop->now_ns + STOP_NS;
    if (c->waiting == 0) next_tick(c, 0);
}

/* ---- the thread ---- */

static void *counts_run(void *context) {
    struct counts *c = context;
    pthread_setname_np(pthread_self(), "counts");
    loop_run(c->loop);
    return NULL;
}

struct counts *counts_start(const struct counts_options *o) {
    struct counts *c = mem_zalloc(sizeof *c);
    c->options = *o;
    c->prefix = mem_strndup(o->prefix.p, o->prefix.n);
    snprintf(c->replica, sizeof c->replica, "%016llx", (unsigned long long)o->replica);
    c->loop = loop_new();
    inbox_init(&c->inbox, c->loop, 256, c);
    c->redis = redis_client_new(o->redis, c->loop, &c->inbox, o->resolver);
    c->tick.fire = tick_fire;
    c->stop.run = stop_run;
    loop_stamp(c->loop);
    next_tick(c, until_next_look_ns(c));
    if (pthread_create(&c->thread, NULL, counts_run, c) == 0) return c;
    c->thread = 0;
    counts_free(c);
    return NULL;
}

void counts_stop(struct counts *c) {
    if (c == NULL) return;
    inbox_post(&c->inbox, &c->stop);
    pthread_join(c->thread, NULL);
}

void counts_free(struct counts *c) {
    if (c == NULL) return;
    c->stopping = true;
    c->waiting += 1; /* calls that end now begin no round */
    redis_client_free(c->redis);
    inbox_clear(&c->inbox);
    loop_free(c->loop);
    mem_free(c->prefix);
    mem_free(c);
}
