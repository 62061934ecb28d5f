/* The event stream splitter: known streams, and random ones against a slow model, whole, byte by byte and in pieces. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "sse_model.h"

static void expect_split(struct slice bytes, struct slice expected) {
    static const size_t steps[] = {0, 1, 2, 3, 5, 11, 64};
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        struct buf log = {0};
        bool kept = sse_split(bytes, steps[i], (uint32_t)(bytes.n + i), &log);
        if (!kept || !slice_equal(sse_text(&log), expected))
            fail_msg("cut by %zu (promises %s):\n%.*s\ngave\n%.*s\nexpected\n%.*s", steps[i], kept ? "kept" : "broken",
                     (int)bytes.n, bytes.p, (int)buf_length(&log), log.data, (int)expected.n, expected.p);
        buf_clear(&log);
    }
}

#define NOTHING "closed name=0: data=0: error=0:|"

static void known_streams_are_split_as_the_format_says(void **state) {
    (void)state;
    static const struct {
        const char *bytes, *expected;
    } rows[] = {
        {"data: a\n\n", "event name=0: data=1:a error=0:|" NOTHING},
        {"data:a\r\n\r\n", "event name=0: data=1:a error=0:|" NOTHING},
        {"data: a\r\r", "event name=0: data=1:a error=0:|" NOTHING},
        {"data: a\r\n\rdata: b\n\r\n", "event name=0: data=1:a error=0:|event name=0: data=1:b error=0:|" NOTHING},
        {"data:  a \n\n", "event name=0: data=3: a  error=0:|" NOTHING},
        {"data: a\ndata:b\ndata\n\n", "event name=0: data=4:a\nb\n error=0:|" NOTHING},
        {"data\n\n", "event name=0: data=0: error=0:|" NOTHING},
        {"data:\ndata:\n\n", "event name=0: data=1:\n error=0:|" NOTHING},
        {"event: ping\ndata: {}\n\n", "event name=4:ping data=2:{} error=0:|" NOTHING},
        {"event: a\nevent: b\ndata: x\n\n", "event name=1:b data=1:x error=0:|" NOTHING},
        {"event: a\nevent\ndata: x\n\n", "event name=0: data=1:x error=0:|" NOTHING},
        {"error: {\"code\":500}\n\n", "event name=0: data=0: error=12:{\"code\":500}|" NOTHING},
        {": keep-alive\n\n", "comment|" NOTHING},
        {":\n:\n\ndata: a\n\n", "comment|comment|event name=0: data=1:a error=0:|" NOTHING},
        {"data: a\n: in between\ndata: b\n\n", "comment|event name=0: data=3:a\nb error=0:|" NOTHING},
        {"\n\n\r\n\r", NOTHING},
        {"id: 7\nretry: 3000\n\n", "event name=0: data=0: error=0:|" NOTHING},
        {"database: x\ndat: y\nDATA: z\n data: w\ndata : v\n\n", "event name=0: data=0: error=0:|" NOTHING},
        {"averyveryverylongname: x\ndata: a\n\n", "event name=0: data=1:a error=0:|" NOTHING},
        {"data: a:b: c\n\n", "event name=0: data=6:a:b: c error=0:|" NOTHING},
        {"\xef\xbb\xbf"
         "data: a\n\n",
         "event name=0: data=1:a error=0:|" NOTHING},
        {"\xef\xbb\xbf: c\n\n", "comment|" NOTHING},
        {"\xef\xbb\xbf\n\n", NOTHING},
        {"\xef\xbb\xbf\xef\xbb\xbf"
         "data: a\n\n",
         "event name=0: data=0: error=0:|" NOTHING},
        {"\n\xef\xbb\xbf"
         "data: a\n\n",
         "event name=0: data=0: error=0:|" NOTHING},
        {"\xef\xbb"
         "data: a\n\n",
         "event name=0: data=0: error=0:|" NOTHING},
        {"data: a", "open name=0: data=1:a error=0:|"},
        {"data: a\n", "open name=0: data=1:a error=0:|"},
        {"data: a\n\ndat", "event name=0: data=1:a error=0:|open name=0: data=0: error=0:|"},
        {"data: [DONE]\n\n:bye", "event name=0: data=6:[DONE] error=0:|comment|" NOTHING},
        {"{\"error\":{\"message\":\"no\"}}", "open name=0: data=0: error=0:|"},
        {"", NOTHING},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        expect_split(slice_of(rows[i].bytes), slice_of(rows[i].expected));
}

static void an_event_ends_with_its_empty_line_and_takes_no_more(void **state) {
    (void)state;
    struct sse_reader reader = {0};
    enum sse_kind kind;
    struct slice text;
    static const char stream[] = "data: a\r\n\r\ndata: b\n\n";
    assert_int_equal(sse_take(&reader, stream, 21, &kind, &text), 7);
    assert_int_equal(kind, SSE_DATA);
    assert_ptr_equal(text.p, stream + 6);
    assert_true(sse_inside_event(&reader));
    assert_int_equal(sse_take(&reader, stream + 7, 14, &kind, &text), 4);
    assert_int_equal(kind, SSE_END);
    assert_false(sse_inside_event(&reader));
    assert_int_equal(sse_take(&reader, stream, 0, &kind, &text), 0);
    assert_int_equal(kind, SSE_MORE);
}

static void a_lone_carriage_return_ends_an_event_without_waiting(void **state) {
    (void)state;
    struct sse_reader reader = {0};
    enum sse_kind kind;
    struct slice text;
    assert_int_equal(sse_take(&reader, "data: a\r\r", 9, &kind, &text), 7);
    assert_int_equal(sse_take(&reader, "\r\r", 2, &kind, &text), 2);
    assert_int_equal(kind, SSE_END);
    assert_int_equal(sse_take(&reader, "\ndata: b\n\n", 10, &kind, &text), 8); /* the LF belongs to the last line end */
    assert_int_equal(kind, SSE_DATA);
}

