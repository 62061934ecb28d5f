/* Sending batches. The hard part is telling apart what a failure means: an answer that may be retried and one that may
 * not, a pooled connection that was closed just then (tried again at once, once), and a collector that says 200 and
 * then nothing sensible (delivered: to send it again would count it twice). Redirects are not followed: where spans go
 * is the configuration's business alone. */
#include "sender.h"

#include <stddef.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "crypto/random.h"
#include "http/body.h"
#include "http/write.h"
#include "messages.h"
#include "proto.h"
#include "reply.h"
#include "semconv.h"

#define BACKOFF_FIRST_NS (1 * NS_PER_S)
#define BACKOFF_MAX_NS (30 * NS_PER_S)
#define RETRY_AFTER_MAX_S 300
#define RETRY_TOTAL_NS (300 * NS_PER_S) /* after that a batch has waited long enough: fresher ones go first */
enum { REPLY_BYTES_MAX = 4096, REPLY_READ_MAX = 65536, INTERIM_MAX = 8 };

struct sender {
    struct sender_shared *shared;
    enum signal signal;
    struct destination to;
    struct queue queue;
    struct sender_counts counts;
    struct timer timer; /* the next batch is due, or the pause is over */
    struct batch *current;
    struct buf body; /* of the current batch, as it is sent */
    unsigned tries;
    uint64_t first_try_ns, pause_until_ns;
    struct resolve ask;
    bool resolving;
    unsigned address_next;
    struct conn *conn;
    bool ready, reused, under_way; /* ready: it can take a request; reused: it has served one before */
    /* the answer */
    struct buf head_part, reply;
    size_t head_scanned;
    uint64_t reply_bytes;
    unsigned status, interim_count;
    bool head_done, keep;
    uint64_t retry_after_ns;
    struct body_reader reader;
    _Atomic uint64_t log_gate;
};

static const struct {
    const char *name, *items;
} signals[SIGNAL_COUNT] = {{"traces", "spans"}, {"metrics", "data points"}, {"logs", "log records"}};

const char *signal_name(enum signal s) {
    return signals[s].name;
}
const char *signal_items(enum signal s) {
    return signals[s].items;
}

static void count_add(_Atomic uint64_t *counter, uint64_t by) {
    atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + by, memory_order_relaxed);
}

/* ---- the batch ---- */

static void complain(struct sender *s, const char *what, const char *why) {
    if (log_once_a_minute(&s->log_gate))
        log_warn("otlp: %s for %.*s: %s%s%s", signals[s->signal].items, (int)s->to.authority.n, s->to.authority.p, what,
                 *why ? ": " : "", why);
}

static void batch_end(struct sender *s) {
    batch_free(s->current);
    s->current = NULL;
    buf_clear(&s->body);
    s->tries = 0;
    s->pause_until_ns = 0;
}

static void batch_drop(struct sender *s, const char *why) {
    count_add(&s->counts.dropped, s->current->count);
    complain(s, "dropped", why);
    batch_end(s);
}

/* The whole request message: one resource, one scope, the items. */
static void body_compose(struct sender *s) {
    struct sender_shared *shared = s->shared;
    struct slice items = buf_slice(&s->current->items);
    struct buf plain = {0};
    buf_reserve(&plain, items.n + buf_length(&shared->resource) + buf_length(&shared->scope) + 256);
    size_t group = proto_open(&plain, REQUEST_RESOURCE_GROUPS);
    proto_bytes(&plain, GROUP_RESOURCE, shared->resource.data, buf_length(&shared->resource));
    size_t scopes = proto_open(&plain, GROUP_SCOPES);
    proto_bytes(&plain, SCOPE_SCOPE, shared->scope.data, buf_length(&shared->scope));
    buf_append_slice(&plain, items);
    proto_text(&plain, SCOPE_SCHEMA_URL, SLICE(SEMCONV_SCHEMA_URL));
    proto_close(&plain, scopes);
    proto_close(&plain, group);
    buf_clear(&s->current->items);
    if (!s->to.gzip) {
        s->body = plain;
        return;
    }
    gzip_append(shared->gzip, &s->body, buf_slice(&plain));
    buf_clear(&plain);
}

/* ---- ends of a try ---- */

static void connection_drop(struct sender *s) {
    if (s->conn != NULL) conn_close(s->conn);
    s->conn = NULL;
    s->ready = s->reused = false;
    buf_clear(&s->head_part);
    buf_clear(&s->reply);
}

