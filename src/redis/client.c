/* The calls of one thread: taking them, their deadlines, and what an answer means for the call: its result, or that it
 * has to be sent once more, as the script's text or to another node. The hard part is that a callback may make and
 * cancel calls: slots are named by number and generation, and nothing here is held across one. */
#include "redis/client.h"

#include <assert.h>

#include "base/clock.h"
#include "base/mem.h"
#include "breaker.h"
#include "client_parts.h"
#include "command.h"

#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define NO_SLOT UINT32_MAX

uint64_t client_now_ns(const struct redis_client *c) {
    return c->loop->in_turn ? c->loop->now_ns : loop_stamp(c->loop);
}

void client_flush_later(struct redis_client *c) {
    loop_defer(c->loop, &c->task);
}

static void flush(struct loop_task *task) {
    struct redis_client *c = CONTAINER_OF(task, struct redis_client, task);
    for (unsigned i = 0; i < c->link_count; i++) link_flush(c->links[i]);
}

void client_link_changed(struct redis_client *c, struct link *k) {
    bool up = true;
    if (k->breaker == BREAKER_DOWN && c->map != NULL) cluster_refresh(c, client_now_ns(c));
    for (unsigned i = 0; i < c->link_count; i++)
        if (c->links[i]->mapped) up = up && link_is_up(c->links[i]);
    c->up = up && !c->closing;
    if (c->counted) site_tell_up(c->site, c->counts, c->up);
}

/* ---- slots ---- */

static uint32_t slot_take(struct redis_client *c) {
    uint32_t slot = c->free_slot;
    if (slot != NO_SLOT) {
        c->free_slot = c->slots[slot].next_free;
    } else {
        slot = c->slot_count++;
        c->slots = mem_array_grow(c->slots, &c->slot_capacity, sizeof *c->slots, c->slot_count);
        c->slots[slot].generation = 0;
    }
    uint32_t generation = c->slots[slot].generation + 1;
    c->slots[slot] = (struct waiting){.generation = generation > 0 ? generation : 1, .used = true};
    c->used_count++;
    return slot;
}

static void slot_give(struct redis_client *c, uint32_t slot) {
    c->slots[slot].used = false;
    c->slots[slot].next_free = c->free_slot;
    c->free_slot = slot;
    c->used_count--;
}

static struct waiting *waiting_of(const struct redis_client *c, uint32_t slot, uint32_t generation) {
    if (slot >= c->slot_count || !c->slots[slot].used || c->slots[slot].generation != generation) return NULL;
    return &c->slots[slot];
}

bool client_waits(const struct redis_client *c, const struct pending *p) {
    return waiting_of(c, p->slot, p->generation) != NULL;
}

void client_moved(struct redis_client *c, const struct pending *p) {
    c->slots[p->slot].end = p->end;
}

/* Whether the call that ends here has left; one that has not never will. */
static bool leave(struct redis_client *c, uint32_t slot) {
    struct link *k = c->links[c->slots[slot].link];
    if (c->slots[slot].end <= k->sent) return true;
    k->has_dead = true;
    return false;
}

static void finish(struct redis_client *c, uint32_t slot, struct redis_result *result) {
    struct waiting w = c->slots[slot];
    slot_give(c, slot);
    result->waited_ns = client_now_ns(c) - w.begun_ns;
    site_ended(c->counts, result->failure, result->waited_ns);
    if (w.done != NULL) w.done(w.context, result);
}

/* ---- deadlines ---- */

static void expire(struct redis_client *c, uint32_t slot) {
    struct redis_result result = {.failure = REDIS_TIMEOUT, .sent = leave(c, slot)};
    breaker_timed_out(c->links[c->slots[slot].link], c->slots[slot].begun_ns);
    finish(c, slot, &result);
}

