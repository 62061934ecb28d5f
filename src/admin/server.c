/* The admin server: small requests, small answers, one thread. One dispatcher authenticates before any route is looked
 * at; a Host that is none of ours is refused, so that a page in a browser cannot reach it under its own name. */
#include "admin/server.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "crypto/digest.h"
#include "fleet.h"
#include "http/write.h"
#include "net/conn.h"
#include "net/inbox.h"
#include "net/listener.h"
#include "session.h"
#include "usage_get.h"

enum { REQUEST_MAX = 16384, CONNECTIONS_MAX = 256 };
#define REQUEST_TIME_NS (10 * NS_PER_S)

struct admin {
    struct admin_options options;
    char *token, *replica, *prefix; /* copies: a reload may free the configuration's */
    struct loop *loop;
    struct listener *listener;
    struct inbox inbox;
    struct message stop;
    struct orders { /* what another thread wants of it */
        struct message message;
        pthread_mutex_t lock;
        bool posted, leave;
        char *token; /* NULL: it stays */
    } orders;
    struct metrics *metrics;
    struct fleet *fleet; /* with Redis */
    pthread_t thread;
    bool ended;
};

static void session_free(struct session *s) {
    live_stream_free(s->stream);
    usage_reading_free(s->reading);
    buf_clear(&s->in);
    mem_free(s);
}

void session_end(struct session *s, bool linger) {
    struct conn *c = s->conn;
    session_free(s);
    if (linger)
        conn_close_lingering(c);
    else
        conn_close(c);
}

void session_head(const struct session *s, struct buf *out, unsigned status, struct slice type) {
    write_status_line(out, status);
    write_date(out, clock_wall_ns(s->conn->loop->now_ns) / (int64_t)NS_PER_S);
    write_field(out, SLICE("content-type"), type);
    buf_append_text(out, "cache-control: no-store\r\nx-content-type-options: nosniff\r\n");
    if (status == 401) write_field(out, SLICE("www-authenticate"), SLICE("Bearer")); /* RFC 9110 15.5.2 */
    if (status == 405) write_field(out, SLICE("allow"), SLICE("GET, HEAD"));         /* RFC 9110 15.5.6 */
}

void session_reply(struct session *s, unsigned status, struct slice type, struct slice body, bool keep) {
    struct buf out = {0};
    session_head(s, &out, status, type);
    buf_append_text(&out, "content-length: ");
    buf_append_u64(&out, body.n);
    buf_append_text(&out, keep ? "\r\n\r\n" : "\r\nconnection: close\r\n\r\n");
    if (!s->head_only) buf_append_slice(&out, body);
    conn_send_slice(s->conn, buf_slice(&out));
    buf_clear(&out);
}

void session_reply_error(struct session *s, unsigned status, const char *code, const char *message, bool keep) {
    struct buf body = {0};
    buf_printf(&body, "{\"error\":{\"code\":\"%s\",\"message\":\"%s\",\"field\":null}}", code, message);
    session_reply(s, status, SLICE("application/json"), buf_slice(&body), keep);
    buf_clear(&body);
}

/* The `q` among a media range's parameters, in thousandths; 1000 without one that can be read. */
static unsigned quality_of(struct slice parameters) {
    struct slice one;
    while (slice_cut(&parameters, ';', &one)) {
        one = slice_trim(one);
        if (one.n < 3 || one.n > 7 || !slice_equal_nocase((struct slice){one.p, 2}, SLICE("q="))) continue;
        unsigned thousandths = 0, unit = 1000;
        for (size_t i = 2; i < one.n; i++) {
            if (one.p[i] == '.' && i == 3) continue;
            if (one.p[i] < '0' || one.p[i] > '9') return 1000;
            thousandths += (unsigned)(one.p[i] - '0') * unit;
            unit /= 10;
        }
        return thousandths;
    }
    return 1000;
}

