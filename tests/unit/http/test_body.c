/* Transfer decoding: the same bytes whole, byte by byte and in random pieces give the same data and the same end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/buf.h"
#include "base/mem.h"
#include "http/body.h"

/* Nothing is ever taken off the front of these; an empty one has no memory to point into. */
static struct slice text_of(const struct buf *b) {
    return (struct slice){b->data, b->end};
}

struct outcome {
    enum body_state state;
    size_t used;
    struct buf data;
};

static uint32_t next_random(uint32_t *seed) {
    return *seed = *seed * 1664525u + 1013904223u, *seed >> 8;
}

static struct outcome decode(enum framing framing, uint64_t length, struct slice bytes, size_t step, uint32_t seed) {
    struct body_reader reader;
    struct outcome out = {.state = BODY_MORE};
    body_reader_init(&reader, framing, length);
    size_t used = 0;
    while (out.state == BODY_MORE && out.used < bytes.n) {
        size_t piece = step == 0 ? bytes.n : step == 1 ? 1 : 1 + next_random(&seed) % step;
        if (piece > bytes.n - out.used) piece = bytes.n - out.used;
        char *exact = mem_alloc(piece);
        memcpy(exact, bytes.p + out.used, piece);
        size_t at = 0;
        do {
            struct slice data;
            used = body_reader_take(&reader, exact + at, piece - at, &data, &out.state);
            assert_true(used <= piece - at && data.n <= used);
            assert_true(data.n == 0 || (data.p >= exact + at && data.p + data.n <= exact + at + used));
            buf_append_slice(&out.data, data);
            at += used;
        } while (used > 0 && out.state == BODY_MORE);
        out.used += at;
        mem_free(exact);
        if (at < piece) break;
    }
    assert_int_equal(reader.taken, buf_length(&out.data));
    if (bytes.n == 0) body_reader_take(&reader, NULL, 0, &(struct slice){0}, &out.state);
    return out;
}

static void expect(enum framing framing, uint64_t length, struct slice bytes, enum body_state state, struct slice data,
                   size_t used) {
    static const size_t steps[] = {0, 1, 3, 7, 100};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct outcome out = decode(framing, length, bytes, steps[i], (uint32_t)(bytes.n * 7 + i));
        if (out.state != state || out.used != used || !slice_equal(text_of(&out.data), data))
            fail_msg("cut by %zu: state %d (expected %d), used %zu (expected %zu), %zu bytes of data: %.*s", steps[i],
                     (int)out.state, (int)state, out.used, used, buf_length(&out.data),
                     (int)(bytes.n < 200 ? bytes.n : 200), bytes.p);
        buf_clear(&out.data);
    }
}

