/* A connection's life: resolving, connecting, logging in, sending, matching replies, and what becomes of the commands
 * when it ends. The hard part is that a connection ends in the middle of anything: what was sent is lost, what was not
 * waits for the next connection, and everything is told exactly once, from the loop. When it may be used again is in
 * breaker.c. */
#include "breaker.h"

#include <assert.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/random.h"
#include "crypto/random.h"
#include "client_parts.h"
#include "command.h"

#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define LOGIN_NS (2 * NS_PER_S)
#define STEADY_NS (10 * NS_PER_S) /* up for longer: that it ends now says nothing about the next one */
#define BACKOFF_FIRST_NS (50 * NS_PER_MS)
#define BACKOFF_LAST_NS (2 * NS_PER_S)
enum { WINDOW_KEEPS_BYTES = 65536 };

/* ---- the queue ---- */

static struct pending *pending_at(struct link *k, uint32_t i) {
    return &k->pending[(k->pending_first + i) & (k->pending_capacity - 1)];
}

static void pending_grow(struct link *k) {
    uint32_t capacity = k->pending_capacity > 0 ? 2 * k->pending_capacity : 64;
    struct pending *grown = mem_alloc(capacity * sizeof *grown);
    for (uint32_t i = 0; i < k->pending_count; i++) grown[i] = *pending_at(k, i);
    mem_free(k->pending);
    k->pending = grown;
    k->pending_capacity = capacity;
    k->pending_first = 0;
}

bool link_has_room(const struct link *k, size_t bytes) {
    return k->pending_count < REDIS_CALLS_MAX && buf_length(&k->window) + bytes <= REDIS_WAITING_BYTES_MAX;
}

uint64_t link_queued(struct link *k, enum pending_kind kind, uint32_t slot, uint32_t generation) {
    if (k->pending_count == k->pending_capacity) pending_grow(k);
    if (k->pending_count == 0) k->heard_ns = client_now_ns(k->client);
    uint64_t end = k->base + buf_length(&k->window);
    *pending_at(k, k->pending_count++) = (struct pending){end, slot, generation, kind};
    client_flush_later(k->client);
    return end;
}

/* Drops the first command's bytes. The memory is kept for the next turn, unless it is much. */
static void window_drop(struct link *k, uint64_t end) {
    assert(end >= k->base && end - k->base <= buf_length(&k->window));
    k->window.start += (size_t)(end - k->base);
    k->base = end;
    if (buf_length(&k->window) > 0) return;
    if (k->window.capacity > WINDOW_KEEPS_BYTES)
        buf_clear(&k->window);
    else
        k->window.start = k->window.end = 0;
}

static struct pending pending_pop(struct link *k) {
    struct pending p = *pending_at(k, 0);
    k->pending_first = (k->pending_first + 1) & (k->pending_capacity - 1);
    k->pending_count--;
    return p;
}

/* Tells those that wait now that nothing will come: those that were sent, or all. What is queued meanwhile stays. */
static void pending_fail(struct link *k, bool all) {
    for (uint32_t n = k->pending_count; n > 0; n--) {
        bool sent = pending_at(k, 0)->end <= k->sent;
        if (!sent && !all) break;
        struct pending p = pending_pop(k);
        window_drop(k, p.end);
        if (k->sent < k->base) k->sent = k->base;
        if (p.kind == PENDING_SLOTS) client_slots_replied(k->client, k, NULL);
        if (p.kind == PENDING_CALL) client_lost(k->client, &p, sent);
    }
}