static void timer_fired(struct timer *t) {
    struct redis_client *c = CONTAINER_OF(t, struct redis_client, timer);
    uint64_t now_ns = client_now_ns(c), next_ns = TIMER_NEVER;
    for (uint32_t i = 0, n = c->slot_count; i < n; i++)
        if (c->slots[i].used && c->slots[i].deadline_ns <= now_ns) expire(c, i);
    for (uint32_t i = 0; i < c->slot_count; i++)
        if (c->slots[i].used && c->slots[i].deadline_ns < next_ns) next_ns = c->slots[i].deadline_ns;
    timer_set(&c->loop->wheel, &c->timer, next_ns);
}

/* ---- making calls ---- */

static size_t call_bytes(const struct redis_call *call) {
    size_t bytes = 128 + 32 * (size_t)call->word_count;
    for (unsigned i = 0; i < call->word_count; i++) bytes += call->words[i].n;
    return bytes;
}

static struct slice call_key(const struct redis_call *call, bool *has_key) {
    *has_key = call->key_count > 0;
    if (!*has_key) return (struct slice){NULL, 0};
    return call->words[call->script != NULL ? 0 : call->key_count];
}

bool redis_call(struct redis_client *c, const struct redis_call *call, struct redis_handle *handle) {
    bool has_key;
    struct slice key = call_key(call, &has_key);
    assert(call->word_count <= REDIS_WORDS_MAX && call->key_count <= call->word_count);
    assert(call->script != NULL || call->key_count < call->word_count);
    uint64_t now_ns = client_now_ns(c);
    struct link *k = cluster_link(c, key, has_key);
    if (c->closing || c->used_count >= REDIS_CALLS_MAX || !link_has_room(k, call_bytes(call)) ||
        !breaker_takes(k, now_ns)) {
        count_add(&c->counts->ended[REDIS_UNTAKEN], 1);
        if (c->map != NULL) cluster_refresh(c, now_ns);
        return false;
    }
    uint32_t slot = slot_take(c);
    struct waiting *w = &c->slots[slot];
    w->done = call->done;
    w->context = call->context;
    w->script = call->script;
    w->begun_ns = now_ns;
    w->deadline_ns = now_ns + (call->timeout_ns > 0 ? call->timeout_ns : c->site->timeout_ns);
    w->link = k->index;
    if (call->script != NULL)
        command_evalsha(&k->window, call->script, call->words, call->word_count, call->key_count);
    else
        command_append(&k->window, call->words, call->word_count);
    w->end = link_queued(k, PENDING_CALL, slot, w->generation);
    if (w->deadline_ns < c->timer.due_ns) timer_set(&c->loop->wheel, &c->timer, w->deadline_ns);
    if (handle != NULL) *handle = (struct redis_handle){slot, w->generation};
    return true;
}

bool redis_cancel(struct redis_client *c, struct redis_handle handle) {
    if (waiting_of(c, handle.slot, handle.generation) == NULL) return true;
    bool sent = leave(c, handle.slot);
    site_ended(c->counts, REDIS_CANCELLED, 0);
    slot_give(c, handle.slot);
    return !sent;
}

/* ---- answers ---- */

/* Sends a call's bytes once more, to `to`, as they were or as the script's text. They stand at the front of `from`'s
 * window, which may be the same one and may move. */
static bool resend(struct redis_client *c, struct link *from, struct link *to, const struct pending *p,
                   struct slice command, bool as_eval) {
    struct waiting *w = &c->slots[p->slot];
    size_t bytes = as_eval ? command_eval_bytes(w->script, command) : command.n;
    if (!link_has_room(to, bytes + 32) || !breaker_takes(to, client_now_ns(c))) return false;
    buf_reserve(&to->window, bytes);
    command.p = from->window.data + from->window.start;
    if (as_eval)
        command_eval_from(&to->window, w->script, command);
    else
        buf_append_slice(&to->window, command);
    w->link = to->index;
    w->end = link_queued(to, PENDING_CALL, p->slot, p->generation);
    return true;
}

