/* redis/blocking.h: calls for a thread that may wait and has no loop (the store, a command): a client on a loop of its
 * own, turned only while a call waits. Never for workers. */
#pragma once
#include "redis/client.h"

struct redis_blocking;
struct redis_blocking *redis_blocking_new(struct redis *r); /* connects with the first call; one thread at a time */
void redis_blocking_free(struct redis_blocking *b);

/* Makes the call and waits for its result, at most twice `timeout_ns` (0: that of the options): as long until it can be
 * sent, and as long for the answer. call->done gets the result, from within, exactly once, also UNTAKEN. Returns what
 * became of it. */
enum redis_failure redis_blocking_call(struct redis_blocking *b, const struct redis_call *call);
