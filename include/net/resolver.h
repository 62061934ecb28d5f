/* net/resolver.h: names to addresses without ever blocking a loop: getaddrinfo(3) in threads of its own, one look-up per
 * name at a time whoever asks, answers cached and stale ones served while a new look-up runs. */
#pragma once
#include <netinet/in.h>

#include "net/inbox.h"

#define RESOLVE_ADDRESSES_MAX 16
struct addresses {
    unsigned count;                 /* 0: the look-up failed */
    struct sockaddr_storage list[RESOLVE_ADDRESSES_MAX];
    socklen_t lengths[RESOLVE_ADDRESSES_MAX];
};

struct resolver;
struct resolver *resolver_new(unsigned threads, uint64_t ttl_ns);
void resolver_free(struct resolver *r); /* joins its threads; unanswered requests are dropped */

struct resolve { /* one question; owned by the asker, who must keep it until the answer came */
    struct message message;        /* posted to `inbox` with the answer; asker sets message.run */
    struct inbox *inbox;
    const char *host, *port;       /* borrowed until the answer */
    struct addresses answer;
    struct resolve *next;
};
/* True: r->answer is filled in at once (cached, or a literal address). False: the answer will be posted. Any thread. */
bool resolver_ask(struct resolver *x, struct resolve *r);
