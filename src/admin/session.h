/* admin/session.h (private): one connection to the admin port, for those who answer on it. */
#pragma once
#include "admin/server.h"
#include "http/head.h"
#include "net/conn.h"

struct live_stream;
struct usage_reading;
struct session {
    struct admin *admin;
    const struct admin_options *options;
    struct conn *conn;
    struct buf in;
    size_t scanned;
    bool head_only;                /* HEAD: the answer's body is left out */
    struct live_stream *stream;    /* while it is sent live numbers; then it is asked nothing more */
    struct usage_reading *reading; /* while Redis is asked for it; the same */
};

/* The status line and the fields that every answer has; framing and the empty line are the caller's. */
void session_head(const struct session *s, struct buf *out, unsigned status, struct slice type);
void session_reply(struct session *s, unsigned status, struct slice type, struct slice body, bool keep);
void session_reply_error(struct session *s, unsigned status, const char *code, const char *message, bool keep);
void session_end(struct session *s, bool linger); /* closes and frees it */

/* GET /api/live (api_live.c). With stream=1 the session becomes a stream: live_stream_tick() each second sends the next
 * event; it ends a client that does not read. */
void live_get(struct session *s, const struct http_head *h, bool keep);
void live_stream_tick(struct session *s);
void live_stream_free(struct live_stream *stream); /* NULL is allowed */
