/* A client's connection. The hard part is its edges: a request may come in any pieces, several requests in one, and the
 * client may leave at any instant; bytes that are not the current request's turn yet wait here, at most 16 KiB of them.
 */
#include "pipeline/client.h"

#include <assert.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/mem.h"
#include "pipeline/exchange.h"
#include "receive.h"

enum { REQUESTS_PER_TURN = 4, EMPTY_LINES_BYTES = 4 };
#define LEAVING_NS NS_PER_S /* an idle connection that has not been told to end may bring one more request */

static void client_free(struct loop_task *task) {
    struct client *c = (struct client *)((char *)task - offsetof(struct client, again));
    buf_clear(&c->head_part);
    buf_clear(&c->pending);
    key_memo_clear(&c->key_memo);
    mem_free(c);
}

/* The connection is gone (closed, lost or handed over): forget it; the memory goes at the end of the turn. */
static void client_forget(struct client *c) {
    struct worker *w = c->worker;
    c->conn = NULL;
    *c->link = c->next;
    if (c->next != NULL) c->next->link = c->link;
    atomic_store_explicit(&w->client_count, atomic_load_explicit(&w->client_count, memory_order_relaxed) - 1,
                          memory_order_relaxed);
    c->again.run = client_free;
    loop_defer(w->loop, &c->again);
}

static void client_close(struct client *c) {
    conn_close(c->conn);
    client_forget(c);
}

/* Lets the client have what is queued and then ends the connection. */
static void client_linger(struct client *c) {
    struct conn *conn = c->conn;
    client_forget(c);
    conn_close_lingering(conn);
}

static void client_gone(struct client *c) {
    struct exchange *x = c->exchange;
    if (x == NULL) {
        client_close(c);
        return;
    }
    exchange_callback_begin(x);
    exchange_fail(x, FAILURE_CLIENT_GONE); /* settles, and comes back through client_exchange_over() */
    exchange_callback_end(x);
}

static void client_await_request(struct client *c) {
    const struct worker *w = c->worker;
    uint64_t keepalive_ns = w->conf->config->http.keepalive_ns;
    if (w->leaving && keepalive_ns > LEAVING_NS) keepalive_ns = LEAVING_NS;
    conn_deadline_set(c->conn, w->loop->now_ns + keepalive_ns);
}

/* The first byte of a request is there, or was while an answer before it was under way: an exchange begins with it. */
static void client_begin(struct client *c, uint64_t arrived_ns) {
    struct worker *w = c->worker;
    struct exchange *x = exchange_new(c, arrived_ns);
    ledger_enter(&x->ledger, PHASE_QUEUE, arrived_ns);
    ledger_enter(&x->ledger, PHASE_RECEIVE, w->loop->wake_ns);
    c->exchange = x;
    c->exchanges++;
    x->body_due_ns = w->loop->now_ns + w->conf->config->http.header_time_ns;
    conn_deadline_set(c->conn, x->body_due_ns);
}

/* Some clients end a body with an empty line of their own (RFC 9112 2.2). It belongs to no exchange, in whatever pieces
 * it comes: the next one begins with the byte behind it. Two of them are taken, as by the head's reader. */
static bool is_leading(struct client *c, const char *p, size_t n) {
    size_t before = buf_length(&c->head_part);
    if (before + n > EMPTY_LINES_BYTES) return false;
    for (size_t i = 0; i < n; i++)
        if (p[i] != "\r\n"[(before + i) % 2]) return false;
    buf_append(&c->head_part, p, n);
    return true;
}

/* Takes bytes for the request that is being read; returns how many. Stops at the end of the request. */
static size_t client_take(struct client *c, const char *p, size_t n, uint64_t arrived_ns) {
    if (c->exchange == NULL && is_leading(c, p, n)) return n;
    if (c->exchange == NULL) client_begin(c, arrived_ns);
    struct exchange *x = c->exchange;
    exchange_callback_begin(x);
    size_t used = x->received_ns != 0 || x->answer_ended ? 0 : receive_bytes(x, p, n);
    exchange_callback_end(x);
    return used;
}

