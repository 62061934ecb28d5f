/* Calls that are waited for: a client on a loop of its own, which only turns while a call waits. Between calls the
 * server may have ended the connection: what is ready is read before anything is sent, so that is noticed first. */
#include "redis/blocking.h"

#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "client_parts.h"

#define RESOLVE_TTL_NS (30 * NS_PER_S)

struct redis_blocking {
    struct loop *loop;
    struct inbox inbox;
    struct resolver *resolver;
    struct redis_client *client;
};

struct wait {
    struct redis_blocking *blocking;
    const struct redis_call *call;
    enum redis_failure failure;
};

struct redis_blocking *redis_blocking_new(struct redis *r) {
    struct redis_blocking *b = mem_zalloc(sizeof *b);
    b->loop = loop_new();
    inbox_init(&b->inbox, b->loop, 64, b);
    b->resolver = resolver_new(1, RESOLVE_TTL_NS);
    b->client = client_new(r, b->loop, &b->inbox, b->resolver, false);
    return b;
}

void redis_blocking_free(struct redis_blocking *b) {
    if (b == NULL) return;
    resolver_free(b->resolver);
    redis_client_free(b->client);
    inbox_clear(&b->inbox);
    loop_free(b->loop);
    mem_free(b);
}

static void waited(void *context, const struct redis_result *result) {
    struct wait *w = context;
    w->failure = result->failure;
    if (w->call->done != NULL) w->call->done(w->call->context, result);
    loop_stop(w->blocking->loop);
}

/* Nothing happened since the last call, as the loop stood still: it gets the time to connect again. */
static bool taken_in_time(struct redis_blocking *b, const struct redis_call *call) {
    const struct timespec pause = {0, (long)NS_PER_MS};
    uint64_t timeout_ns = call->timeout_ns > 0 ? call->timeout_ns : b->client->site->timeout_ns;
    uint64_t until_ns = clock_now_ns() + timeout_ns;
    do {
        while (loop_turn(b->loop)) continue;
        if (redis_call(b->client, call, NULL)) return true;
        nanosleep(&pause, NULL);
    } while (clock_now_ns() < until_ns);
    return false;
}

enum redis_failure redis_blocking_call(struct redis_blocking *b, const struct redis_call *call) {
    struct wait w = {.blocking = b, .call = call};
    struct redis_call mine = *call;
    mine.done = waited;
    mine.context = &w;
    if (taken_in_time(b, &mine)) {
        loop_run(b->loop);
        return w.failure;
    }
    struct redis_result untaken = {.failure = REDIS_UNTAKEN};
    if (call->done != NULL) call->done(call->context, &untaken);
    return REDIS_UNTAKEN;
}
