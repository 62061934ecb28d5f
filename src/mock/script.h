/* mock/script.h: an answer as a plan: all its bytes, cut into pieces that are due at given times. Whatever a knob asks
 * for (pace, framing, cuts, faults) is put into the plan when it is made; playing it is a loop that sends what is due.
 */
#pragma once
#include "request.h"

enum script_end { END_KEEP, END_CLOSE, END_RESET, END_STALL };

struct piece {
    size_t end;      /* the bytes up to here … */
    uint32_t due_ms; /* … are due so long after the request was complete */
};

struct script {
    struct script *next; /* in the cache */
    unsigned refs;
    struct request_facts facts; /* the cache's key */
    struct buf bytes;
    struct piece *pieces;
    size_t piece_count, piece_capacity;
    enum script_end end;
    size_t id_at; /* where 16 digits of the request's number go; 0: nowhere */
    bool apart;   /* each piece is a send of its own */
};
void script_unref(struct script *s);

struct build {
    struct script *script;
    const struct request *request;
    uint32_t due_ms;
    enum { BODY_LENGTH, BODY_CHUNKED, BODY_CLOSE } framing;
    struct buf event; /* the event being written */
    struct buf group; /* events that go out in one write */
    unsigned tokens_seen, group_tokens, events;
    uint64_t body_bytes;
    bool elements, over; /* elements: events are separated as elements of an array; over: a fault ended it */
};

static inline uint64_t knob(const struct build *b, enum mock_knob k) {
    return b->request->facts.knobs.value[k];
}

struct script *script_make(const struct request *r);                       /* never NULL; one reference */
struct script *script_of_json(const struct request *r, struct slice body); /* a plan for a body that is at hand */

/* For the writers of answers. One that is not streamed calls build_answer() once. A stream calls build_stream(), then
 * for each event writes into b->event and calls build_event(), then build_stream_end(). */
void build_answer(struct build *b, unsigned status, const char *content_type, struct slice body);
void build_stream(struct build *b, const char *content_type);
void build_event(struct build *b, bool token);
void build_stream_end(struct build *b);