/* OpenMetrics for who asks for it, and for nothing else rather: Prometheus does. */
static enum metrics_format metrics_format_of(struct slice accept) {
    struct slice item, type;
    unsigned open = 0, text = 0;
    while (slice_cut(&accept, ',', &item)) {
        struct slice rest = item;
        if (!slice_cut(&rest, ';', &type)) continue;
        unsigned quality = quality_of(rest);
        if (slice_equal_nocase(slice_trim(type), SLICE("application/openmetrics-text")) && quality > open)
            open = quality;
        if (slice_equal_nocase(slice_trim(type), SLICE("text/plain")) && quality > text) text = quality;
    }
    return open > 0 && open >= text ? METRICS_OPENMETRICS : METRICS_TEXT;
}

static void metrics_get(struct session *s, const struct http_head *h, bool keep) {
    struct buf body = {0};
    enum metrics_format format = metrics_format_of(head_find(h, SLICE("accept")));
    metrics_write(s->admin->metrics, &body, format);
    session_reply(s, 200, metrics_content_type(format), buf_slice(&body), keep);
    buf_clear(&body);
}

static void healthz_get(struct session *s, const struct http_head *h, bool keep) {
    (void)h;
    session_reply(s, 200, SLICE("application/json"), SLICE("{\"status\":\"ok\"}"), keep);
}

static void readyz_get(struct session *s, const struct http_head *h, bool keep) {
    (void)h;
    bool ready = s->admin->options.ready(s->admin->options.context);
    struct slice body = ready ? SLICE("{\"status\":\"ready\"}") : SLICE("{\"status\":\"draining\"}");
    session_reply(s, ready ? 200 : 503, SLICE("application/json"), body, keep);
}

static const struct {
    struct slice path;
    bool open; /* without a token: what a load balancer asks */
    void (*get)(struct session *s, const struct http_head *h, bool keep);
} routes[] = {{SLICE_INIT("/metrics"), false, metrics_get},
              {SLICE_INIT("/healthz"), true, healthz_get},
              {SLICE_INIT("/readyz"), true, readyz_get},
              {SLICE_INIT("/api/live"), false, live_get},
              {SLICE_INIT("/api/usage"), false, usage_get}};

/* 127.0.0.0/8, written out: 127.example.org is a name that may lead anywhere, also here. */
static bool host_is_loopback(struct slice host) {
    char text[INET_ADDRSTRLEN];
    struct in_addr address;
    if (host.n >= sizeof text) return false;
    memcpy(text, host.p, host.n);
    text[host.n] = '\0';
    return inet_pton(AF_INET, text, &address) == 1 && ntohl(address.s_addr) >> 24 == 127;
}

static bool host_is_ours(const struct admin *a, const struct http_head *h) {
    if (!a->options.loopback) return true;
    struct slice host = head_value(h, FIELD_HOST);
    const char *end = host.n > 0 && host.p[0] == '[' ? memchr(host.p, ']', host.n) : NULL;
    size_t skipped = end != NULL ? (size_t)(end - host.p) : 0;
    const char *colon = host.n > 0 ? memchr(host.p + skipped, ':', host.n - skipped) : NULL;
    if (colon != NULL) host.n = (size_t)(colon - host.p);
    if (host.n == 0) return h->http_1_0;
    return slice_equal_nocase(host, SLICE("localhost")) || slice_equal(host, SLICE("[::1]")) || host_is_loopback(host);
}

static bool token_is_good(const struct admin *a, const struct http_head *h) {
    if (a->options.token.n == 0) return true;
    struct slice value = head_value(h, FIELD_AUTHORIZATION), expected = a->options.token;
    if (value.n < 7 || !slice_equal_nocase((struct slice){value.p, 7}, SLICE("Bearer "))) return false;
    return secret_equal(slice_trim((struct slice){value.p + 7, value.n - 7}), expected);
}

