/* src/mock/server.c: reads requests, plays the plans of their answers. The hard part is order: bytes that come while an
 * answer is under way stay with the connection until it is over, and whoever closes must not touch the client again. */
#include "server.h"

#include <assert.h>

#include "base/clock.h"
#include "base/mem.h"
#include "http/body.h"
#include "http/write.h"

enum { SEND_BYTES_MAX = 128 * 1024, HEAD_BYTES_MAX = 256 * 1024 };
enum client_state { READING_HEAD, READING_BODY, ANSWERING };

struct mock_client {
    struct mock_server *server;
    struct conn *conn;
    struct mock_client *next, **link;
    enum client_state state;
    struct buf head; /* a head that came in parts */
    size_t head_scanned;
    struct body_reader reader;
    struct request request;
    bool body_whole, keep_alive, held; /* held: bytes were left with the connection */
    struct script *script;
    size_t piece, sent; /* the next piece to send; bytes of the plan sent */
    uint64_t begun_ns, number;
    bool blocked; /* the peer does not take what was sent */
};

static const struct head_limits limits = {
    .uri_bytes = 65536, .header_bytes = HEAD_BYTES_MAX, .fields = HEAD_FIELDS_MAX};

static void client_free(struct mock_client *c) {
    c->conn->owner = NULL;
    if (c->script) c->server->abandoned++;
    if (c->script) script_unref(c->script);
    request_clear(&c->request);
    buf_clear(&c->head);
    *c->link = c->next;
    if (c->next) c->next->link = c->link;
    mem_free(c);
}

static void client_close(struct mock_client *c) {
    conn_close(c->conn);
    client_free(c);
}

static void client_next_request(struct mock_client *c) {
    c->state = READING_HEAD;
    conn_deadline_set(c->conn, TIMER_NEVER);
    if (!c->held) return;
    c->held = false;
    conn_read_resume(c->conn);
}

/* The plan has been played to its end; may free the client. */
static void answer_over(struct mock_client *c) {
    struct script *s = c->script;
    enum script_end end = s->end;
    if (end == END_KEEP && (!c->keep_alive || !c->body_whole)) end = END_CLOSE;
    if (end == END_STALL) return;
    c->server->answered++;
    c->script = NULL;
    script_unref(s);
    if (end == END_KEEP) {
        request_clear(&c->request);
        client_next_request(c);
        return;
    }
    if (end == END_RESET)
        conn_abort(c->conn);
    else
        conn_close_lingering(c->conn);
    client_free(c);
}

static enum send_result send_range(struct mock_client *c, size_t end) {
    const struct script *s = c->script;
    const char *p = s->bytes.data + s->bytes.start;
    char id[16];
    struct iovec v[3];
    int n = 0;
    size_t at = c->sent;
    if (s->id_at && at < s->id_at && end >= s->id_at + sizeof id) {
        uint64_t number = __builtin_bswap64(c->number);
        hex_encode((const uint8_t *)&number, sizeof number, id);
        v[n++] = (struct iovec){(char *)p + at, s->id_at - at};
        v[n++] = (struct iovec){id, sizeof id};
        at = s->id_at + sizeof id;
    }
    v[n++] = (struct iovec){(char *)p + at, end - at};
    c->sent = end;
    return conn_send(c->conn, v, n);
}

/* Sends all that is due, as few sends as the plan allows; then waits for the next piece, the peer, or is over. */
static void answer_play(struct mock_client *c) {
    const struct script *s = c->script;
    uint64_t now = loop_stamp(c->server->loop);
    while (c->piece < s->piece_count && !c->blocked) {
        uint64_t due = c->begun_ns + s->pieces[c->piece].due_ms * NS_PER_MS;
        if (due > now) {
            conn_deadline_set(c->conn, due);
            return;
        }
        size_t last = c->piece;
        while (!s->apart && last + 1 < s->piece_count && c->begun_ns + s->pieces[last + 1].due_ms * NS_PER_MS <= now &&
               s->pieces[last + 1].end - c->sent <= SEND_BYTES_MAX)
            last++;
        c->piece = last + 1;
        enum send_result r = send_range(c, s->pieces[last].end);
        if (r == SEND_FAILED) return; /* on_close comes */
        c->blocked = r == SEND_OVER;
    }
    if (c->piece == s->piece_count && !c->blocked) answer_over(c);
}

static struct script *stats_answer(struct mock_client *c) {
    const struct mock_server *s = c->server;
    struct buf text = {0};
    buf_printf(&text, "{\"requests\":%llu,\"answered\":%llu,\"abandoned\":%llu,\"connections\":%llu,\"open\":%zu}",
               (unsigned long long)s->requests, (unsigned long long)s->answered, (unsigned long long)s->abandoned,
               (unsigned long long)s->connections, loop_conn_count(s->loop));
    struct script *script = script_of_json(&c->request, buf_slice(&text));
    buf_clear(&text);
    return script;
}

