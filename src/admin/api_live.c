/* GET /api/live: what happens now, as one answer or as an event each second. The numbers are kept by the recorder
 * (telemetry/live.h); streams are few and bounded, and one that is not read is ended. */
#include <stdlib.h>

#include "base/mem.h"
#include "redis/redis.h"
#include "api_live_query.h"
#include "session.h"

enum { STREAMS_MAX = 32 };

struct live_stream {
    struct live_query asked;
};

static _Thread_local unsigned stream_count; /* of the admin's thread */

static uint64_t dropped_count(const struct metrics_sources *m, bool spans) {
    struct metrics_dropped d;
    uint64_t count = 0;
    for (unsigned i = 0; m->dropped(m->context, i, &d); i++)
        if (slice_equal(d.sink, SLICE("otlp")) == spans) count += d.records;
    return count;
}

static int redis_up(const struct redis *redis) {
    struct redis_stats s;
    if (redis == NULL) return -1;
    redis_stats_read(redis, &s);
    return s.clients > 0 && s.clients_up == s.clients;
}

static void answer_write(struct session *s, const struct live_question *q, struct buf *out) {
    const struct admin_options *o = s->options;
    bool targets = q->by[TRAFFIC_PART_provider] && q->by[TRAFFIC_PART_model];
    const struct live_extra extra = {.replica = o->replica,
                                     .health = targets ? o->health : NULL,
                                     .redis_up = redis_up(o->metrics.redis),
                                     .dropped_records = dropped_count(&o->metrics, false),
                                     .dropped_spans = dropped_count(&o->metrics, true),
                                     .context = o->context};
    struct live_answer a;
    live_ask(o->live, q, &a);
    live_write(out, q, &a, &extra);
    live_answer_clear(&a);
}

static void event_send(struct session *s) {
    struct buf out = {0};
    buf_append_text(&out, "data: ");
    answer_write(s, &s->stream->asked.question, &out);
    buf_append_text(&out, "\n\n");
    conn_send_slice(s->conn, buf_slice(&out));
    buf_clear(&out);
    conn_deadline_set(s->conn, s->conn->loop->now_ns + NS_PER_S);
}

void live_stream_tick(struct session *s) {
    if (conn_queued_bytes(s->conn) >= CONN_HIGH_BYTES)
        session_end(s, false);
    else
        event_send(s);
}

void live_stream_free(struct live_stream *stream) {
    if (stream == NULL) return;
    stream_count--;
    mem_free(stream);
}

static void stream_begin(struct session *s, struct live_stream *live) {
    struct buf head = {0};
    s->stream = live;
    stream_count++;
    session_head(s, &head, 200, SLICE("text/event-stream"));
    buf_append_text(&head, "connection: close\r\n\r\n");
    conn_send_slice(s->conn, buf_slice(&head));
    buf_clear(&head);
    event_send(s);
}

void live_get(struct session *s, const struct http_head *h, bool keep) {
    struct live_stream *live = mem_alloc(sizeof *live);
    struct buf body = {0};
    if (!live_query_read(&live->asked, h->query, &body)) {
        session_reply(s, 400, SLICE("application/json"), buf_slice(&body), keep);
    } else if (!live->asked.stream || s->head_only) {
        answer_write(s, &live->asked.question, &body);
        session_reply(s, 200, SLICE("application/json"), buf_slice(&body), keep);
    } else if (stream_count == STREAMS_MAX) {
        session_reply_error(s, 429, "busy", "too many streams of live numbers", keep);
    } else {
        stream_begin(s, live);
        live = NULL;
    }
    buf_clear(&body);
    mem_free(live);
}