static uint64_t backoff_ns(const struct sender *s) {
    uint64_t pause = BACKOFF_FIRST_NS << (s->tries < 6 ? s->tries : 6);
    if (pause > BACKOFF_MAX_NS) pause = BACKOFF_MAX_NS;
    pause = pause / 2 + random_u64() % (pause / 2 + 1);
    return pause > s->retry_after_ns ? pause : s->retry_after_ns;
}

/* `there`: somebody answered. While stopping, who cannot be reached is not waited for. */
static void try_failed(struct sender *s, bool there, const char *why) {
    uint64_t now = s->shared->loop->now_ns;
    s->under_way = false;
    connection_drop(s);
    count_add(&s->counts.failures, 1);
    uint64_t again = now + backoff_ns(s);
    bool hopeless = s->shared->stopping && !there;
    if (hopeless || again >= s->shared->stop_ns || again > s->first_try_ns + RETRY_TOTAL_NS) {
        batch_drop(s, why);
        if (!s->shared->stopping) s->pause_until_ns = now + s->retry_after_ns; /* the next one has to wait as long */
        if (hopeless) count_add(&s->counts.dropped, queue_clear(&s->queue));
    } else {
        s->tries++;
        s->pause_until_ns = again;
        complain(s, "will be tried again", why);
    }
    sender_kick(s);
}

static void delivered(struct sender *s) {
    struct reply reply;
    unsigned count = s->current->count;
    bool read = reply_read(buf_slice(&s->reply), &reply);
    uint64_t rejected = read && reply.partial ? reply.rejected : 0;
    if (rejected > count) rejected = count;
    if (!read) complain(s, "taken, says the collector, but its answer makes no sense", "");
    if (rejected > 0) complain(s, "the collector refused some of them", "");
    count_add(&s->counts.rejected, rejected);
    count_add(&s->counts.sent, count - rejected);
    batch_end(s);
}

static bool may_retry(unsigned status) {
    return status == 429 || status == 502 || status == 503 || status == 504;
}

/* The answer is there, or as much of it as there will be. */
static void answered(struct sender *s, bool keep) {
    char why[32] = "status ";
    unsigned status = s->status;
    for (int i = 0, divisor = 100; i < 3; i++, divisor /= 10)
        why[7 + i] = (char)('0' + status / (unsigned)divisor % 10);
    if (may_retry(status)) {
        try_failed(s, true, why);
        return;
    }
    s->under_way = false;
    if (status >= 200 && status < 300) {
        delivered(s);
    } else {
        count_add(&s->counts.failures, 1);
        batch_drop(s, why);
    }
    if (keep && conn_queued_bytes(s->conn) == 0) {
        s->reused = true;
        conn_deadline_set(s->conn, TIMER_NEVER);
        buf_clear(&s->reply);
    } else {
        connection_drop(s);
    }
    sender_kick(s);
}

/* ---- reading the answer ---- */

static void head_read(struct sender *s, const struct http_head *head) {
    uint64_t wait_s;
    s->status = head->status;
    s->keep = head->keep_alive && head->framing != FRAMING_CLOSE;
    s->head_done = true;
    struct slice after = head_value(head, FIELD_RETRY_AFTER);
    int64_t now_s = clock_wall_ns(s->shared->loop->now_ns) / (int64_t)NS_PER_S;
    if (after.n > 0 && reply_retry_after(after, now_s, &wait_s))
        s->retry_after_ns = (wait_s < RETRY_AFTER_MAX_S ? wait_s : RETRY_AFTER_MAX_S) * NS_PER_S;
    body_reader_init(&s->reader, head->framing, head->content_length);
}

/* Takes the bytes of the head; false: the answer is none. *used says how many were its own. */
static bool head_take(struct sender *s, const char *p, size_t n, size_t *used) {
    static const struct head_limits limits = {.uri_bytes = 8192, .header_bytes = 65536, .fields = 100};
    struct field fields[HEAD_FIELDS_MAX];
    struct http_head head;
    size_t before = buf_length(&s->head_part);
    buf_append(&s->head_part, p, n);
    struct slice seen = buf_slice(&s->head_part);
    size_t length = head_end(seen.p, seen.n, &s->head_scanned);
    *used = n;
    if (length == 0) return head_check_partial_answer(seen.p, seen.n, &limits) == FAILURE_NONE;
    if (head_parse_answer(&head, (struct slice){seen.p, length}, fields, &limits, false) != FAILURE_NONE) return false;
    if (head.status < 200 && (head.status == 101 || ++s->interim_count > INTERIM_MAX)) return false;
    *used = length - before;
    if (head.status >= 200) head_read(s, &head);
    buf_clear(&s->head_part);
    s->head_scanned = 0;
    return true;
}

