/* src/llm/prefix.h: the events of one stream begin alike, up to the token they carry. What the scanner learns from that
 * beginning is kept once, with the scanner's state behind it; an event that begins with the same bytes goes on from
 * there. Two thirds of an OpenAI chunk are such a beginning. */
#pragma once
#include "reading.h"

enum { PREFIX_BYTES_MAX = 320, PREFIX_BYTES_MIN = 32 };

struct prefix {            /* zero-initialise */
    uint16_t kept, length; /* kept: bytes of an earlier event; length: of them with a snapshot behind, 0 = none yet */
    struct json_scan scan; /* the snapshot */
    struct event event;
    char bytes[PREFIX_BYTES_MAX];
};

/* `text` is the first piece of an event, `scan` has just begun. Returns how many bytes of it are done with: skipped by
 * a snapshot, or scanned while one was made. */
size_t prefix_take(struct prefix *p, struct json_scan *scan, struct event *event, struct slice text);