/* Takes out what was not sent yet and nobody waits for any more: it shall never be carried out. */
static void dead_drop(struct link *k) {
    struct buf kept = {0};
    uint32_t n = 0;
    const char *bytes = k->window.data + k->window.start;
    uint64_t at = k->sent;
    k->has_dead = false;
    buf_append(&kept, bytes, (size_t)(k->sent - k->base));
    for (uint32_t i = 0; i < k->pending_count; i++) {
        struct pending p = *pending_at(k, i);
        uint64_t begin = at;
        if (p.end > k->sent) {
            at = p.end;
            if (p.kind == PENDING_CALL && !client_waits(k->client, &p)) continue;
            buf_append(&kept, bytes + (begin - k->base), (size_t)(p.end - begin));
            p.end = k->base + buf_length(&kept);
            if (p.kind == PENDING_CALL) client_moved(k->client, &p);
        }
        *pending_at(k, n++) = p;
    }
    k->pending_count = n;
    buf_clear(&k->window);
    k->window = kept;
}

/* ---- ends ---- */

void link_where(const struct link *k, char out[LINK_WHERE_MAX]) {
    snprintf(out, LINK_WHERE_MAX, "%s:%s", k->host, k->port);
}

static void tell_trouble(struct link *k, const char *what, struct slice detail) {
    char where[LINK_WHERE_MAX];
    link_where(k, where);
    site_tell_trouble(k->client->site, where, what, detail);
}

static uint64_t backoff_ns(unsigned attempts) {
    uint64_t ns = attempts > 6 ? BACKOFF_LAST_NS : BACKOFF_FIRST_NS << (attempts - 1);
    if (ns > BACKOFF_LAST_NS) ns = BACKOFF_LAST_NS;
    return ns * 3 / 4 + random_u64() % (ns / 2);
}

static bool is_wanted(const struct link *k) {
    return !k->client->closing && (k->mapped || k == k->client->links[0]);
}

static void retry_set(struct link *k) {
    struct redis_client *c = k->client;
    if (!is_wanted(k)) {
        k->state = LINK_IDLE;
        timer_cancel(&c->loop->wheel, &k->timer);
        return;
    }
    k->state = LINK_WAITING;
    uint64_t wait_ns = k->attempts == 0 ? 0 : backoff_ns(k->attempts);
    k->attempts++;
    timer_set(&c->loop->wheel, &k->timer, client_now_ns(c) + wait_ns);
}

/* Of a conn: forgotten, closed unless it is the conn that tells its end itself. */
static void conn_forget(struct link *k) {
    if (k->conn != NULL) {
        conn_owner_set(k->conn, k->conn->ops, NULL);
        conn_close(k->conn);
    }
    k->conn = NULL;
    if (k->reading) reader_clear(&k->reader);
    k->reading = false;
    k->ping_ns = 0;
}

void link_down(struct link *k, const char *why, struct slice detail, bool suspect) {
    struct redis_client *c = k->client;
    bool was_up = k->state == LINK_UP;
    if (was_up && client_now_ns(c) - k->up_ns > STEADY_NS) k->attempts = 0;
    /* One that worked until now is first given the chance to come back at once: what was not sent waits for that. */
    bool hopeless = !was_up || suspect || k->attempts > 0 || k->breaker != BREAKER_CLOSED || c->closing;
    if (hopeless && k->attempts == 0) k->attempts = 1;
    if (hopeless && is_wanted(k) && k->mapped) tell_trouble(k, why, detail); /* a first node may be gone for good */
    if (hopeless) k->breaker = BREAKER_DOWN;
    conn_forget(k); /* `detail` may be in its reader */
    retry_set(k);
    client_link_changed(c, k);
    pending_fail(k, hopeless);
}

static void on_close(struct conn *conn, enum close_reason why) {
    struct link *k = conn->owner;
    char text[160];
    conn_error_text(conn, text, sizeof text);
    k->conn = NULL;
    link_down(k, why == CLOSE_CONNECT_FAILED ? "cannot be reached" : "broke the connection", slice_of(text),
              why == CLOSE_TLS_FAILED);
}

static void on_eof(struct conn *conn) {
    struct link *k = conn->owner;
    link_down(k, "closed the connection", (struct slice){NULL, 0}, false);
}

/* ---- logging in ---- */

enum login_step { LOGIN_AUTH = 1, LOGIN_SELECT = 2, LOGIN_PROBE = 4 };

