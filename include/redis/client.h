/* redis/client.h: one thread's link to Redis, on that thread's loop. Calls are queued and sent together at the end of
 * the loop's turn; answers come to their callers' callbacks, from the loop. It connects, logs in, reconnects, follows a
 * cluster's redirections and brings lost scripts back by itself.
 *
 * A call that was taken (redis_call() returned true) is answered exactly once: with a result, or with what became of
 * it. It is answered at the latest when its time is over, whatever the server does. A late answer is recognised by its
 * place and dropped. No call is taken while the server is known not to answer (the circuit breaker): the caller then
 * decides at once, without waiting. All functions are for the loop's thread only, but for those of redis/redis.h. */
#pragma once
#include "net/inbox.h"
#include "net/resolver.h"
#include "redis/redis.h"
#include "redis/reply.h"
#include "redis/script.h"

#define REDIS_CALLS_MAX 8192 /* waiting at a time, of one client; more are not taken */
#define REDIS_WAITING_BYTES_MAX                                                                                        \
    ((size_t)8388608)        /* of commands not yet answered, per connection; more are not taken                       \
                              */
#define REDIS_WORDS_MAX 1024 /* keys and arguments of one call */

struct redis_client;

struct redis_result {
    enum redis_failure failure;
    enum redis_error error;          /* REFUSED: its kind; else NONE */
    const struct redis_reply *reply; /* OK and REFUSED: what came, valid during the callback; else NULL */
    uint64_t waited_ns;              /* since redis_call() */
    bool sent; /* false: it never left this process, so it was not carried out. True with TIMEOUT, LOST or CLOSED: it
                  may have been, or may still be */
};

/* From the loop, never from within a function here (but for redis_client_free()). May make and cancel calls. */
typedef void redis_done(void *context, const struct redis_result *result);

struct redis_handle { /* names a call as long as it waits; a zeroed one names none */
    uint32_t slot, generation;
};

struct redis_call {
    /* With a script: its KEYS, `key_count` of them, then its ARGV. Without: a whole command, name first, and
     * words[key_count] is the key it is about (key_count 0: about none, any node of a cluster will do). Copied. */
    const struct redis_script *script;
    const struct slice *words;
    unsigned word_count, key_count;
    redis_done *done; /* may be NULL: nobody wants to know */
    void *context;
    uint64_t timeout_ns; /* 0: that of the options */
};

/* Takes a call, or returns false at once: the circuit breaker is open, or too much waits already; `done` is then never
 * called and nothing was sent. `handle` may be NULL. Never calls back. */
bool redis_call(struct redis_client *c, const struct redis_call *call, struct redis_handle *handle);
/* The caller leaves: `done` will not be called. True: the call never left this process and never will (or had ended, or
 * the handle is zero). False: it was sent, and is carried out unless the server is lost. */
bool redis_cancel(struct redis_client *c, struct redis_handle handle);

/* Begins to connect. `inbox` is the loop's own: the resolver answers through it, so both must outlive the resolver, as
 * that one's header says. At most REDIS_CLIENTS_MAX a process. */
#define REDIS_CLIENTS_MAX 80
struct redis_client *redis_client_new(struct redis *r, struct loop *l, struct inbox *inbox, struct resolver *resolver);
/* Calls that wait end as CLOSED, called back from within, and no new ones are taken. Before the loop is freed, after
 * the resolver is: it may still owe an answer. */
void redis_client_free(struct redis_client *c);
/* Calls waiting for an answer: for who wants to stop when all that was settled has arrived. */
size_t redis_client_waiting(const struct redis_client *c);
/* Connected, logged in, the breaker closed: a call made now would be sent at the end of this turn. */
bool redis_client_is_up(const struct redis_client *c);
