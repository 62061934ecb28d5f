/* A clock that moves when it is told to, and a resolver that answers when it is told to. */
#include "fakes.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

uint64_t random_next(uint64_t *state) {
    *state ^= *state << 13, *state ^= *state >> 7, *state ^= *state << 17;
    return *state;
}

/* ---- the clock ---- */

#define WALL_OFFSET_NS INT64_C(1795342528000000000) /* 2026-11-22T10:15:28Z at 0 */

static uint64_t now, tick_max, tick_state;

void fake_clock_set(uint64_t now_ns) {
    now = now_ns;
}

uint64_t fake_clock_ns(void) {
    return now;
}

void fake_clock_tick(uint64_t tick_max_ns, uint64_t seed) {
    tick_max = tick_max_ns;
    tick_state = seed;
}

uint64_t clock_now_ns(void) {
    if (tick_max != 0) now += random_next(&tick_state) % (tick_max + 1);
    return now;
}

int64_t clock_real_ns(void) {
    return WALL_OFFSET_NS + (int64_t)now;
}

/* ---- names ---- */

struct resolver {
    bool holds;
    struct resolve *held;
};
static struct resolver names;

static void fill_in(struct resolve *r, bool found) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)strtoul(r->port, NULL, 10)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    r->answer.count = found ? 1 : 0;
    memcpy(&r->answer.list[0], &address, sizeof address);
    r->answer.lengths[0] = sizeof address;
}

struct resolver *resolver_new(unsigned threads, uint64_t ttl_ns) {
    (void)threads, (void)ttl_ns;
    names = (struct resolver){0};
    return &names;
}

void resolver_free(struct resolver *r) {
    (void)r;
}

bool resolver_ask(struct resolver *x, struct resolve *r) {
    if (!x->holds) {
        fill_in(r, true);
        return true;
    }
    r->next = x->held;
    x->held = r;
    return false;
}

bool resolver_peek(struct resolver *x, const char *host, const char *port, struct addresses *answer) {
    (void)x, (void)host, (void)port, (void)answer;
    return false;
}

void fake_names_hold(bool hold) {
    names.holds = hold;
}

void fake_names_answer(bool found) {
    struct resolve *r = names.held;
    names.held = NULL;
    for (struct resolve *next; r != NULL; r = next) {
        next = r->next;
        fill_in(r, found);
        inbox_post(r->inbox, &r->message);
    }
}
