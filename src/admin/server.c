/* The admin server: small requests, small answers, one thread. One dispatcher authenticates before any route is looked
 * at; a Host that is none of ours is refused, so that a page in a browser cannot reach it under its own name. */
#include "admin/server.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "http/write.h"
#include "net/conn.h"
#include "net/inbox.h"
#include "net/listener.h"

enum { REQUEST_MAX = 16384, CONNECTIONS_MAX = 256 };
#define REQUEST_TIME_NS (10 * NS_PER_S)

struct admin {
    struct admin_options options;
    char *token;
    struct loop *loop;
    struct listener *listener;
    struct inbox inbox;
    struct message stop;
    pthread_t thread;
};

struct session { /* one connection */
    struct admin *admin;
    struct conn *conn;
    struct buf in;
    size_t scanned;
};

static void session_end(struct session *s, bool linger) {
    struct conn *c = s->conn;
    buf_clear(&s->in);
    mem_free(s);
    if (linger)
        conn_close_lingering(c);
    else
        conn_close(c);
}

static void reply(struct session *s, unsigned status, struct slice type, struct slice body, bool keep) {
    struct buf out = {0};
    write_status_line(&out, status);
    write_field(&out, SLICE("content-type"), type);
    buf_append_text(&out, "cache-control: no-store\r\nx-content-type-options: nosniff\r\ncontent-length: ");
    buf_append_u64(&out, body.n);
    buf_append_text(&out, keep ? "\r\n\r\n" : "\r\nconnection: close\r\n\r\n");
    buf_append_slice(&out, body);
    conn_send_slice(s->conn, buf_slice(&out));
    buf_clear(&out);
}

static void reply_error(struct session *s, unsigned status, const char *code, const char *message, bool keep) {
    struct buf body = {0};
    buf_printf(&body, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"field\":null}}", code, message);
    reply(s, status, SLICE("application/json"), buf_slice(&body), keep);
    buf_clear(&body);
}

static void metrics_get(struct session *s, bool keep) {
    struct buf body = {0};
    metrics_write(&body, &s->admin->options.metrics);
    reply(s, 200, SLICE("text/plain; version=0.0.4; charset=utf-8"), buf_slice(&body), keep);
    buf_clear(&body);
}

static void healthz_get(struct session *s, bool keep) {
    reply(s, 200, SLICE("application/json"), SLICE("{\"status\":\"ok\"}"), keep);
}

static void readyz_get(struct session *s, bool keep) {
    bool ready = s->admin->options.ready(s->admin->options.context);
    struct slice body = ready ? SLICE("{\"status\":\"ready\"}") : SLICE("{\"status\":\"draining\"}");
    reply(s, ready ? 200 : 503, SLICE("application/json"), body, keep);
}

static const struct {
    struct slice path;
    bool open; /* without a token: what a load balancer asks */
    void (*get)(struct session *s, bool keep);
} routes[] = {{SLICE_INIT("/metrics"), false, metrics_get},
              {SLICE_INIT("/healthz"), true, healthz_get},
              {SLICE_INIT("/readyz"), true, readyz_get}};

static bool host_is_ours(const struct admin *a, const struct http_head *h) {
    if (!a->options.loopback) return true;
    struct slice host = head_value(h, FIELD_HOST);
    const char *colon = host.n > 0 && host.p[0] != '[' ? memchr(host.p, ':', host.n) : NULL;
    if (colon != NULL) host.n = (size_t)(colon - host.p);
    if (host.n == 0) return h->http_1_0;
    return slice_equal_nocase(host, SLICE("localhost")) || slice_starts(host, SLICE("127.")) ||
           slice_starts(host, SLICE("[::1]"));
}

static bool token_is_good(const struct admin *a, const struct http_head *h) {
    if (a->options.token.n == 0) return true;
    struct slice value = head_value(h, FIELD_AUTHORIZATION), expected = a->options.token;
    if (!slice_starts(value, SLICE("Bearer "))) return false;
    return secret_equal((struct slice){value.p + 7, value.n - 7}, expected);
}