static void every_malformed_chunk_ends_the_message(void **state) {
    (void)state;
    static const struct {
        struct slice bytes;
        size_t data;
    } rows[] = {
        {SLICE_INIT("x\r\n"), 0},
        {SLICE_INIT("\r\n"), 0},
        {SLICE_INIT(";a\r\n"), 0},
        {SLICE_INIT("+5\r\n"), 0},
        {SLICE_INIT("-5\r\n"), 0},
        {SLICE_INIT(" 5\r\n"), 0},
        {SLICE_INIT("5 \r\n"), 0},
        {SLICE_INIT("5\t;a\r\n"), 0},
        {SLICE_INIT("0x5\r\n"), 0},
        {SLICE_INIT("5,5\r\n"), 0},
        {SLICE_INIT("5_0\r\n"), 0},
        {SLICE_INIT("5\n"), 0},
        {SLICE_INIT("5\r\r"), 0},
        {SLICE_INIT("5\rhello"), 0},
        {SLICE_INIT("5\r;a\r\n"), 0},
        {SLICE_INIT("5\0\r\n"), 0},
        {SLICE_INIT("5;a\n"), 0},
        {SLICE_INIT("5;a\rb\r\n"), 0},
        {SLICE_INIT("5;a=\"\x01\"\r\n"), 0},
        {SLICE_INIT("5;\0\r\n"), 0},
        {SLICE_INIT("20000000000001\r\n"), 0},
        {SLICE_INIT("ffffffffffffffff\r\n"), 0},
        {SLICE_INIT("10000000000000005\r\n"), 0},
        {SLICE_INIT("000000000000000000000000000000005\r\n"), 0},
        {SLICE_INIT("5\r\nhelloX"), 5},
        {SLICE_INIT("5\r\nhello\n"), 5},
        {SLICE_INIT("5\r\nhello\rX"), 5},
        {SLICE_INIT("5\r\nhello\r\r\n"), 5},
        {SLICE_INIT("5\r\nhello\r\n\r\n"), 5},
        {SLICE_INIT("0\r\n\n"), 0},
        {SLICE_INIT("0\r\n\rX"), 0},
        {SLICE_INIT("0\r\n: a\r\n\r\n"), 0},
        {SLICE_INIT("0\r\n a: b\r\n\r\n"), 0},
        {SLICE_INIT("0\r\na : b\r\n\r\n"), 0},
        {SLICE_INIT("0\r\nab\r\n\r\n"), 0},
        {SLICE_INIT("0\r\na: b\r\n c\r\n\r\n"), 0},
        {SLICE_INIT("0\r\na: b\n\r\n"), 0},
        {SLICE_INIT("0\r\na: b\rc\r\n\r\n"), 0},
        {SLICE_INIT("0\r\na: \0\r\n\r\n"), 0},
        {SLICE_INIT("0\r\nContent-Length: 3\r\n\r\n"), 0},
        {SLICE_INIT("0\r\ncONTENT-lENGTH:3\r\n\r\n"), 0},
        {SLICE_INIT("0\r\nTransfer-Encoding: chunked\r\n\r\n"), 0},
        {SLICE_INIT("0\r\nx: y\r\nHost: a\r\n\r\n"), 0},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct outcome out = decode(FRAMING_CHUNKED, 0, rows[i].bytes, 0, 0);
        size_t used = out.used; /* where it is refused is the same for every cut */
        buf_clear(&out.data);
        expect(FRAMING_CHUNKED, 0, rows[i].bytes, BODY_BAD, (struct slice){"hello", rows[i].data}, used);
    }
}

