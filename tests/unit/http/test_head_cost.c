/* What a head, a field lookup, a chunk and an event cost, printed. Only that the cost grows with the input and no
 * faster is asserted: absolute times mean nothing on a shared machine or under a sanitizer. */
#include "feed.h"

#include "base/buf.h"
#include "base/clock.h"
#include "http/body.h"
#include "http/sse.h"

static const char request[] = "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway.internal:8080\r\nAccept-Encoding: "
                              "gzip, deflate, br\r\nConnection: keep-alive\r\n"
                              "Accept: application/json\r\nContent-Type: application/json\r\nUser-Agent: OpenAI/Python "
                              "1.109.1\r\nX-Stainless-Lang: python\r\n"
                              "X-Stainless-Package-Version: 1.109.1\r\nX-Stainless-OS: Linux\r\nX-Stainless-Arch: "
                              "x64\r\nAuthorization: Bearer sk-0123456789abcdef\r\n"
                              "x-stainless-read-timeout: 600\r\nContent-Length: 1234\r\n\r\n";

/* ns per round, the best of a few */
#define COST(rounds, body)                                                                                             \
    ({                                                                                                                 \
        double best = 1e18;                                                                                            \
        for (int try = 0; try < 7; try++) {                                                                            \
            uint64_t start = clock_now_ns();                                                                           \
            for (int round = 0; round < (rounds); round++) body;                                                       \
            double ns = (double)(clock_now_ns() - start) / (rounds);                                                   \
            best = ns < best ? ns : best;                                                                              \
        }                                                                                                              \
        best;                                                                                                          \
    })

static void a_request_head_is_timed(void **state) {
    (void)state;
    static struct field fields[HEAD_FIELDS_MAX];
    struct http_head head;
    size_t n = sizeof request - 1;
    double parse = COST(20000, {
        size_t scanned = 0;
        assert_true(head_end(request, n, &scanned) == n);
        assert_true(head_parse_request(&head, (struct slice){request, n}, fields, &feed_limits) == FAILURE_NONE);
    });
    double find = COST(20000, {
        size_t scanned = 0;
        assert_true(head_end(request, n, &scanned) == n);
    });
    print_message("request head of %zu bytes, %u fields: %.0f ns, of which finding its end %.0f\n", n, head.field_count,
                  parse, find);
    volatile unsigned sink = 0;
    double lookup = COST(20000, for (unsigned i = 0; i < head.field_count; i++) sink += field_lookup(fields[i].name));
    print_message("field lookup: %.1f ns\n", lookup / head.field_count);
}

static double byte_by_byte_ns(size_t bytes) {
    char *text = mem_alloc(bytes);
    memset(text, 'v', bytes);
    memcpy(text, "GET / HTTP/1.1\r\nHost: a\r\nX: ", 28);
    double cost = COST(1, {
        size_t scanned = 0;
        for (size_t n = 1; n <= bytes; n++) {
            assert_true(head_end(text, n, &scanned) == 0);
            assert_true(head_check_partial(text, n, &feed_limits) == FAILURE_NONE);
        }
    });
    mem_free(text);
    return cost / (double)bytes;
}

static void a_head_fed_byte_by_byte_stays_linear(void **state) {
    (void)state;
    double small = byte_by_byte_ns(3000), large = byte_by_byte_ns(60000);
    print_message("byte by byte: %.1f ns a byte of 3000, %.1f of 60000\n", small, large);
    assert_true(large < 6 * small + 20); /* quadratic would be twenty times as much */
}

static void a_streamed_event_is_timed(void **state) {
    (void)state;
    static const char event[] =
        "data: {\"id\":\"chatcmpl-1\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"gpt-x-2026\","
        "\"choices\":[{\"index\":0,\"delta\":{\"content\":\"Hi\"},\"logprobs\":null,\"finish_reason\":null}],"
        "\"usage\":null,\"obfuscation\":\"q\"}\n\n";
    struct buf chunk = {0};
    buf_printf(&chunk, "%zx\r\n%s\r\n", sizeof event - 1, event);
    struct body_reader body;
    struct sse_reader sse = {0};
    body_reader_init(&body, FRAMING_CHUNKED, 0);
    double decode = COST(20000, {
        struct slice data;
        enum body_state now;
        size_t used = body_reader_take(&body, chunk.data, chunk.end, &data, &now);
        assert_true(used == chunk.end && data.n == sizeof event - 1);
    });
    double split = COST(20000, {
        enum sse_kind kind = SSE_MORE;
        struct slice text;
        for (size_t at = 0; at < sizeof event - 1;)
            at += sse_take(&sse, event + at, sizeof event - 1 - at, &kind, &text);
        assert_true(kind == SSE_END);
    });
    print_message("event of %zu bytes: chunk %.0f ns, split %.0f ns\n", sizeof event - 1, decode, split);
    buf_clear(&chunk);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_head_is_timed),
        cmocka_unit_test(a_head_fed_byte_by_byte_stays_linear),
        cmocka_unit_test(a_streamed_event_is_timed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
