/* shared_fixture.h: shared limits with a Redis that the test plays: its calls are kept, the test answers them. */
#pragma once
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "facts/record.h"
#include "limit/shared.h"
#include "shared.h"

enum { CALLS_MAX = 64, NUMBERS_MAX = 128, SYNC_NUMBERS = 31 };

/* ---- the played client ---- */

static struct call {
    const struct redis_script *script;
    unsigned key_count, word_count;
    char keys[SYNC_SCOPES_MAX][64];
    int64_t numbers[NUMBERS_MAX]; /* the words after the keys and the holder */
    redis_done *done;
    void *context;
    bool ended;
} calls[CALLS_MAX];
static unsigned call_count;
static bool breaker_open;

bool redis_call(struct redis_client *c, const struct redis_call *call, struct redis_handle *handle) {
    (void)c;
    (void)handle;
    if (breaker_open) return false;
    assert_true(call_count < CALLS_MAX);
    struct call *k = &calls[call_count++];
    *k = (struct call){.script = call->script,
                       .key_count = call->key_count,
                       .word_count = call->word_count,
                       .done = call->done,
                       .context = call->context};
    for (unsigned i = 0; i < call->word_count; i++) {
        char text[64];
        snprintf(text, sizeof text, "%.*s", (int)call->words[i].n, call->words[i].p);
        if (i < call->key_count)
            memcpy(k->keys[i], text, sizeof text);
        else if (i > call->key_count && i - call->key_count - 1 < NUMBERS_MAX)
            k->numbers[i - call->key_count - 1] = strtoll(text, NULL, 10);
    }
    return true;
}

static inline bool is_script(const struct call *k, enum limit_script which) {
    return k->script == limit_script(which);
}

static inline struct call *last_call(enum limit_script which) {
    for (unsigned i = call_count; i-- > 0;)
        if (is_script(&calls[i], which)) return &calls[i];
    fail_msg("no such call");
    return NULL;
}

static inline unsigned calls_of(enum limit_script which) {
    unsigned count = 0;
    for (unsigned i = 0; i < call_count; i++) count += is_script(&calls[i], which);
    return count;
}

static inline void answer(struct call *k, const int64_t *numbers, size_t count) {
    struct redis_reply items[NUMBERS_MAX], reply = {.type = REDIS_ARRAY, .items = items, .count = count};
    for (size_t i = 0; i < count; i++) items[i] = (struct redis_reply){.type = REDIS_INTEGER, .integer = numbers[i]};
    assert_false(k->ended);
    k->ended = true;
    k->done(k->context, &(struct redis_result){.failure = REDIS_OK, .reply = &reply, .waited_ns = 1000, .sent = true});
}

static inline void lose(struct call *k, enum redis_failure failure) {
    assert_false(k->ended);
    k->ended = true;
    k->done(k->context, &(struct redis_result){.failure = failure, .waited_ns = 50 * NS_PER_MS, .sent = true});
}

/* ---- the rest of the world ---- */

static struct loop *loop;
static struct limiter *local;
static struct limit_shared *shared;
static struct config_model_limit models[1];
static struct config_limits limits;
static const struct tenant acme = {.name = SLICE_INIT("acme"), .limits = &limits};
static const int64_t unix_ns = INT64_C(20786) * 86400 * 1000000000;
enum { DAY = 20786, MONTH = 682 };
static unsigned decided_count;

static inline void decided(void *context) {
    (void)context;
    decided_count++;
}

static inline void open_with(bool lease, enum config_on_failure on_failure) {
    shared = limit_shared_new(&(struct limit_shared_options){.local = local,
                                                             .loop = loop,
                                                             .prefix = SLICE("weir:"),
                                                             .boot = 0xabc,
                                                             .worker = 1,
                                                             .lease = lease,
                                                             .on_failure = on_failure});
}

static inline int setup(void **state) {
    (void)state;
    loop = loop_new();
    local = limiter_new();
    limits = (struct config_limits){.models = {models, 0}};
    models[0] = (struct config_model_limit){.name = {.text = SLICE("fast")}};
    call_count = decided_count = 0;
    breaker_open = false;
    log_level_set(LOG_LEVEL_ERROR);
    open_with(false, CONFIG_ON_FAILURE_LOCAL);
    return 0;
}

static inline int teardown(void **state) {
    (void)state;
    limit_shared_free(shared);
    limiter_free(local);
    loop_free(loop);
    return 0;
}

/* The end of a turn, `ms` later: deferred messages go, timers fire. */
static inline void turn(unsigned ms) {
    loop->now_ns += ms * NS_PER_MS;
    wheel_advance(&loop->wheel, loop->now_ns);
    for (struct loop_task *t; (t = loop->tasks) != NULL;) {
        loop->tasks = t->next;
        if (loop->tasks == NULL) loop->tasks_tail = &loop->tasks;
        t->queued = false;
        t->run(t);
    }
}

static inline struct limit_ticket *take(const char *model, uint64_t tokens, uint64_t pico) {
    return limit_shared_take(shared, &acme, slice_of(model), unix_ns,
                             &(struct limit_request){.input_tokens = tokens, .pico_usd = pico}, decided, NULL);
}

static inline enum failure verdict(const struct limit_ticket *t) {
    struct limit_refusal why;
    assert_false(limit_ticket_waits(t));
    return limit_ticket_verdict(t, &why);
}

static inline void answer_taken(struct call *k) {
    answer(k, (int64_t[]){1, 0, 0, 0, DAY, MONTH}, 6);
}

/* A sync's answer of one scope: held as given, nothing ahead. */
static inline void answer_sync(struct call *k, int64_t running, int64_t tokens) {
    answer(k, (int64_t[]){1, DAY, MONTH, running, tokens, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}, 18);
}

static inline struct limit_ticket *taken(uint64_t tokens) {
    struct limit_ticket *t = take("", tokens, 0);
    answer_taken(last_call(LIMIT_SCRIPT_TAKE));
    assert_int_equal(verdict(t), FAILURE_NONE);
    return t;
}

enum {
    SERIAL = 1,
    AT = 2 + 7,
    WINDOW = AT,
    RUNNING,
    TOKENS,
    MISSING,
    REQUESTS_AHEAD,
    TOKENS_AHEAD,
    BACK
}; /* a sync's */

#define SHARED_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
