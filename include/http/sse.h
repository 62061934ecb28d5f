/* http/sse.h: splits a server-sent event stream (WHATWG HTML 9.2) as it passes, without copying or buffering: the
 * caller is told which bytes of what it holds are payload of the current event, and where events end. Lines may end in
 * LF, CRLF or CR, split anywhere; comments and unknown fields are told apart; a BOM is skipped. */
#pragma once
#include "base/slice.h"

enum sse_kind {
    SSE_MORE, /* bytes were used; nothing to report */
    SSE_DATA, /* *text is a piece of the event's data (pieces of several `data:` lines come with a "\n" piece between)
               */
    SSE_EVENT_NAME,  /* *text is a piece of the event's `event:` value; an empty piece begins it, or begins it anew */
    SSE_ERROR_FIELD, /* *text is a piece of an `error:` field (old llama.cpp servers) */
    SSE_COMMENT,     /* a comment line began */
    SSE_END, /* the event is over: the used bytes end with its empty line. When that is a CR and the last byte at
              * hand, an LF that belongs to it may still follow (used, and not reported). Empty lines where no
              * field came before (after comments) end nothing. */
};

struct sse_reader { /* fixed size; zero-initialise */
    uint8_t state, field, name_length, flags;
    char name[8];
};

/* Takes some of the n bytes at p; returns how many (at least 1 when n > 0, all with SSE_MORE) and sets *kind and *text.
 */
size_t sse_take(struct sse_reader *r, const char *p, size_t n, enum sse_kind *kind, struct slice *text);
bool sse_inside_event(
    const struct sse_reader *r); /* bytes of an unfinished event (field lines, not only comments) came */
/* At the beginning of a line that, if it is a field, is the first of an event, with nothing owed from before: a caller
 * that knows the whole event by heart need not give it to sse_take(). */
bool sse_between_events(const struct sse_reader *r);