static void login_send(struct link *k) {
    const struct redis *site = k->client->site;
    struct buf out = {0};
    k->login_steps = LOGIN_PROBE;
    if (site->password_length > 0 || site->user_length > 0) {
        struct slice user = {site->user, site->user_length}, password = {site->password, site->password_length};
        if (user.n > 0)
            command_append(&out, (struct slice[]){SLICE("AUTH"), user, password}, 3);
        else
            command_append(&out, (struct slice[]){SLICE("AUTH"), password}, 2);
        k->login_steps |= LOGIN_AUTH;
    }
    if (site->database != 0) {
        command_begin(&out, 2);
        command_word(&out, SLICE("SELECT"));
        command_number(&out, site->database);
        k->login_steps |= LOGIN_SELECT;
    }
    command_append(&out, (struct slice[]){SLICE("EVAL"), redis_script(REDIS_SCRIPT_probe)->source, SLICE("0")}, 3);
    conn_send_slice(k->conn, buf_slice(&out));
    if (out.data != NULL) secret_wipe(out.data, out.capacity);
    buf_clear(&out);
}

static void on_ready(struct conn *conn) {
    struct link *k = conn->owner;
    reader_init(&k->reader);
    k->reading = true;
    k->state = LINK_LOGGING_IN;
    login_send(k);
}

static void login_finished(struct link *k) {
    k->state = LINK_UP;
    k->breaker = BREAKER_CLOSED;
    k->failures = 0;
    k->up_ns = k->heard_ns = k->replied_ns = client_now_ns(k->client);
    timer_cancel(&k->client->loop->wheel, &k->timer);
    count_add(&k->client->counts->connects, 1);
    client_link_changed(k->client, k);
    client_flush_later(k->client);
}

/* The steps are answered in order. False: the link is down. */
static bool login_replied(struct link *k, const struct redis_reply *reply) {
    static const char *const refused[] = {
        [LOGIN_AUTH] = "refuses AUTH", [LOGIN_SELECT] = "refuses SELECT", [LOGIN_PROBE] = "refuses EVAL"};
    unsigned step = k->login_steps & -k->login_steps;
    if (reply->type == REDIS_ERROR_TEXT) {
        link_down(k, refused[step], reply->text, true);
        return false;
    }
    if (step == LOGIN_PROBE ? reply->type != REDIS_ARRAY : reply->type != REDIS_STATUS) {
        link_down(k, "answers what is no Redis' answer", (struct slice){NULL, 0}, true);
        return false;
    }
    k->login_steps &= ~step;
    if (k->login_steps == 0) login_finished(k);
    return true;
}

/* ---- replies ---- */

/* False: the link is down. Callbacks may queue commands meanwhile, which may move the window: its bytes are looked up
 * anew each time. */
static bool replied(struct link *k, const struct redis_reply *reply) {
    if (k->state == LINK_LOGGING_IN) return login_replied(k, reply);
    if (k->pending_count == 0 || pending_at(k, 0)->end > k->sent) {
        link_down(k, "says what nobody asked for", reply->text, true);
        return false;
    }
    struct conn *conn = k->conn;
    struct pending p = pending_pop(k);
    struct slice command = {k->window.data + k->window.start, (size_t)(p.end - k->base)};
    k->heard_ns = k->replied_ns = client_now_ns(k->client);
    if (p.kind == PENDING_CALL) client_replied(k->client, k, &p, command, reply);
    if (p.kind == PENDING_SLOTS) client_slots_replied(k->client, k, reply);
    if (p.kind == PENDING_PING) breaker_ponged(k, reply);
    if (k->base < p.end) window_drop(k, p.end);
    return k->conn == conn;
}

static size_t on_bytes(struct conn *conn, const char *p, size_t n) {
    struct link *k = conn->owner;
    enum reading got = READING_GARBAGE;
    const struct redis_reply *reply;
    if (reader_feed(&k->reader, p, n)) {
        while ((got = reader_next(&k->reader, &reply)) == READING_REPLY)
            if (!replied(k, reply)) return n;
    }
    if (got == READING_GARBAGE) link_down(k, "answers what is no Redis' answer", (struct slice){NULL, 0}, true);
    return n;
}

