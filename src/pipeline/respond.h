/* pipeline/respond.h: answers of weir's own making. */
#pragma once
#include "base/buf.h"
#include "pipeline/exchange.h"

void respond_error(struct exchange *x, enum failure f);  /* nothing was sent yet: a whole error answer in the dialect */
void respond_broken(struct exchange *x, enum failure f); /* the head was sent: the dialect's error event where it has
                                                            one; the connection then ends without the answer's end */
void respond_json(struct exchange *x, unsigned status, struct slice body); /* a whole answer; nothing was sent yet */
void respond_usage(struct exchange *x);                                    /* GET /weir/usage */
enum failure respond_live(struct exchange *x); /* GET /weir/live; BAD_REQUEST: the window asked for is none */
void respond_models(struct exchange *x);       /* GET /v1/models */
/* Fields every answer carries: x-weir-trace-id, provider, model, attempts, server-timing. Written to `out`. */
void respond_fields(struct exchange *x, const struct attempt *a, struct buf *out);
void respond_timing(struct exchange *x, const struct attempt *a,
                    struct buf *out); /* the value of server-timing: phases known with the head */
void respond_timing_end(struct exchange *x, struct buf *out); /* … and those known at the end, for a trailer */
