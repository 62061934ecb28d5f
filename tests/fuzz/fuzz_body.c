/* Any bytes as a body in any framing. Must hold: data, end and bytes used do not depend on how the input was cut; a
 * message that was taken whole, its data put into one chunk, comes out the same. */
/* fuzz-sources: src/http/body.c src/http/bytes.c src/http/write.c */
/* fuzz-sources: src/base/slice.c src/base/buf.c src/base/json_text.c src/base/mem.c */
#include <assert.h>

#include "base/buf.h"
#include "base/mem.h"
#include "http/body.h"
#include "http/write.h"

/* Nothing is ever taken off the front of these; an empty one has no memory to point into. */
static struct slice text_of(const struct buf *b) {
    return (struct slice){b->data, b->end};
}

struct result {
    struct buf data;
    enum body_state state, end;
    size_t used;
};

static struct result decode(enum framing framing, uint64_t length, struct slice bytes, size_t step) {
    struct result out = {.state = BODY_MORE};
    struct body_reader reader;
    body_reader_init(&reader, framing, length);
    while (out.used < bytes.n && out.state == BODY_MORE) {
        size_t piece = bytes.n - out.used < step ? bytes.n - out.used : step, at = 0, used;
        do {
            struct slice run;
            used = body_reader_take(&reader, bytes.p + out.used + at, piece - at, &run, &out.state);
            assert(used <= piece - at && run.n <= used);
            buf_append_slice(&out.data, run);
            at += used;
        } while (used > 0 && out.state == BODY_MORE);
        assert(at == piece || out.state != BODY_MORE);
        out.used += at;
    }
    assert(reader.taken == buf_length(&out.data));
    assert(reader.overhead <= OVERHEAD_BYTES_MAX + 1);
    out.end = body_reader_end(&reader);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 2) return 0;
    enum framing framing = data[0] % 8 < 3 ? (enum framing)(data[0] % 8) : FRAMING_CHUNKED;
    if (data[0] % 8 == 3) framing = FRAMING_CLOSE;
    struct slice bytes = {(const char *)data + 2, size - 2};
    struct result whole = decode(framing, data[1], bytes, bytes.n),
                  cut = decode(framing, data[1], bytes, 1 + data[1] % 16);
    assert(whole.state == cut.state && whole.end == cut.end && whole.used == cut.used);
    assert(slice_equal(text_of(&whole.data), text_of(&cut.data)));
    if (whole.state == BODY_DONE && framing == FRAMING_CHUNKED) {
        struct buf again = {0};
        char head[CHUNK_HEAD_MAX];
        if (buf_length(&whole.data) > 0) {
            buf_append(&again, head, write_chunk_head(head, buf_length(&whole.data)));
            buf_append_slice(&again, text_of(&whole.data));
            buf_append_text(&again, "\r\n");
        }
        buf_append_text(&again, "0\r\n\r\n");
        struct result second = decode(framing, 0, text_of(&again), buf_length(&again));
        assert(second.state == BODY_DONE && second.used == buf_length(&again));
        assert(slice_equal(text_of(&whole.data), text_of(&second.data)));
        buf_clear(&second.data);
        buf_clear(&again);
    }
    buf_clear(&whole.data);
    buf_clear(&cut.data);
    return 0;
}