static const struct conn_ops ops = {.on_ready = on_ready, .on_bytes = on_bytes, .on_eof = on_eof, .on_close = on_close};

/* ---- connecting ---- */

static void connect_to(struct link *k) {
    const struct addresses *a = &k->ask.answer;
    if (a->count == 0) {
        link_down(k, "has no address: its name could not be resolved", (struct slice){NULL, 0}, false);
        return;
    }
    unsigned i = k->attempts % a->count;
    k->state = LINK_CONNECTING;
    k->conn = conn_connect(k->client->loop, (const struct sockaddr *)&a->list[i], a->lengths[i], k->client->site->tls,
                           k->host, &ops, k);
    if (k->conn == NULL) link_down(k, "cannot be connected to: no socket", (struct slice){NULL, 0}, false);
}

static void resolved(struct message *m, void *context) {
    struct link *k = CONTAINER_OF(m, struct link, ask.message);
    (void)context;
    k->asking = false;
    if (k->state == LINK_RESOLVING) connect_to(k);
}

static void connect_begin(struct link *k) {
    k->state = LINK_RESOLVING;
    timer_set(&k->client->loop->wheel, &k->timer, client_now_ns(k->client) + LOGIN_NS);
    if (k->asking) return;
    k->ask.message.run = resolved;
    k->ask.inbox = k->client->inbox;
    k->ask.host = k->host;
    k->ask.port = k->port;
    if (resolver_ask(k->client->resolver, &k->ask))
        connect_to(k);
    else
        k->asking = true;
}

static void timer_fired(struct timer *t) {
    struct link *k = CONTAINER_OF(t, struct link, timer);
    switch (k->state) {
    case LINK_IDLE:
        break;
    case LINK_WAITING:
        connect_begin(k);
        break;
    case LINK_RESOLVING:
    case LINK_CONNECTING:
    case LINK_LOGGING_IN:
        link_down(k, "does not answer", (struct slice){NULL, 0}, true);
        break;
    case LINK_UP:
        breaker_tick(k);
        break;
    }
}

void link_flush(struct link *k) {
    if (k->state == LINK_WAITING && k->timer.due_ns <= client_now_ns(k->client)) {
        connect_begin(k);
        return;
    }
    if (k->state != LINK_UP) return;
    if (k->has_dead) dead_drop(k);
    size_t from = (size_t)(k->sent - k->base), length = buf_length(&k->window);
    if (from == length) return;
    k->sent = k->base + length;
    conn_send_slice(k->conn, (struct slice){k->window.data + k->window.start + from, length - from});
}

void link_start(struct link *k) {
    if (k->state != LINK_IDLE) return;
    k->attempts = 0;
    k->breaker = BREAKER_CLOSED;
    retry_set(k);
    client_flush_later(k->client);
}

void link_close_quietly(struct link *k) {
    if (k->pending_count > 0 || k->state == LINK_IDLE) return;
    conn_forget(k);
    k->state = LINK_IDLE;
    timer_cancel(&k->client->loop->wheel, &k->timer);
}

void link_init(struct link *k, struct redis_client *c, struct slice host, struct slice port) {
    *k = (struct link){.client = c, .state = LINK_IDLE};
    assert(host.n < sizeof k->host && port.n < sizeof k->port);
    memcpy(k->host, host.p, host.n);
    memcpy(k->port, port.p, port.n);
    k->timer.fire = timer_fired;
    k->timer.due_ns = TIMER_NEVER;
}

void link_clear(struct link *k) {
    conn_forget(k);
    k->state = LINK_IDLE;
    timer_cancel(&k->client->loop->wheel, &k->timer);
    pending_fail(k, true);
    buf_clear(&k->window);
    mem_free(k->pending);
}
