/* src/llm/prefix.h: the events of one stream are alike but for the token they carry. What the scanner learns from how
 * they begin is kept once, with the scanner's state behind it; an event that begins with the same bytes goes on from
 * there. Two thirds of an OpenAI chunk are such a beginning. Where the token is a string of text right behind it, what
 * follows the token is kept too: an event that also ends alike is not scanned at all, only its token's length counts.
 */
#pragma once
#include "reading.h"

enum { PREFIX_BYTES_MAX = 320, PREFIX_BYTES_MIN = 32, TAIL_BYTES_MAX = 160 };

struct prefix {            /* zero-initialise */
    uint16_t kept, length; /* kept: bytes of an earlier event; length: of them with a snapshot behind, 0 = none yet */
    uint8_t tail_length;   /* from the token's closing quote to the event's end; 0 = not known */
    uint8_t tails_tried, growths_tried; /* endings that change with each event are not learnt for ever */
    struct json_scan scan;              /* the snapshot */
    struct event event;                 /* … and what had been found up to it */
    struct event tail_event;            /* what a whole event came to, but for the token's bytes */
    char bytes[PREFIX_BYTES_MAX], tail[TAIL_BYTES_MAX];
};

/* `text` is the first piece of an event, `scan` has just begun and tells r. Returns how many bytes of it are done with:
 * known, or scanned while they were learnt. */
size_t prefix_take(struct prefix *p, struct json_scan *scan, struct reading *r, struct slice text);
/* Does `text`, which may go on behind it, begin with an event that is known but for its token? Returns how long it is,
 * with all that it comes to in r->event; 0: it does not. Whether the event ends there is for the caller to see: until
 * one begins anew r->event means nothing. */
size_t prefix_whole(const struct prefix *p, struct reading *r, struct slice text);