/* False: the connection ends after this answer. One who asks without reading is not answered for ever. */
static bool serve(struct session *s, const struct http_head *h) {
    bool keep = h->keep_alive && h->framing == FRAMING_NONE && conn_queued_bytes(s->conn) < CONN_HIGH_BYTES;
    if (!host_is_ours(s->admin, h)) {
        reply_error(s, 421, "not_found", "unknown Host", keep);
        return keep;
    }
    if (head_find(h, SLICE("origin")).n > 0) { /* no page of weir's own asks across origins */
        reply_error(s, 403, "unauthorized", "foreign Origin", keep);
        return keep;
    }
    bool allowed = token_is_good(s->admin, h);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!slice_equal(routes[i].path, h->path)) continue;
        if (!routes[i].open && !allowed) break;
        if (h->method == HTTP_GET)
            routes[i].get(s, keep);
        else
            reply_error(s, 405, "bad_query", "only GET", keep);
        return keep;
    }
    if (allowed)
        reply_error(s, 404, "not_found", "no such page", keep);
    else
        reply_error(s, 401, "unauthorized", "a token is required", keep);
    return keep;
}

static size_t session_on_bytes(struct conn *c, const char *p, size_t n) {
    struct session *s = c->owner;
    static const struct head_limits limits = {4096, REQUEST_MAX, 100};
    struct field fields[HEAD_FIELDS_MAX];
    struct http_head head;
    buf_append(&s->in, p, n);
    for (size_t length; (length = head_end(s->in.data + s->in.start, buf_length(&s->in), &s->scanned)) > 0;) {
        s->scanned = 0;
        enum failure f = head_parse_request(&head, (struct slice){s->in.data + s->in.start, length}, fields, &limits);
        if (f != FAILURE_NONE) reply_error(s, failure_row(f)->status, "bad_query", "malformed request", false);
        if (f != FAILURE_NONE || !serve(s, &head)) {
            session_end(s, true);
            return n;
        }
        buf_consume(&s->in, length);
        if (buf_length(&s->in) == 0) break;
    }
    struct slice left = buf_slice(&s->in);
    if (left.n > 0 && head_check_partial(left.p, left.n, &limits) != FAILURE_NONE) {
        reply_error(s, 400, "bad_query", "malformed request", false);
        session_end(s, true);
        return n;
    }
    conn_deadline_set(c, c->loop->now_ns + REQUEST_TIME_NS);
    return n;
}

/* What was asked before is still answered. */
static void session_on_eof(struct conn *c) {
    session_end(c->owner, true);
}

static void session_on_deadline(struct conn *c) {
    session_end(c->owner, false);
}

static void session_on_close(struct conn *c, enum close_reason why) {
    struct session *s = c->owner;
    (void)why;
    buf_clear(&s->in);
    mem_free(s);
}

static const struct conn_ops session_ops = {.on_bytes = session_on_bytes,
                                            .on_eof = session_on_eof,
                                            .on_deadline = session_on_deadline,
                                            .on_close = session_on_close};

static void session_begin(void *context, int fd, const struct sockaddr *peer, uint64_t accepted_ns) {
    struct admin *a = context;
    (void)peer;
    struct session *s = mem_zalloc(sizeof *s);
    s->admin = a;
    s->conn = conn_accept(a->loop, fd, NULL, &session_ops, s);
    conn_deadline_set(s->conn, accepted_ns + REQUEST_TIME_NS);
    if (loop_conn_count(a->loop) > CONNECTIONS_MAX) session_end(s, false);
}

static void *admin_run(void *context) {
    struct admin *a = context;
    pthread_setname_np(pthread_self(), "admin");
    loop_run(a->loop);
    return NULL;
}

static void stop_run(struct message *m, void *context) {
    (void)m;
    struct admin *a = context;
    loop_stop(a->loop);
}

struct admin *admin_start(const struct admin_options *o) {
    struct admin *a = mem_zalloc(sizeof *a);
    a->options = *o;
    a->token = mem_strndup(o->token.p, o->token.n);
    a->options.token = (struct slice){a->token, o->token.n};
    a->loop = loop_new();
    inbox_init(&a->inbox, a->loop, 16, a);
    a->stop.run = stop_run;
    a->listener = listener_new(a->loop, o->listen_fd, session_begin, a);
    if (pthread_create(&a->thread, NULL, admin_run, a) == 0) return a;
    listener_free(a->listener);
    inbox_clear(&a->inbox);
    loop_free(a->loop);
    mem_free(a->token);
    mem_free(a);
    return NULL;
}

void admin_stop(struct admin *a) {
    if (a == NULL) return;
    inbox_post(&a->inbox, &a->stop);
    pthread_join(a->thread, NULL);
    listener_free(a->listener);
    inbox_clear(&a->inbox);
    loop_free(a->loop);
    mem_free(a->token);
    mem_free(a);
}