/* False: the connection ends after this answer. One who asks without reading is not answered for ever. */
static bool serve(struct session *s, const struct http_head *h) {
    bool keep = h->keep_alive && h->framing == FRAMING_NONE && conn_queued_bytes(s->conn) < CONN_HIGH_BYTES &&
                s->admin->listener != NULL;
    s->head_only = h->method == HTTP_HEAD;
    if (!host_is_ours(s->admin, h)) {
        session_reply_error(s, 421, "not_found", "unknown Host", keep);
        return keep;
    }
    if (head_find(h, SLICE("origin")).n > 0) { /* no page of weir's own asks across origins */
        session_reply_error(s, 403, "unauthorized", "foreign Origin", keep);
        return keep;
    }
    bool allowed = token_is_good(s->admin, h);
    for (size_t i = 0; i < sizeof routes / sizeof routes[0]; i++) {
        if (!slice_equal(routes[i].path, h->path)) continue;
        if (!routes[i].open && !allowed) break;
        if (h->method == HTTP_GET || s->head_only)
            routes[i].get(s, h, keep);
        else
            session_reply_error(s, 405, "bad_query", "only GET and HEAD", keep);
        return keep;
    }
    if (allowed)
        session_reply_error(s, 404, "not_found", "no such page", keep);
    else
        session_reply_error(s, 401, "unauthorized", "a token is required", keep);
    return keep;
}

static bool is_waiting(const struct session *s) {
    return s->stream != NULL || s->reading != NULL;
}

static void malformed(struct session *s, unsigned status) {
    s->head_only = false; /* which method it meant nobody knows */
    session_reply_error(s, status, "bad_query", "malformed request", false);
}