static void answer_begin(struct mock_client *c) {
    const struct request *r = &c->request;
    c->state = ANSWERING;
    c->script = r->facts.operation == OPERATION_STATS && !r->refused_status ? stats_answer(c)
                                                                            : cache_answer(&c->server->cache, r);
    if (r->facts.operation != OPERATION_STATS) c->server->requests++;
    c->number = c->server->requests;
    c->piece = c->sent = 0;
    c->blocked = false;
    c->begun_ns = loop_stamp(c->server->loop);
    answer_play(c);
}

/* A head has come; may free the client. */
static void take_head(struct mock_client *c, struct slice raw) {
    struct http_head head;
    struct field fields[HEAD_FIELDS_MAX];
    if (head_parse_request(&head, raw, fields, &limits) != FAILURE_NONE) {
        conn_send_slice(c->conn, SLICE("HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"));
        conn_close_lingering(c->conn);
        client_free(c);
        return;
    }
    request_begin(&c->request, &head, c->server->knobs, c->server->key);
    const uint64_t *knobs = c->request.facts.knobs.value;
    c->keep_alive = head.keep_alive;
    c->body_whole = head.framing == FRAMING_NONE || (head.framing == FRAMING_LENGTH && head.content_length == 0);
    body_reader_init(&c->reader, head.framing, head.content_length);
    if (head.expect_continue && !knobs[MOCK_EARLY]) conn_send_slice(c->conn, SLICE("HTTP/1.1 100 Continue\r\n\r\n"));
    if (c->body_whole) request_body_end(&c->request);
    if (c->body_whole || knobs[MOCK_EARLY]) {
        answer_begin(c);
        return;
    }
    c->state = READING_BODY;
    if (knobs[MOCK_STALL_READ]) conn_read_pause(c->conn);
}

/* Takes bytes of a head; returns how many. May free the client: *gone. */
static size_t feed_head(struct mock_client *c, const char *p, size_t n) {
    size_t before = buf_length(&c->head), scanned = 0, length;
    if (before == 0 && (length = head_end(p, n, &scanned)) > 0) {
        take_head(c, (struct slice){p, length});
        return length;
    }
    buf_append(&c->head, p, n);
    length = head_end(c->head.data + c->head.start, buf_length(&c->head), &c->head_scanned);
    if (length == 0 && buf_length(&c->head) <= HEAD_BYTES_MAX) return n;
    struct buf whole = c->head;
    c->head = (struct buf){0};
    c->head_scanned = 0;
    take_head(c, (struct slice){whole.data + whole.start, length ? length : buf_length(&whole)});
    buf_clear(&whole);
    return length ? length - before : n;
}

static size_t feed_body(struct mock_client *c, const char *p, size_t n) {
    struct slice data;
    enum body_state state;
    size_t used = body_reader_take(&c->reader, p, n, &data, &state);
    if (data.n) request_body(&c->request, data);
    if (state == BODY_BAD) {
        client_close(c);
        return n;
    }
    if (state == BODY_DONE) {
        c->body_whole = true;
        request_body_end(&c->request);
        answer_begin(c);
    }
    return used;
}

static size_t on_bytes(struct conn *conn, const char *p, size_t n) {
    size_t used = 0;
    while (used < n) {
        struct mock_client *c = conn->owner;
        if (!c) return n; /* it was closed by what came before */
        if (c->state == ANSWERING || !conn->reading) {
            c->held = true;
            return used;
        }
        used += c->state == READING_HEAD ? feed_head(c, p + used, n - used) : feed_body(c, p + used, n - used);
    }
    return used;
}

static void on_drained(struct conn *conn) {
    struct mock_client *c = conn->owner;
    if (!c->blocked) return;
    c->blocked = false;
    answer_play(c);
}

static void on_deadline(struct conn *conn) {
    struct mock_client *c = conn->owner;
    if (c->state == ANSWERING && c->script) answer_play(c);
}

static void on_leaving(struct conn *conn) {
    client_close(conn->owner);
}
static void on_close(struct conn *conn, enum close_reason why) {
    (void)why;
    client_free(conn->owner);
}
static void on_ready(struct conn *conn) {
    assert(conn->tls);
}

static const struct conn_ops client_ops = {.on_ready = on_ready,
                                           .on_bytes = on_bytes,
                                           .on_drained = on_drained,
                                           .on_eof = on_leaving,
                                           .on_hangup = on_leaving,
                                           .on_deadline = on_deadline,
                                           .on_close = on_close};

void server_accept(struct mock_server *s, int fd) {
    struct mock_client *c = mem_zalloc(sizeof *c);
    c->server = s;
    c->next = s->clients;
    c->link = &s->clients;
    if (c->next) c->next->link = &c->next;
    s->clients = c;
    s->connections++;
    c->conn = conn_accept(s->loop, fd, s->tls, &client_ops, c);
}

void server_close(struct mock_server *s) {
    while (s->clients) client_close(s->clients);
    cache_clear(&s->cache);
}
