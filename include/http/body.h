/* http/body.h: takes a message body out of its transfer coding (RFC 9112 6 and 7), strictly: chunk sizes in hex without
 * sign or overflow, CRLF and nothing else, a small budget for chunk extensions, trailers parsed by the same rules as
 * fields and dropped. Resumable at any byte. */
#pragma once
#include "base/slice.h"
#include "http/head.h"

#define CHUNK_BYTES_MAX (UINT64_C(1) << 53)
#define OVERHEAD_BYTES_MAX 16384u /* of extensions and leading zeros, per message; sooner when there is little data */
#define TRAILER_FIELDS_MAX 64u
#define TRAILER_BYTES_MAX 8192u

struct body_reader { /* fixed size, nothing to free; treat as opaque */
    enum framing framing;
    uint64_t left;     /* bytes still to come: of the body, or of the chunk; in trailers: bytes so far */
    uint32_t overhead; /* framing bytes beyond the data, for the budget */
    uint16_t state, trailer_fields;
    uint8_t size_digits;       /* of the current chunk size */
    uint8_t name_row, name_at; /* which framing field a trailer's name could still be, and how much of it matched */
    uint64_t taken;            /* body bytes delivered */
};

enum body_state { BODY_MORE, BODY_DONE, BODY_BAD };

/* content_length counts with FRAMING_LENGTH only. With nothing to come the first take says DONE. */
void body_reader_init(struct body_reader *r, enum framing framing, uint64_t content_length);
/* Takes from the n bytes at p. Returns how many were used; *data is the run of body bytes among them (possibly empty),
 * one run a call: call again with the rest until it uses 0 bytes or *state is not BODY_MORE. *data may come together
 * with any *state. Never goes past the end of the message: what follows belongs to the next one. */
size_t body_reader_take(struct body_reader *r, const char *p, size_t n, struct slice *data, enum body_state *state);
/* The connection ended. DONE when the framing allows that here (FRAMING_CLOSE, or already complete), else BAD:
 * truncated. */
enum body_state body_reader_end(struct body_reader *r);