static size_t session_on_bytes(struct conn *c, const char *p, size_t n) {
    struct session *s = c->owner;
    static const struct head_limits limits = {4096, REQUEST_MAX, 100};
    struct field fields[HEAD_FIELDS_MAX];
    struct http_head head;
    if (is_waiting(s)) return n; /* it is only told */
    buf_append(&s->in, p, n);
    for (size_t length; (length = head_end(s->in.data + s->in.start, buf_length(&s->in), &s->scanned)) > 0;) {
        s->scanned = 0;
        enum failure f = head_parse_request(&head, (struct slice){s->in.data + s->in.start, length}, fields, &limits);
        if (f != FAILURE_NONE) malformed(s, failure_row(f)->status);
        if (f != FAILURE_NONE || !serve(s, &head)) {
            session_end(s, true);
            return n;
        }
        if (s->reading != NULL) conn_deadline_set(c, c->loop->now_ns + REQUEST_TIME_NS);
        if (is_waiting(s)) {
            buf_clear(&s->in);
            return n;
        }
        buf_consume(&s->in, length);
        if (buf_length(&s->in) == 0) break;
    }
    struct slice left = buf_slice(&s->in);
    if (left.n > 0 && head_check_partial(left.p, left.n, &limits) != FAILURE_NONE) {
        malformed(s, 400);
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
    struct session *s = c->owner;
    if (s->stream != NULL) {
        live_stream_tick(s);
        return;
    }
    if (s->reading != NULL) session_reply_error(s, 429, "busy", "Redis takes too long: ask for less", false);
    session_end(s, s->reading != NULL);
}

static void session_on_close(struct conn *c, enum close_reason why) {
    struct session *s = c->owner;
    (void)why;
    session_free(s);
}

static const struct conn_ops session_ops = {.on_bytes = session_on_bytes,
                                            .on_eof = session_on_eof,
                                            .on_deadline = session_on_deadline,
                                            .on_close = session_on_close};

/* The one that has said nothing for longest, the newest one aside; NULL: all are being told something. */
static struct session *idlest(const struct admin *a, const struct conn *newest) {
    struct conn *found = NULL;
    for (struct conn *c = a->loop->conns; c != NULL; c = c->next) {
        if (c->ops != &session_ops || c == newest || is_waiting(c->owner) || conn_queued_bytes(c) > 0) continue;
        if (found == NULL || c->deadline.due_ns < found->deadline.due_ns) found = c;
    }
    return found != NULL ? found->owner : NULL;
}

/* Who asks now goes before those that keep a connection for later. */
static void room_make(struct admin *a, struct session *newest) {
    struct session *idle = idlest(a, newest->conn);
    session_end(idle != NULL ? idle : newest, false);
}

static void session_begin(void *context, int fd, const struct sockaddr *peer, uint64_t accepted_ns) {
    struct admin *a = context;
    (void)peer;
    struct session *s = mem_zalloc(sizeof *s);
    s->admin = a;
    s->options = &a->options;
    s->conn = conn_accept(a->loop, fd, NULL, &session_ops, s);
    conn_deadline_set(s->conn, accepted_ns + REQUEST_TIME_NS);
    if (loop_conn_count(a->loop) > CONNECTIONS_MAX) room_make(a, s);
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

static void listening_end(struct admin *a) {
    if (a->listener == NULL) return;
    listener_free(a->listener);
    a->listener = NULL;
    close(a->options.listen_fd);
}

static void orders_run(struct message *m, void *context) {
    struct admin *a = context;
    struct orders *o = &a->orders;
    (void)m;
    pthread_mutex_lock(&o->lock);
    char *token = o->token;
    bool leave = o->leave;
    o->token = NULL;
    o->posted = false;
    pthread_mutex_unlock(&o->lock);
    if (leave) listening_end(a);
    if (token == NULL) return;
    mem_free(a->token);
    a->token = token;
    a->options.token = slice_of(token);
}

/* Under the lock; unlocks it. */
static void orders_post(struct admin *a) {
    if (!a->orders.posted) a->orders.posted = inbox_post(&a->inbox, &a->orders.message);
    pthread_mutex_unlock(&a->orders.lock);
}

void admin_token_set(struct admin *a, struct slice token) {
    pthread_mutex_lock(&a->orders.lock);
    mem_free(a->orders.token);
    a->orders.token = mem_strndup(token.p, token.n);
    orders_post(a);
}

void admin_leave(struct admin *a) {
    pthread_mutex_lock(&a->orders.lock);
    a->orders.leave = true;
    orders_post(a);
}

struct admin *admin_start(const struct admin_options *o) {
    struct admin *a = mem_zalloc(sizeof *a);
    a->options = *o;
    a->token = mem_strndup(o->token.p, o->token.n);
    a->options.token = (struct slice){a->token, o->token.n};
    a->replica = mem_strndup(o->replica.p, o->replica.n);
    a->options.replica = (struct slice){a->replica, o->replica.n};
    a->prefix = mem_strndup(o->redis_prefix.p, o->redis_prefix.n);
    a->options.redis_prefix = (struct slice){a->prefix, o->redis_prefix.n};
    a->metrics = metrics_new(&o->metrics);
    a->loop = loop_new();
    inbox_init(&a->inbox, a->loop, 256, a);
    if (o->redis != NULL) a->options.redis_client = redis_client_new(o->redis, a->loop, &a->inbox, o->resolver);
    if (o->redis != NULL) a->fleet = fleet_start(&a->options, a->loop);
    a->stop.run = stop_run;
    a->orders.message.run = orders_run;
    pthread_mutex_init(&a->orders.lock, NULL);
    a->listener = listener_new(a->loop, o->listen_fd, session_begin, a);
    if (pthread_create(&a->thread, NULL, admin_run, a) == 0) return a;
    log_error("the admin port has no thread: nobody answers there");
    a->ended = true;
    return a;
}

void admin_stop(struct admin *a) {
    if (a == NULL || a->ended) return;
    inbox_post(&a->inbox, &a->stop);
    pthread_join(a->thread, NULL);
    a->ended = true;
}

void admin_free(struct admin *a) {
    if (a == NULL) return;
    if (a->options.redis_client != NULL) redis_client_free(a->options.redis_client);
    fleet_free(a->fleet);
    if (a->listener != NULL) listener_free(a->listener);
    inbox_clear(&a->inbox);
    pthread_mutex_destroy(&a->orders.lock);
    mem_free(a->orders.token);
    loop_free(a->loop);
    metrics_free(a->metrics);
    mem_free(a->token);
    mem_free(a->replica);
    mem_free(a->prefix);
    mem_free(a);
}
