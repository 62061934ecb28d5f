/* Transfer decoding. Lengths are counted down; the chunked coding is a byte machine of our own, because what ends a
 * chunk, an extension or the trailers decides where the next message begins. The hard part is to be strict without
 * being exploitable: extensions and trailers are of no use to anybody here, so they live on a budget. Trailers are
 * dropped; nothing is merged into a head. */
#include "http/body.h"

#include "bytes.h"

enum step {
    SIZE, /* hex digits */
    EXTENSION,
    SIZE_LF,
    DATA,
    DATA_CR,
    DATA_LF,
    TRAILER_START,
    TRAILER_NAME,
    TRAILER_VALUE,
    TRAILER_LF,
    LAST_LF,
    DONE,
    BAD,
};

enum {
    SIZE_DIGITS_PLAIN = 8,
    SIZE_DIGITS_USEFUL = 14,
    SIZE_DIGITS_MAX = 32,
    RATIO_FREE_BYTES = 512,
    RATIO_PER_BYTE = 8
};

/* A trailer by such a name is an attempt to frame the message twice. */
static const struct slice framing_names[] = {SLICE_INIT("content-length"), SLICE_INIT("transfer-encoding"),
                                             SLICE_INIT("host")};
enum { FRAMING_NAMES = sizeof framing_names / sizeof *framing_names };

void body_reader_init(struct body_reader *r, enum framing framing, uint64_t content_length) {
    *r = (struct body_reader){.framing = framing, .state = DATA};
    if (framing == FRAMING_LENGTH) r->left = content_length;
    if (framing == FRAMING_CHUNKED) r->state = SIZE;
    if (framing == FRAMING_NONE || (framing == FRAMING_LENGTH && content_length == 0)) r->state = DONE;
}

/* One more byte that carries nothing: has the sender used up its budget? */
static enum step spend(struct body_reader *r, enum step next) {
    r->overhead++;
    bool too_much = r->overhead > OVERHEAD_BYTES_MAX || r->overhead > RATIO_FREE_BYTES + RATIO_PER_BYTE * r->taken;
    return too_much ? BAD : next;
}

/* Of a hexadecimal digit: letters are those with the seventh bit set, and count on from nine. */
static unsigned hex_value(char c) {
    return ((uint8_t)c & 15u) + 9u * ((uint8_t)c >> 6);
}

static enum step take_size(struct body_reader *r, char c) {
    if (byte_is(c, BYTE_HEX)) {
        r->left = r->left << 4 | hex_value(c);
        if (++r->size_digits > SIZE_DIGITS_MAX || r->left > CHUNK_BYTES_MAX) return BAD;
        return r->size_digits > SIZE_DIGITS_USEFUL ? spend(r, SIZE) : SIZE;
    }
    if (r->size_digits == 0) return BAD;
    return c == '\r' ? SIZE_LF : c == ';' ? spend(r, EXTENSION) : BAD;
}

static enum step take_extension(struct body_reader *r, char c) {
    if (c == '\r') return SIZE_LF;
    return byte_is(c, BYTE_TEXT) ? spend(r, EXTENSION) : BAD;
}

static enum step take_size_lf(struct body_reader *r, char c) {
    r->size_digits = 0;
    if (c != '\n') return BAD;
    return r->left > 0 ? DATA : TRAILER_START;
}

static enum step take_name_start(struct body_reader *r, char c) {
    if (c == '\r') return LAST_LF;
    if (!byte_is(c, BYTE_TOKEN) || ++r->trailer_fields > TRAILER_FIELDS_MAX) return BAD;
    r->name_at = 1;
    for (r->name_row = 0; r->name_row < FRAMING_NAMES; r->name_row++)
        if (framing_names[r->name_row].p[0] == ascii_lower(c)) break;
    return TRAILER_NAME;
}

