/* The circuit breaker of a link. It opens when nothing at all came while a call waited its whole time, or when three
 * calls in a row were not answered in time or met a server in trouble; then nobody waits. The hard part is closing it
 * without making requests suffer: silence is probed with a PING of the link's own, which nobody waits for; an error
 * that only some commands meet (out of memory, read-only) only shows in a call, so one is let through now and then, and
 * it is answered at once or not at all. */
#include "breaker.h"

#include "base/clock.h"
#include "client_parts.h"
#include "command.h"

#define PROBE_NS (250 * NS_PER_MS)
#define SILENCE_NS NS_PER_S /* a connection that says nothing for so long while commands wait is given up */
enum { FAILURES_MAX = 3 };

bool link_is_up(const struct link *k) {
    return k->state == LINK_UP && k->breaker == BREAKER_CLOSED;
}

bool breaker_takes(struct link *k, uint64_t now_ns) {
    if (k->breaker == BREAKER_CLOSED) return k->state != LINK_IDLE;
    if (k->breaker != BREAKER_TROUBLE || k->state != LINK_UP || now_ns < k->trial_ns) return false;
    k->trial_ns = now_ns + 2 * PROBE_NS;
    return true;
}

static void tell(struct link *k, const char *what, struct slice detail) {
    char where[LINK_WHERE_MAX];
    link_where(k, where);
    site_tell_trouble(k->client->site, where, what, detail);
}

static void close_it(struct link *k) {
    k->failures = 0;
    if (k->breaker != BREAKER_SILENT && k->breaker != BREAKER_TROUBLE) return;
    k->breaker = BREAKER_CLOSED;
    timer_cancel(&k->client->loop->wheel, &k->timer);
    client_link_changed(k->client, k);
}

void breaker_succeeded(struct link *k) {
    k->attempts = 0;
    close_it(k);
}

static void open_it(struct link *k, enum breaker how) {
    k->breaker = how;
    client_link_changed(k->client, k);
}

static bool is_silent(const struct link *k, uint64_t now_ns) {
    uint64_t longest = SILENCE_NS > 4 * k->client->site->timeout_ns ? SILENCE_NS : 4 * k->client->site->timeout_ns;
    return k->pending_count > 0 && now_ns - k->heard_ns > longest;
}

static void ping_send(struct link *k, uint64_t now_ns) {
    if (k->ping_ns != 0 || !link_has_room(k, 16)) return;
    k->ping_ns = now_ns;
    command_append(&k->window, (struct slice[]){SLICE("PING")}, 1);
    link_queued(k, PENDING_PING, 0, 0);
}

void breaker_timed_out(struct link *k, uint64_t begun_ns) {
    if (k->breaker == BREAKER_DOWN || k->breaker == BREAKER_SILENT) return;
    if (k->state != LINK_UP) {
        if (k->state != LINK_IDLE) tell(k, "does not answer", (struct slice){NULL, 0});
        open_it(k, BREAKER_DOWN);
        return;
    }
    bool silent = begun_ns >= k->replied_ns;
    if (++k->failures < FAILURES_MAX && !silent && k->breaker == BREAKER_CLOSED) return;
    tell(k, "does not answer in time", (struct slice){NULL, 0});
    open_it(k, BREAKER_SILENT);
    ping_send(k, client_now_ns(k->client));
    timer_set(&k->client->loop->wheel, &k->timer, client_now_ns(k->client) + PROBE_NS);
}

/* What only a new connection cures: another server behind the name, a login that is no more. */
static bool wants_new_connection(enum redis_error e) {
    return e == REDIS_ERROR_READONLY || e == REDIS_ERROR_NOAUTH || e == REDIS_ERROR_MASTERDOWN;
}

void breaker_troubled(struct link *k, enum redis_error error, struct slice text) {
    if (k->state != LINK_UP || ++k->failures < FAILURES_MAX) return;
    if (wants_new_connection(error)) {
        link_down(k, "refuses", text, true);
        return;
    }
    tell(k, "refuses", text);
    k->trial_ns = client_now_ns(k->client) + 2 * PROBE_NS;
    if (k->breaker == BREAKER_CLOSED) open_it(k, BREAKER_TROUBLE);
}

/* An answer that has to do with the PING alone is one, too. */
static bool is_alive(const struct redis_reply *reply) {
    if (reply->type != REDIS_ERROR_TEXT) return true;
    enum redis_error e = redis_error_of(reply->text);
    return e == REDIS_ERROR_NOPERM || !redis_error_is_trouble(e);
}

void breaker_ponged(struct link *k, const struct redis_reply *reply) {
    uint64_t took_ns = client_now_ns(k->client) - k->ping_ns;
    k->ping_ns = 0;
    if (k->breaker == BREAKER_SILENT && took_ns <= k->client->site->timeout_ns && is_alive(reply)) close_it(k);
}

void breaker_tick(struct link *k) {
    uint64_t now_ns = client_now_ns(k->client);
    if (k->breaker != BREAKER_SILENT) return;
    if (is_silent(k, now_ns)) {
        link_down(k, "does not answer", (struct slice){NULL, 0}, true);
        return;
    }
    ping_send(k, now_ns);
    timer_set(&k->client->loop->wheel, &k->timer, now_ns + PROBE_NS);
}