static enum body_state body_take(struct sender *s, const char *p, size_t n, size_t *used) {
    enum body_state state = BODY_MORE;
    struct slice data;
    size_t step;
    *used = 0;
    do {
        step = body_reader_take(&s->reader, p + *used, n - *used, &data, &state);
        *used += step;
        size_t room = REPLY_BYTES_MAX - buf_length(&s->reply);
        buf_append(&s->reply, data.p, data.n < room ? data.n : room);
        s->reply_bytes += data.n;
    } while (step > 0 && state == BODY_MORE);
    return state;
}

static size_t on_bytes(struct conn *c, const char *p, size_t n) {
    struct sender *s = c->owner;
    size_t at = 0, used;
    if (!s->under_way) { /* nothing was asked */
        connection_drop(s);
        return n;
    }
    while (!s->head_done && at < n) {
        if (!head_take(s, p + at, n - at, &used)) {
            try_failed(s, false, "the answer is not HTTP");
            return n;
        }
        at += used;
    }
    if (!s->head_done) return n;
    enum body_state state = body_take(s, p + at, n - at, &used);
    bool too_much = s->reply_bytes > REPLY_READ_MAX;
    if (state != BODY_MORE || too_much) answered(s, state == BODY_DONE && at + used == n && s->keep && !too_much);
    return n;
}

static void on_end(struct sender *s, const char *why) {
    s->conn = NULL; /* the loop's from here on */
    s->ready = false;
    if (!s->under_way) {
        s->reused = false;
        return;
    }
    bool nothing_came = !s->head_done && buf_length(&s->head_part) == 0;
    if (s->head_done) {
        answered(s, false);
    } else if (s->reused && nothing_came) { /* it had gone stale: once more on a new one, at once */
        s->under_way = s->reused = false;
        sender_kick(s);
    } else {
        try_failed(s, false, why);
    }
}

static void on_eof(struct conn *c) {
    struct sender *s = c->owner;
    conn_close(c);
    on_end(s, "the collector closed the connection");
}

static void send_now(struct sender *s);
static void connect_next(struct sender *s);

static void on_close(struct conn *c, enum close_reason why) {
    struct sender *s = c->owner;
    char text[128];
    conn_error_text(c, text, sizeof text);
    if (why == CLOSE_CONNECT_FAILED && s->address_next < s->ask.answer.count) {
        s->conn = NULL;
        connect_next(s);
        return;
    }
    on_end(s, *text ? text : why == CLOSE_TLS_FAILED ? "TLS failed" : "the connection broke");
}

static void on_deadline(struct conn *c) {
    struct sender *s = c->owner;
    if (s->under_way && s->head_done)
        answered(s, false);
    else
        try_failed(s, false, "no answer in time");
}

static void on_ready(struct conn *c) {
    struct sender *s = c->owner;
    s->ready = true;
    send_now(s);
}

static const struct conn_ops ops = {
    .on_ready = on_ready, .on_bytes = on_bytes, .on_eof = on_eof, .on_deadline = on_deadline, .on_close = on_close};

/* ---- a try ---- */

static void send_now(struct sender *s) {
    struct buf head = {0};
    buf_append_text(&head, "POST ");
    buf_append_slice(&head, s->to.path);
    buf_append_text(&head, " HTTP/1.1\r\n");
    write_field(&head, SLICE("host"), s->to.authority);
    buf_append_text(&head, "user-agent: weir/" WEIR_VERSION "\r\ncontent-type: application/x-protobuf\r\n");
    if (s->to.gzip) buf_append_text(&head, "content-encoding: gzip\r\n");
    buf_reserve(&head, s->to.fields.n + 64);
    buf_append_slice(&head, s->to.fields);
    buf_append_text(&head, "content-length: ");
    buf_append_u64(&head, buf_length(&s->body));
    buf_append_text(&head, "\r\n\r\n");
    struct slice body = buf_slice(&s->body), start = buf_slice(&head);
    const struct iovec pieces[] = {{(void *)(uintptr_t)start.p, start.n}, {(void *)(uintptr_t)body.p, body.n}};
    count_add(&s->counts.requests, 1);
    s->head_done = s->keep = false;
    s->head_scanned = 0;
    s->reply_bytes = 0;
    s->interim_count = s->status = 0;
    conn_send(s->conn, pieces, 2); /* a failure comes as on_close */
    secret_wipe(head.data, head.capacity);
    buf_clear(&head);
}

