/* net/resolver.h: names to addresses without ever blocking a loop: getaddrinfo(3) in threads of its own, one look-up
 * per name at a time whoever asks, answers cached and stale ones served while a new look-up runs. */
#pragma once
#include <netinet/in.h>

#include "net/inbox.h"

#define RESOLVE_ADDRESSES_MAX 16
struct addresses {
    unsigned count; /* 0: the look-up failed */
    struct sockaddr_storage list[RESOLVE_ADDRESSES_MAX];
    socklen_t lengths[RESOLVE_ADDRESSES_MAX];
};

/* Keeps an answer per host and port: meant for the names of configurations. Past 1,024 of them those that nobody asks
 * for any more are let go. */
struct resolver;
struct resolver *resolver_new(unsigned threads, uint64_t ttl_ns);
void resolver_free(struct resolver *r); /* unanswered requests are dropped, nothing is posted after it; a thread caught
                                           in a look-up is left to end by itself, the others are joined */

struct resolve {            /* one question; owned by the asker, who must keep it until the answer came */
    struct message message; /* posted to `inbox` with the answer; asker sets message.run */
    struct inbox *inbox;
    const char *host, *port; /* borrowed until the answer */
    struct addresses answer;
    struct resolve *next;
};
/* The last good answer, without waiting for any; a new look-up begins when it is time for one. False: none is known, or
 * the host is a literal address. Any thread. */
bool resolver_peek(struct resolver *x, const char *host, const char *port, struct addresses *answer);
/* True: r->answer is filled in at once (a literal address, cached, or stale by at most ten times the TTL while a new
 * look-up runs; count 0: it failed less than a second ago). False: the answer will be posted; the inbox must outlive
 * the resolver. Any thread. */
bool resolver_ask(struct resolver *x, struct resolve *r);