static void chunks_are_taken_apart_and_the_next_message_is_left_alone(void **state) {
    (void)state;
    static const struct {
        struct slice bytes;
        const char *data;
        size_t rest;
    } rows[] = {
        {SLICE_INIT("0\r\n\r\nGET /"), "", 5},
        {SLICE_INIT("5\r\nhello\r\n0\r\n\r\n0\r\n\r\n"), "hello", 5},
        {SLICE_INIT("5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n\r\n"), "hello world", 2},
        {SLICE_INIT("b\r\nhello world\r\n00\r\n\r\nx"), "hello world", 1},
        {SLICE_INIT("00000000B\r\nhello world\r\n0\r\n\r\n"), "hello world", 0},
        {SLICE_INIT("2;a\r\n\r\n\r\n0;b=c;d=\"e ;f\"\r\n\r\n"), "\r\n", 0},
        {SLICE_INIT(
             "1\r\na\r\n0\r\nX-T: v\r\nAuthorization: secret\r\nContent-Lengthy: 1\r\nhos: t\r\nempty:\r\n\r\nY"),
         "a", 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect(FRAMING_CHUNKED, 0, rows[i].bytes, BODY_DONE, slice_of(rows[i].data), rows[i].bytes.n - rows[i].rest);
}

static void lengths_are_counted_and_nothing_more_is_taken(void **state) {
    (void)state;
    expect(FRAMING_LENGTH, 5, SLICE("helloGET"), BODY_DONE, SLICE("hello"), 5);
    expect(FRAMING_LENGTH, 5, SLICE("hell"), BODY_MORE, SLICE("hell"), 4);
    expect(FRAMING_LENGTH, 0, SLICE("GET"), BODY_DONE, SLICE(""), 0);
    expect(FRAMING_NONE, 7, SLICE("GET"), BODY_DONE, SLICE(""), 0);
    expect(FRAMING_NONE, 0, SLICE(""), BODY_DONE, SLICE(""), 0);
    expect(FRAMING_CLOSE, 0, SLICE("anything\r\n0\r\n\r\n"), BODY_MORE, SLICE("anything\r\n0\r\n\r\n"), 15);
}

static void a_connection_that_ends_early_truncates(void **state) {
    (void)state;
    static const struct {
        enum framing framing;
        uint64_t length;
        const char *bytes;
        enum body_state end;
    } rows[] = {
        {FRAMING_NONE, 0, "", BODY_DONE},
        {FRAMING_LENGTH, 3, "abc", BODY_DONE},
        {FRAMING_LENGTH, 3, "ab", BODY_BAD},
        {FRAMING_LENGTH, 3, "", BODY_BAD},
        {FRAMING_CLOSE, 0, "abc", BODY_DONE},
        {FRAMING_CLOSE, 0, "", BODY_DONE},
        {FRAMING_CHUNKED, 0, "", BODY_BAD},
        {FRAMING_CHUNKED, 0, "3\r\nabc", BODY_BAD},
        {FRAMING_CHUNKED, 0, "3\r\nabc\r\n", BODY_BAD},
        {FRAMING_CHUNKED, 0, "0\r\n", BODY_BAD},
        {FRAMING_CHUNKED, 0, "0\r\n\r", BODY_BAD},
        {FRAMING_CHUNKED, 0, "0\r\n\r\n", BODY_DONE},
        {FRAMING_CHUNKED, 0, "0\r\na", BODY_BAD},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        struct body_reader reader;
        struct slice data, rest = slice_of(rows[i].bytes);
        enum body_state now;
        size_t used;
        body_reader_init(&reader, rows[i].framing, rows[i].length);
        while ((used = body_reader_take(&reader, rest.p, rest.n, &data, &now)) > 0) rest.p += used, rest.n -= used;
        assert_int_equal(body_reader_end(&reader), rows[i].end);
        body_reader_take(&reader, "abc", 3, &data, &now);
        if (rows[i].framing != FRAMING_CLOSE) assert_int_equal(now, rows[i].end); /* an end is final */
    }
}

/* `count` chunks of `size` bytes with extensions of `extension` bytes; counts how many came out before the end or BAD.
 */
static size_t chunks_taken(size_t count, size_t size, size_t extension, enum body_state *last) {
    struct body_reader reader;
    struct buf chunk = {0};
    size_t taken = 0;
    *last = BODY_MORE;
    body_reader_init(&reader, FRAMING_CHUNKED, 0);
    buf_printf(&chunk, "%zx", size);
    for (size_t i = 0; i < extension; i++) buf_append(&chunk, i == 0 ? ";" : "e", 1);
    buf_append_text(&chunk, "\r\n");
    memset(buf_reserve(&chunk, size), 'd', size);
    buf_commit(&chunk, size);
    buf_append_text(&chunk, "\r\n");
    for (; taken < count; taken++) {
        struct slice rest = text_of(&chunk), data;
        while (rest.n > 0 && *last == BODY_MORE) {
            size_t used = body_reader_take(&reader, rest.p, rest.n, &data, last);
            rest.p += used, rest.n -= used;
        }
        if (*last != BODY_MORE) break;
    }
    buf_clear(&chunk);
    return taken;
}

static void extensions_live_on_a_budget(void **state) {
    (void)state;
    enum body_state last;
    assert_int_equal(chunks_taken(100000, 1, 0, &last),
                     100000); /* a token a chunk, no extension: as many as there are */
    assert_int_equal(last, BODY_MORE);
    assert_int_equal(chunks_taken(100, 4096, 100, &last), 100);
    assert_int_equal(last, BODY_MORE);
    assert_int_equal(chunks_taken(1000, 4096, 100, &last), OVERHEAD_BYTES_MAX / 100);
    assert_int_equal(last, BODY_BAD);
    assert_true(chunks_taken(1000, 1, 100, &last) < 8); /* far sooner when the extensions outweigh the data */
    assert_int_equal(last, BODY_BAD);
    assert_int_equal(chunks_taken(1, 1, 2000, &last), 0);
    assert_int_equal(last, BODY_BAD);
}

static void trailers_are_limited_in_number_and_size(void **state) {
    (void)state;
    for (unsigned count = TRAILER_FIELDS_MAX; count <= TRAILER_FIELDS_MAX + 1; count++) {
        struct buf text = {0};
        buf_append_text(&text, "0\r\n");
        for (unsigned i = 0; i < count; i++) buf_append_text(&text, "t: v\r\n");
        buf_append_text(&text, "\r\n");
        bool fits = count <= TRAILER_FIELDS_MAX;
        size_t used = fits ? buf_length(&text) : buf_length(&text) - 2 - 5;
        expect(FRAMING_CHUNKED, 0, text_of(&text), fits ? BODY_DONE : BODY_BAD, SLICE(""), used);
        buf_clear(&text);
    }
    for (size_t value = TRAILER_BYTES_MAX - 6; value <= TRAILER_BYTES_MAX - 5; value++) { /* "t:" … CRLF CRLF */
        struct buf text = {0};
        buf_append_text(&text, "0\r\nt:");
        memset(buf_reserve(&text, value), 'v', value);
        buf_commit(&text, value);
        buf_append_text(&text, "\r\n\r\n");
        bool fits = value + 6 <= TRAILER_BYTES_MAX;
        expect(FRAMING_CHUNKED, 0, text_of(&text), fits ? BODY_DONE : BODY_BAD, SLICE(""), buf_length(&text));
        buf_clear(&text);
    }
}

static void random_messages_come_out_as_they_went_in(void **state) {
    (void)state;
    uint32_t seed = 20261122;
    for (int round = 0; round < 300; round++) {
        struct buf wire = {0}, data = {0};
        for (unsigned chunk = next_random(&seed) % 8; chunk > 0; chunk--) {
            size_t size = 1 + next_random(&seed) % (next_random(&seed) % 4 ? 20 : 3000);
            buf_printf(&wire, next_random(&seed) % 2 ? "%zx%s\r\n" : "%05zX%s\r\n", size,
                       next_random(&seed) % 4 ? "" : ";x=\"y z\"");
            for (size_t i = 0; i < size; i++) {
                char c = "\r\n05;ax"[next_random(&seed) % 7];
                buf_append(&wire, &c, 1);
                buf_append(&data, &c, 1);
            }
            buf_append_text(&wire, "\r\n");
        }
        buf_append_text(&wire, next_random(&seed) % 2 ? "0\r\n\r\n" : "0\r\nt: v\r\n\r\n");
        size_t length = buf_length(&wire);
        buf_append_text(&wire, "0\r\nGET");
        expect(FRAMING_CHUNKED, 0, text_of(&wire), BODY_DONE, text_of(&data), length);
        buf_clear(&wire);
        buf_clear(&data);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_malformed_chunk_ends_the_message),
        cmocka_unit_test(chunks_are_taken_apart_and_the_next_message_is_left_alone),
        cmocka_unit_test(lengths_are_counted_and_nothing_more_is_taken),
        cmocka_unit_test(a_connection_that_ends_early_truncates),
        cmocka_unit_test(extensions_live_on_a_budget),
        cmocka_unit_test(trailers_are_limited_in_number_and_size),
        cmocka_unit_test(random_messages_come_out_as_they_went_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