static void connect_next(struct sender *s) {
    const struct addresses *found = &s->ask.answer;
    while (s->conn == NULL && s->address_next < found->count) {
        unsigned i = s->address_next++;
        s->conn = conn_connect(s->shared->loop, (const struct sockaddr *)&found->list[i], found->lengths[i], s->to.tls,
                               s->to.host, &ops, s);
    }
    if (s->conn == NULL) {
        try_failed(s, false, found->count == 0 ? "its name did not resolve" : "no connection could be opened");
        return;
    }
    conn_deadline_set(s->conn, s->shared->loop->now_ns + s->to.timeout_ns);
}

static void resolved(struct message *m, void *context) {
    (void)context;
    struct resolve *ask = (struct resolve *)((char *)m - offsetof(struct resolve, message));
    struct sender *s = (struct sender *)((char *)ask - offsetof(struct sender, ask));
    s->resolving = false;
    if (s->under_way) connect_next(s);
}

static void try_begin(struct sender *s) {
    s->under_way = true;
    s->retry_after_ns = 0;
    if (s->tries == 0) s->first_try_ns = s->shared->loop->now_ns;
    if (s->conn != NULL) {
        conn_deadline_set(s->conn, s->shared->loop->now_ns + s->to.timeout_ns);
        send_now(s);
        return;
    }
    s->address_next = 0;
    if (s->resolving) return; /* the answer will come */
    s->ask.message.run = resolved;
    s->ask.inbox = s->shared->inbox;
    s->ask.host = s->to.host;
    s->ask.port = s->to.port;
    s->resolving = !resolver_ask(s->shared->resolver, &s->ask);
    if (!s->resolving) connect_next(s);
}

void sender_kick(struct sender *s) {
    uint64_t now = s->shared->loop->now_ns;
    if (s->under_way) return;
    if (s->current == NULL) {
        s->current = queue_take(&s->queue, s->shared->stopping, now);
        if (s->current != NULL) body_compose(s);
    }
    if (s->current != NULL && now >= s->pause_until_ns) {
        try_begin(s);
        return;
    }
    timer_set(&s->shared->loop->wheel, &s->timer, s->current != NULL ? s->pause_until_ns : queue_due_ns(&s->queue));
}

void sender_hurry(struct sender *s) {
    s->pause_until_ns = 0;
    sender_kick(s);
}

static void timer_fire(struct timer *t) {
    sender_kick((struct sender *)((char *)t - offsetof(struct sender, timer)));
}

void sender_add(struct sender *s, struct slice items, unsigned count) {
    if (queue_add(&s->queue, items, count, s->shared->loop->now_ns)) return;
    count_add(&s->counts.dropped, count);
    complain(s, "dropped", "the queue is full");
}

/* ---- life ---- */

struct sender *sender_new(struct sender_shared *shared, enum signal signal, struct destination *d) {
    struct sender *s = mem_zalloc(sizeof *s);
    s->shared = shared;
    s->signal = signal;
    s->to = *d;
    s->timer = (struct timer){.due_ns = TIMER_NEVER, .fire = timer_fire};
    *d = (struct destination){0};
    return s;
}

void sender_free(struct sender *s) {
    if (s == NULL) return;
    unsigned lost = queue_clear(&s->queue) + (s->current != NULL ? s->current->count : 0);
    count_add(&s->counts.dropped, lost);
    if (lost > 0)
        log_warn("otlp: %u %s for %.*s were not delivered in time", lost, signals[s->signal].items,
                 (int)s->to.authority.n, s->to.authority.p);
    timer_cancel(&s->shared->loop->wheel, &s->timer);
    s->under_way = false;
    connection_drop(s);
    batch_end(s);
    destination_clear(&s->to);
    mem_free(s);
}

struct queue *sender_queue(struct sender *s) {
    return &s->queue;
}
enum signal sender_signal(const struct sender *s) {
    return s->signal;
}
const struct destination *sender_destination(const struct sender *s) {
    return &s->to;
}
struct sender_counts *sender_counts_of(struct sender *s) {
    return &s->counts;
}
bool sender_idle(const struct sender *s) {
    return s->current == NULL && s->queue.first == NULL;
}
