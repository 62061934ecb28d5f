/* http/trace_context.h: W3C Trace Context (Level 2) and W3C Baggage as they travel in heads: read by the letter,
 * written anew. What is malformed starts a new trace or is left out; it is never an error of the request. */
#pragma once
#include "base/buf.h"
#include "http/head.h"

enum {
    TRACE_SAMPLED = 1, /* Trace Context 2.2.2.5.1: the caller may have recorded it */
    TRACE_RANDOM = 2,  /* Level 2: the last 7 bytes of the trace id are random */
    TRACEPARENT_BYTES = 55,
    TRACESTATE_BYTES_MAX = 512, /* what must be passed on at least (3.3.1.5), and is at most */
    TRACESTATE_MEMBERS_MAX = 32,
    BAGGAGE_BYTES_MAX = 8192, /* W3C Baggage 3.3.2 */
    BAGGAGE_MEMBERS_MAX = 64,
};

struct trace_parent {
    uint8_t trace_id[16], parent_id[8];
    uint8_t flags; /* TRACE_SAMPLED, TRACE_RANDOM; bits nobody has defined yet are left out */
};

/* Which traces are sampled: those whose last 7 bytes, as a number, are not below the threshold (OpenTelemetry's
 * consistent probability sampling). All zero: every one. */
struct trace_sampler {
    uint64_t threshold; /* of 2^56 */
    bool always;        /* whatever a caller's traceparent says; else its word counts */
};
bool trace_sampler_takes(const struct trace_sampler *s, const uint8_t trace_id[16]);

/* The head's one traceparent. False, and nothing is known: none, more than one, or malformed. */
bool trace_parent_read(const struct http_head *head, struct trace_parent *t);
bool trace_parent_parse(struct slice value, struct trace_parent *t);
void trace_parent_write(char out[TRACEPARENT_BYTES], const struct trace_parent *t); /* version 00 */

/* Appends the tracestate of all the head's fields of that name, in order, at most TRACESTATE_BYTES_MAX of it: members
 * of more than 128 bytes go first, then those at the end (3.3.1.5). Appends nothing when any of it is malformed. To be
 * asked only when the traceparent is good. */
void trace_state_read(const struct http_head *head, struct buf *out);
/* Appends the well-formed members of all the head's baggage fields, in order, as many as fit the limits. */
void baggage_read(const struct http_head *head, struct buf *out);