static bool redirect(struct redis_client *c, struct link *from, const struct pending *p, struct slice command,
                     struct slice text, bool ask) {
    struct waiting *w = &c->slots[p->slot];
    if (w->redirects >= REDIRECTS_MAX) return false;
    struct link *to = cluster_redirect(c, from, text);
    if (to == NULL || !link_has_room(to, 32)) return false;
    if (ask) {
        command_append(&to->window, (struct slice[]){SLICE("ASKING")}, 1);
        link_queued(to, PENDING_ASKING, 0, 0);
    }
    w->redirects++;
    count_add(&c->counts->redirects, 1);
    return resend(c, from, to, p, command, false);
}

/* True: the error is no result, the call is on its way again. */
static bool recovered(struct redis_client *c, struct link *k, const struct pending *p, struct slice command,
                      enum redis_error error, struct slice text) {
    struct waiting *w = &c->slots[p->slot];
    if (error == REDIS_ERROR_MOVED || error == REDIS_ERROR_ASK)
        return redirect(c, k, p, command, text, error == REDIS_ERROR_ASK);
    if (error != REDIS_ERROR_NOSCRIPT || w->script == NULL || w->as_eval) return false;
    if (!resend(c, k, k, p, command, true)) return false;
    c->slots[p->slot].as_eval = true;
    count_add(&c->counts->script_loads, 1);
    return true;
}

void client_replied(struct redis_client *c, struct link *k, const struct pending *p, struct slice command,
                    const struct redis_reply *reply) {
    struct redis_result result = {.failure = REDIS_OK, .reply = reply, .sent = true};
    if (waiting_of(c, p->slot, p->generation) == NULL) {
        count_add(&c->counts->late_replies, 1);
        return;
    }
    if (reply->type == REDIS_ERROR_TEXT) {
        result.failure = REDIS_REFUSED;
        result.error = redis_error_of(reply->text);
        if (recovered(c, k, p, command, result.error, reply->text)) return;
    }
    bool trouble = redis_error_is_trouble(result.error);
    if (!trouble) breaker_succeeded(k);
    finish(c, p->slot, &result);
    if (trouble) breaker_troubled(k, result.error, reply->text);
}

void client_lost(struct redis_client *c, const struct pending *p, bool sent) {
    struct redis_result result = {.failure = c->closing ? REDIS_CLOSED : REDIS_LOST, .sent = sent};
    const struct waiting *w = waiting_of(c, p->slot, p->generation);
    if (w != NULL) finish(c, p->slot, &result);
}

/* ---- the client ---- */

struct redis_client *client_new(struct redis *r, struct loop *l, struct inbox *inbox, struct resolver *resolver,
                                bool counted) {
    struct redis_client *c = mem_zalloc(sizeof *c);
    c->site = r;
    c->loop = l;
    c->inbox = inbox;
    c->resolver = resolver;
    c->counted = counted;
    c->counts = site_join(r, counted);
    c->task.run = flush;
    c->timer = (struct timer){.due_ns = TIMER_NEVER, .fire = timer_fired};
    c->free_slot = NO_SLOT;
    cluster_first_link(c);
    return c;
}

struct redis_client *redis_client_new(struct redis *r, struct loop *l, struct inbox *inbox, struct resolver *resolver) {
    return client_new(r, l, inbox, resolver, true);
}

void redis_client_free(struct redis_client *c) {
    if (c == NULL) return;
    c->closing = true;
    cluster_clear(c);
    assert(c->used_count == 0);
    timer_cancel(&c->loop->wheel, &c->timer);
    loop_undefer(c->loop, &c->task);
    site_leave(c->counts);
    mem_free(c->slots);
    mem_free(c);
}

size_t redis_client_waiting(const struct redis_client *c) {
    return c->used_count;
}

bool redis_client_is_up(const struct redis_client *c) {
    return c->up;
}