static void arrival_note(struct client *c, size_t n) {
    uint64_t now = c->worker->loop->wake_ns;
    unsigned last = c->arrival_count;
    if (last > 0 && (last == ARRIVALS_MAX || c->arrivals[last - 1].ns == now))
        c->arrivals[last - 1].bytes += n;
    else
        c->arrivals[c->arrival_count++] = (struct arrival){n, now};
}

static void pending_consume(struct client *c, size_t n) {
    buf_consume(&c->pending, n);
    while (n > 0) {
        struct arrival *first = &c->arrivals[0];
        size_t part = n < first->bytes ? n : first->bytes;
        first->bytes -= part;
        n -= part;
        if (first->bytes > 0) break;
        memmove(first, first + 1, --c->arrival_count * sizeof *first);
    }
}

/* Keeps bytes whose turn has not come. Returns how many: at the ceiling reading pauses, and goes on with the next
 * request. */
static size_t client_keep(struct client *c, const char *p, size_t n) {
    size_t kept = buf_length(&c->pending);
    size_t room = kept < PIPELINED_BYTES_MAX ? PIPELINED_BYTES_MAX - kept : 0;
    if (n > room) n = room;
    buf_append(&c->pending, p, n);
    if (n > 0) arrival_note(c, n);
    return n;
}

/* A burst of pipelined requests is served a few a turn: others wait too, and what ended is freed at the turn's end. */
static bool had_its_turn(const struct client *c, unsigned exchanges_before) {
    return c->exchange == NULL && c->exchanges - exchanges_before >= REQUESTS_PER_TURN;
}

static size_t client_on_bytes(struct conn *conn, const char *p, size_t n) {
    struct client *c = conn->owner;
    size_t used = 0;
    unsigned before = c->exchanges;
    while (used < n && c->conn != NULL) {
        if (had_its_turn(c, before)) loop_defer(c->worker->loop, &c->again);
        if (had_its_turn(c, before) || buf_length(&c->pending) > 0) return used + client_keep(c, p + used, n - used);
        size_t took = client_take(c, p + used, n - used, c->worker->loop->wake_ns);
        if (c->conn == NULL) break;
        if (took == 0) return used + client_keep(c, p + used, n - used);
        used += took;
    }
    return n;
}

/* Half a request behind whole ones: it can be told so, and the answers before it must not be lost to a reset. */
static void client_cut_short(struct exchange *x) {
    exchange_callback_begin(x);
    exchange_fail(x, FAILURE_BAD_REQUEST);
    exchange_callback_end(x);
}

/* The client's sending side has ended, and it may still read (`half_close: allow`): what came whole is answered, the
 * last of it says that the connection ends. */
static void client_serve_last(struct client *c) {
    struct exchange *x = c->exchange;
    bool waits = buf_length(&c->pending) > 0;
    if (x == NULL && !waits)
        client_linger(c);
    else if (x != NULL && x->received_ns == 0)
        client_cut_short(x);
    else if (x != NULL && !waits)
        x->keep_client = false;
}

/* Serves what waited: the next pipelined request. */
static void client_again(struct loop_task *task) {
    struct client *c = (struct client *)((char *)task - offsetof(struct client, again));
    if (c->conn == NULL || c->exchange != NULL) return;
    unsigned before = c->exchanges;
    while (buf_length(&c->pending) > 0 && !had_its_turn(c, before)) {
        struct slice bytes = buf_slice(&c->pending);
        size_t took = client_take(c, bytes.p, bytes.n, c->arrivals[0].ns);
        if (c->conn == NULL) return;
        if (took == 0) break;
        pending_consume(c, took);
    }
    if (c->exchange == NULL && buf_length(&c->pending) > 0) loop_defer(c->worker->loop, &c->again);
    if (c->half_closed)
        client_serve_last(c);
    else
        conn_read_resume(c->conn);
}

static void client_on_ready(struct conn *conn) {
    struct client *c = conn->owner;
    c->tls_in_ns = conn->ready_ns - conn->opened_ns;
    client_await_request(c);
}

static void client_on_drained(struct conn *conn) {
    struct client *c = conn->owner;
    struct exchange *x = c->exchange;
    if (x == NULL) return;
    exchange_callback_begin(x);
    receive_client_drained(x);
    exchange_callback_end(x);
}