static void a_huge_line_passes_in_pieces(void **state) {
    (void)state;
    struct sse_reader reader = {0};
    enum sse_kind kind;
    struct slice text;
    char block[4096];
    memset(block, 'x', sizeof block);
    size_t total = 0;
    assert_int_equal(sse_take(&reader, "data:", 5, &kind, &text), 5);
    for (int i = 0; i < 4096; i++) {
        assert_int_equal(sse_take(&reader, block, sizeof block, &kind, &text), sizeof block);
        assert_int_equal(kind, SSE_DATA);
        total += text.n;
    }
    assert_int_equal(total, 4096 * sizeof block);
    assert_int_equal(sse_take(&reader, "\n\n", 2, &kind, &text), 2);
    assert_int_equal(kind, SSE_END);
}

static void random_streams_are_split_like_the_model(void **state) {
    (void)state;
    static const char *const parts[] = {
        "data", "data:",    "data: ", "event: ",      "event", "error:",   "id: ",         ":",
        ": c",  " ",        "x",      "{\"a\":1}",    "\n",    "\n",       "\r",           "\r\n",
        "\n\n", "\r\n\r\n", "\r\r",   "\xef\xbb\xbf", "\xef",  "\xc3\xa9", "datadatadata", "\0"};
    uint32_t seed = 7;
    for (int round = 0; round < 4000; round++) {
        struct buf stream = {0}, model = {0};
        if (round % 5 == 0) buf_append_text(&stream, "\xef\xbb\xbf");
        for (unsigned i = (seed >> 20) % 40; i > 0; i--) {
            seed = seed * 1664525u + 1013904223u;
            const char *part = parts[(seed >> 8) % (sizeof parts / sizeof *parts)];
            buf_append(&stream, part, *part ? strlen(part) : 1);
        }
        seed = seed * 1664525u + 1013904223u;
        sse_model(sse_text(&stream), &model);
        expect_split(sse_text(&stream), sse_text(&model));
        buf_clear(&stream);
        buf_clear(&model);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_streams_are_split_as_the_format_says),
        cmocka_unit_test(an_event_ends_with_its_empty_line_and_takes_no_more),
        cmocka_unit_test(a_lone_carriage_return_ends_an_event_without_waiting),
        cmocka_unit_test(a_huge_line_passes_in_pieces),
        cmocka_unit_test(random_streams_are_split_like_the_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