static enum step take_name(struct body_reader *r, char c) {
    struct slice framing = r->name_row < FRAMING_NAMES ? framing_names[r->name_row] : (struct slice){"", 0};
    if (c == ':') return framing.n > 0 && r->name_at == framing.n ? BAD : TRAILER_VALUE;
    if (r->name_at < framing.n && framing.p[r->name_at] == ascii_lower(c)) {
        r->name_at++;
    } else {
        r->name_row = FRAMING_NAMES;
    }
    return byte_is(c, BYTE_TOKEN) ? TRAILER_NAME : BAD;
}

static enum step take_trailer(struct body_reader *r, char c) {
    if (++r->left > TRAILER_BYTES_MAX) return BAD;
    switch ((enum step)r->state) {
    case TRAILER_START:
        return take_name_start(r, c);
    case TRAILER_NAME:
        return take_name(r, c);
    case TRAILER_VALUE:
        return c == '\r' ? TRAILER_LF : byte_is(c, BYTE_TEXT) ? TRAILER_VALUE : BAD;
    case TRAILER_LF:
        return c == '\n' ? TRAILER_START : BAD;
    default:
        return c == '\n' ? DONE : BAD; /* LAST_LF */
    }
}

static enum step take_framing(struct body_reader *r, char c) {
    switch ((enum step)r->state) {
    case SIZE:
        return take_size(r, c);
    case EXTENSION:
        return take_extension(r, c);
    case SIZE_LF:
        return take_size_lf(r, c);
    case DATA_CR:
        return c == '\r' ? DATA_LF : BAD;
    case DATA_LF:
        return c == '\n' ? SIZE : BAD;
    default:
        return take_trailer(r, c);
    }
}

/* A chunk's plain beginning or end that stands here whole, in one step: the size and its line end, or the line end
 * behind the data. Returns its length; 0: it is for the byte machine to judge. */
static size_t take_plain_framing(struct body_reader *r, const char *p, size_t n) {
    if (r->state == DATA_CR && n >= 2 && p[0] == '\r' && p[1] == '\n') {
        r->state = SIZE;
        return 2;
    }
    if (r->state != SIZE || r->size_digits > 0) return 0;
    size_t digits = 0, most = n < SIZE_DIGITS_PLAIN ? n : SIZE_DIGITS_PLAIN;
    uint64_t size = 0;
    for (; digits < most && byte_is(p[digits], BYTE_HEX); digits++) size = size << 4 | hex_value(p[digits]);
    if (size == 0 || size > CHUNK_BYTES_MAX || n - digits < 2 || p[digits] != '\r' || p[digits + 1] != '\n') return 0;
    r->left = size;
    r->state = DATA;
    return digits + 2;
}

static struct slice take_data(struct body_reader *r, const char *p, size_t n) {
    if (r->framing != FRAMING_CLOSE) {
        if (n > r->left) n = (size_t)r->left;
        r->left -= n;
        if (r->left == 0) r->state = r->framing == FRAMING_CHUNKED ? DATA_CR : DONE;
    }
    r->taken += n;
    return (struct slice){p, n};
}

static enum body_state state_of(const struct body_reader *r) {
    return r->state == DONE ? BODY_DONE : r->state == BAD ? BODY_BAD : BODY_MORE;
}

size_t body_reader_take(struct body_reader *r, const char *p, size_t n, struct slice *data, enum body_state *state) {
    size_t used = 0;
    *data = (struct slice){NULL, 0};
    /* framing after the run is taken along, so that the last data and DONE come in one call */
    while (used < n && r->state < DONE) {
        if (r->state != DATA) {
            size_t plain = take_plain_framing(r, p + used, n - used);
            if (plain == 0) r->state = (uint16_t)take_framing(r, p[used++]);
            used += plain;
        } else if (data->n == 0) {
            *data = take_data(r, p + used, n - used);
            used += data->n;
        } else {
            break;
        }
    }
    *state = state_of(r);
    return used;
}

enum body_state body_reader_end(struct body_reader *r) {
    if (r->framing == FRAMING_CLOSE) return BODY_DONE;
    if (r->state != DONE) r->state = BAD;
    return state_of(r);
}
