/* tests/replay/message.h: an HTTP message as the test reads it: a reading of its own, which owes nothing to the one
 * that is tested. */
#pragma once
#include "base/buf.h"

struct message_view {                /* slices into the bytes it was read from */
    struct slice start_line, fields; /* without their line ends; each field with its CRLF */
    size_t length;                   /* of all of it; 0: the head is not complete */
    bool complete;
    bool until_close; /* an answer without a length */
    struct buf body;  /* decoded; owned */
};

/* `ended`: nothing more will come. `is_answer`: no framing field means until the end, for a request it means no body.
 */
struct message_view message_read(struct slice bytes, bool is_answer, bool ended);
void message_clear(struct message_view *m);
struct slice message_field(const struct message_view *m, const char *name); /* .p NULL when there is none */
unsigned message_status(const struct message_view *m);
