/* breaker.h: whether a link takes calls, decided by what became of those before. */
#pragma once
#include "link.h"

/* Whether a call may wait here now. One that is let through on trial counts as taken. */
bool breaker_takes(struct link *k, uint64_t now_ns);
void breaker_succeeded(struct link *k);
void breaker_timed_out(struct link *k, uint64_t begun_ns); /* a call made then */
/* An error reply that says the server cannot do its work at present. May close the connection. */
void breaker_troubled(struct link *k, enum redis_error error, struct slice text);
void breaker_ponged(struct link *k, const struct redis_reply *reply); /* a PING was answered */
void breaker_tick(struct link *k);                                    /* its timer, while the link is up */
bool link_is_up(const struct link *k);                                /* connected, and takes calls */
