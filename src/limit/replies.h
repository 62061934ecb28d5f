/* limit/replies.h: what the scripts answer, read and checked: no number of a reply is believed before it is known to be
 * a possible one. */
#pragma once
#include "limit/limit.h"
#include "redis/reply.h"

enum { SYNC_SCOPES_MAX = 8 }; /* of one message */

struct limit_amounts { /* what a holder holds of a scope */
    int64_t running;   /* requests, and slots for them taken ahead */
    int64_t tokens;    /* reserved by running requests */
    int64_t requests_ahead, tokens_ahead;
    int64_t day_pico, month_pico; /* reserved, or taken ahead */
};

struct limit_rows {
    struct limit_told rows[LIMIT_COUNT];
    unsigned count;
};

struct take_reply {
    bool taken, of_model;
    enum limit_kind kind; /* of the refusal */
    uint64_t wait_ns;
    int64_t day, month; /* numbers since 1970 */
    struct limit_rows rows[2];
};

struct sync_reply {
    bool counted; /* it was not a repetition */
    int64_t day, month;
    struct {
        struct limit_amounts held, got; /* got: taken ahead just now; `tokens` stays 0 */
        struct limit_rows rows;
    } scopes[SYNC_SCOPES_MAX];
};

/* False: it is none, or holds impossible numbers; *out is then unspecified. */
bool take_reply_read(const struct redis_reply *r, unsigned scopes, struct take_reply *out);
bool sync_reply_read(const struct redis_reply *r, unsigned scopes, struct sync_reply *out);
bool view_reply_read(const struct redis_reply *r, unsigned scopes, struct limit_rows *rows);
