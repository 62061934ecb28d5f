/* The protobuf writer: lengths of every size, texts of any bytes; and the small reader of collectors' answers. */
#include "unit.h"

#include "attribute.h"
#include "base/mem.h"
#include "reply.h"

static void expect(struct buf *out, const char *wanted, size_t n) {
    assert_int_equal(buf_length(out), n);
    assert_memory_equal(buf_slice(out).p, wanted, n);
    buf_clear(out);
}

static void scalars_are_written_as_the_encoding_says(void **state) {
    (void)state;
    struct buf out = {0};
    proto_uint(&out, 1, 150);
    expect(&out, "\x08\x96\x01", 3);
    proto_uint(&out, 16, UINT64_MAX);
    expect(&out, "\x80\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12);
    proto_fixed64(&out, 7, 0x0102030405060708);
    expect(&out, "\x39\x08\x07\x06\x05\x04\x03\x02\x01", 9);
    proto_fixed32(&out, 16, 0x301);
    expect(&out, "\x85\x01\x01\x03\x00\x00", 6);
    proto_double(&out, 4, 1.0);
    expect(&out, "\x21\x00\x00\x00\x00\x00\x00\xf0\x3f", 9);
    proto_text(&out, 2, SLICE("testing"));
    expect(&out, "\x12\x07testing", 9);
}

/* A message's length stands before it in as few bytes as it needs, whatever it is. */
static void nested_lengths_are_right_at_every_size(void **state) {
    (void)state;
    static const size_t sizes[] = {0, 1, 124, 125, 126, 127, 128, 16380, 16381, 16382, 16383, 16384, 2097151, 2097152};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        struct buf out = {0}, wanted = {0};
        char *filling = mem_zalloc(sizes[i] + 1);
        buf_append_text(&out, "before");
        buf_append_text(&wanted, "before");
        size_t outer = proto_open(&out, 1), inner = proto_open(&out, 2);
        buf_append(&out, filling, sizes[i]);
        proto_close(&out, inner);
        proto_close(&out, outer);
        struct buf content = {0};
        proto_bytes(&content, 2, filling, sizes[i]);
        proto_bytes(&wanted, 1, content.data, content.end);
        assert_int_equal(buf_length(&out), buf_length(&wanted));
        assert_memory_equal(out.data, wanted.data, wanted.end);
        buf_clear(&content);
        buf_clear(&wanted);
        buf_clear(&out);
        mem_free(filling);
    }
}

static void what_is_not_utf8_is_replaced(void **state) {
    (void)state;
    struct buf out = {0};
    proto_text(&out, 1,
               SLICE("a\xff"
                     "b\xe2\x82"));
    expect(&out,
           "\x0a\x0b"
           "a\xef\xbf\xbd"
           "b\xef\xbf\xbd\xef\xbf\xbd",
           13);
    proto_text(&out, 1, SLICE("K\xc3\xb8"));
    expect(&out, "\x0a\x03K\xc3\xb8", 5);
}

static void attributes_without_a_value_are_left_out(void **state) {
    (void)state;
    struct buf out = {0};
    attribute_put(&out, 9, SLICE("k"), value_none());
    attribute_text(&out, 9, "k", SLICE(""));
    assert_int_equal(buf_length(&out), 0);
    attribute_put(&out, 9, SLICE("k"), value_bool(true));
    expect(&out, "\x4a\x07\x0a\x01k\x12\x02\x10\x01", 9);
    attribute_put(&out, 9, SLICE("k"), value_int(5));
    expect(&out, "\x4a\x07\x0a\x01k\x12\x02\x18\x05", 9);
    struct value list = value_text(SLICE("v"));
    list.type = VALUE_LIST;
    attribute_put(&out, 9, SLICE("k"), list);
    expect(&out, "\x4a\x0c\x0a\x01k\x12\x07\x2a\x05\x0a\x03\x0a\x01v", 14);
}

/* ---- answers ---- */

static void a_partial_success_is_read(void **state) {
    (void)state;
    struct reply r;
    assert_true(reply_read(SLICE(""), &r));
    assert_false(r.partial);
    assert_true(reply_read(SLICE("\x0a\x06\x08\xac\x02\x12\x01x"), &r));
    assert_true(r.partial);
    assert_int_equal(r.rejected, 300);
    assert_true(slice_equal(r.message, SLICE("x")));
    /* unknown fields of every kind before and inside */
    assert_true(reply_read(SLICE("\x10\x05\x19zzzzzzzz\x22\x01q\x2d...."
                                 "\x0a\x04\x18\x07\x08\x01"),
                           &r));
    assert_int_equal(r.rejected, 1);
    assert_true(reply_read(SLICE("\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), &r)); /* -1 */
    assert_int_equal(r.rejected, 0);
}

static void nonsense_is_no_answer(void **state) {
    (void)state;
    static const struct slice bad[] = {SLICE_INIT("\x0a"),
                                       SLICE_INIT("\x0a\x05"
                                                  "ab"),
                                       SLICE_INIT("\x0a\x01\x08"),
                                       SLICE_INIT("\x03"),
                                       SLICE_INIT("\x00"),
                                       SLICE_INIT("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"),
                                       SLICE_INIT("{}"),
                                       SLICE_INIT("<html>")};
    struct reply r;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (reply_read(bad[i], &r)) fail_msg("answer %zu is taken", i);
}

static void retry_after_is_seconds_or_a_date(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool good;
        uint64_t wait_s;
    } cases[] = {{"0", true, 0},
                 {" 120 ", true, 120},
                 {"Sun, 06 Nov 1994 08:49:37 GMT", true, 100},
                 {"Sun, 06 Nov 1994 08:47:57 GMT", true, 0},
                 {"Thu, 29 Feb 1996 00:00:00 GMT", true, 825552000 - 784111677},
                 {"Sun, 06 Nov 1994 08:49:37", false, 0},
                 {"Sun, 06 Xyz 1994 08:49:37 GMT", false, 0},
                 {"Sun, 06 Nov 1994 24:49:37 GMT", false, 0},
                 {"Sun,", false, 0},
                 {"-1", false, 0},
                 {"1.5", false, 0},
                 {"", false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        uint64_t wait_s = 0;
        bool good = reply_retry_after(slice_of(cases[i].text), 784111677, &wait_s);
        if (good != cases[i].good || (good && wait_s != cases[i].wait_s))
            fail_msg("%s: %d, %llu", cases[i].text, good, (unsigned long long)wait_s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_are_written_as_the_encoding_says),
        cmocka_unit_test(nested_lengths_are_right_at_every_size),
        cmocka_unit_test(what_is_not_utf8_is_replaced),
        cmocka_unit_test(attributes_without_a_value_are_left_out),
        cmocka_unit_test(a_partial_success_is_read),
        cmocka_unit_test(nonsense_is_no_answer),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