/* A client that will send no more, but has asked for something whole, may be waiting for it: where that is allowed. */
static bool client_may_wait(const struct client *c) {
    if (c->worker->conf->config->http.half_close != CONFIG_HALF_CLOSE_ALLOW) return false;
    return c->exchange != NULL ? c->exchange->received_ns != 0 : buf_length(&c->pending) > 0;
}

static void client_on_eof(struct conn *conn) {
    struct client *c = conn->owner;
    if (!client_may_wait(c)) {
        client_gone(c);
        return;
    }
    c->half_closed = true;
    client_serve_last(c);
}

/* The client has left while bytes of its next request wait here; where it may wait, the end is read in its turn. */
static void client_on_hangup(struct conn *conn) {
    struct client *c = conn->owner;
    if (!client_may_wait(c)) client_gone(c);
}

static void client_on_close(struct conn *conn, enum close_reason why) {
    (void)why;
    struct client *c = conn->owner;
    struct exchange *x = c->exchange;
    client_forget(c);
    if (x == NULL) return;
    exchange_callback_begin(x);
    x->client = NULL;
    exchange_fail(x, FAILURE_CLIENT_GONE);
    exchange_callback_end(x);
}

static void client_on_deadline(struct conn *conn) {
    struct client *c = conn->owner;
    struct exchange *x = c->exchange;
    if (x == NULL) {
        client_close(c);
        return;
    }
    exchange_callback_begin(x);
    receive_client_deadline(x);
    exchange_callback_end(x);
}

static const struct conn_ops client_ops = {.on_ready = client_on_ready,
                                           .on_bytes = client_on_bytes,
                                           .on_drained = client_on_drained,
                                           .on_eof = client_on_eof,
                                           .on_hangup = client_on_hangup,
                                           .on_deadline = client_on_deadline,
                                           .on_close = client_on_close};

void client_accept(struct worker *w, int fd, struct tls_context *tls, uint64_t accepted_ns) {
    struct client *c = mem_zalloc(sizeof *c);
    c->worker = w;
    c->accepted_ns = accepted_ns;
    c->tls = tls != NULL;
    c->again.run = client_again;
    c->next = w->clients;
    c->link = &w->clients;
    if (c->next != NULL) c->next->link = &c->next;
    w->clients = c;
    atomic_store_explicit(&w->client_count, atomic_load_explicit(&w->client_count, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    c->conn = conn_accept(w->loop, fd, tls, &client_ops, c);
    c->address_length = (uint8_t)conn_peer_text(c->conn, c->address);
    const struct config *conf = w->conf->config;
    conn_deadline_set(c->conn, w->loop->now_ns + conf->http.header_time_ns);
}

void client_exchange_over(struct client *c, bool reusable) {
    c->exchange = NULL;
    if (!reusable || c->worker->draining) {
        client_linger(c);
        return;
    }
    client_await_request(c);
    if (buf_length(&c->pending) > 0)
        loop_defer(c->worker->loop, &c->again);
    else
        conn_read_resume(c->conn);
}

void client_exchange_broken(struct client *c, bool told) {
    c->exchange = NULL;
    struct conn *conn = c->conn;
    client_forget(c);
    if (told)
        conn_abort_lingering(conn);
    else
        conn_abort(conn);
}

void client_drop(struct client *c) {
    struct exchange *x = c->exchange;
    conn_abort(c->conn);
    client_forget(c);
    if (x == NULL) return;
    exchange_callback_begin(x);
    x->client = NULL;
    exchange_fail(x, FAILURE_CLIENT_STALLED);
    exchange_callback_end(x);
}

void client_hurry_idle(struct worker *w) {
    for (struct client *c = w->clients; c != NULL; c = c->next)
        if (c->exchange == NULL) client_await_request(c);
}

void client_close_idle(struct worker *w) {
    for (struct client *c = w->clients, *next; c != NULL; c = next) {
        next = c->next;
        if (c->exchange == NULL && buf_length(&c->pending) == 0) client_close(c);
    }
}
