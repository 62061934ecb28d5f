/* What is written as JSON text is read back by an independent parser as what was meant, whatever bytes were put in, and
 * nothing outside the given memory is read or written. */
#include "unit.h"

#include <inttypes.h>
#include <stdio.h>

#include <jansson.h>

#include "base/json_text.h"
#include "base/mem.h"
#include "base/random.h"

/* What must be read back: the input with U+FFFD for each byte that belongs to no valid sequence (RFC 3629's table). */
static size_t sequence_length(const uint8_t *p, size_t n) {
    static const struct {
        uint8_t first, last, second_low, second_high, length;
    } rows[] = {{0x00, 0x7f, 0, 0, 1},       {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
                {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
                {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (p[0] < rows[i].first || p[0] > rows[i].last) continue;
        if (rows[i].length > n) return 0;
        if (rows[i].length > 1 && (p[1] < rows[i].second_low || p[1] > rows[i].second_high)) return 0;
        for (size_t j = 2; j < rows[i].length; j++)
            if (p[j] < 0x80 || p[j] > 0xbf) return 0;
        return rows[i].length;
    }
    return 0;
}

static void expected_write(struct buf *out, const uint8_t *p, size_t n) {
    for (size_t i = 0, length; i < n; i += length) {
        length = sequence_length(p + i, n - i);
        if (length > 0) {
            buf_append(out, p + i, length);
        } else {
            buf_append(out, "\xef\xbf\xbd", 3);
            length = 1;
        }
    }
}

static void expect_text(struct slice text, struct buf *expected) {
    for (size_t i = 0; i < text.n; i++) assert_false((uint8_t)text.p[i] < 0x20 || text.p[i] == 0x7f);
    json_error_t error;
    json_t *value = json_loadb(text.p, text.n, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &error);
    if (value == NULL) fail_msg("%s: %.*s", error.text, (int)text.n, text.p);
    assert_true(json_is_string(value));
    assert_int_equal(json_string_length(value), buf_length(expected));
    assert_memory_equal(json_string_value(value), expected->data, buf_length(expected));
    json_decref(value);
}

/* Both writers; the input ends, and the room ends, where its memory ends, so that a sanitizer sees a byte too many. */
static void check(const uint8_t *bytes, size_t n) {
    struct buf expected = {0}, out = {0};
    uint8_t *input = mem_alloc(n);
    if (n > 0) memcpy(input, bytes, n);
    struct slice s = {(const char *)input, n};
    buf_reserve(&expected, 1);
    expected_write(&expected, input, n);
    json_text_string(&out, s);
    expect_text(buf_slice(&out), &expected);

    char *room = mem_alloc(JSON_TEXT_STRING_BYTES(n));
    size_t written = (size_t)(json_text_put_string(room, s) - room);
    assert_int_equal(written, buf_length(&out));
    assert_memory_equal(room, out.data, written);
    mem_free(room);
    mem_free(input);
    buf_clear(&expected);
    buf_clear(&out);
}

static void every_byte_is_right_at_every_place(void **state) {
    (void)state;
    uint8_t text[24] = "";
    check(text, 0);
    for (size_t n = 1; n <= 18; n++)
        for (size_t at = 0; at < n; at++)
            for (unsigned byte = 0; byte < 256; byte++) {
                memset(text, 'a', sizeof text);
                text[at] = (uint8_t)byte;
                check(text, n);
            }
}

static void every_sequence_is_valid_or_replaced(void **state) {
    (void)state;
    static const uint8_t edges[] = {0x00, 0x22, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff};
    enum { EDGES = sizeof edges };
    for (unsigned first = 0xc0; first < 256; first++)
        for (unsigned i = 0; i < EDGES * EDGES * EDGES; i++) {
            uint8_t text[] = {'x', (uint8_t)first, edges[i % EDGES], edges[i / EDGES % EDGES],
                              edges[i / EDGES / EDGES]};
            size_t n = 2 + i % 4;
            check(text, n);
        }
}

static void a_sequence_may_cross_any_border_of_a_long_text(void **state) {
    (void)state;
    static const char *const sequences[] = {"\xc3\xa9",     "\xe2\x82\xac", "\xf0\x9f\x98\x80",
                                            "\xf0\x9f\x98", "\"",           "\x01"};
    uint8_t text[2100];
    for (size_t i = 0; i < sizeof sequences / sizeof sequences[0]; i++)
        for (size_t at = 1010; at < 1034; at++) {
            memset(text, 'a', sizeof text);
            memcpy(text + at, sequences[i], strlen(sequences[i]));
            check(text, sizeof text);
            check(text, at + strlen(sequences[i]));
        }
}

static void random_texts_read_back(void **state) {
    (void)state;
    static const char *const pieces[] = {"\"",
                                         "\\",
                                         "\n",
                                         "\x7f",
                                         "\x1f",
                                         "\xc3\xa9",
                                         "\xe4\xbd\xa0",
                                         "\xf0\x9f\x98\x80",
                                         "\xed\xa0\x80",
                                         "plain text of some length",
                                         "\xff",
                                         "\xc3",
                                         "/",
                                         "a"};
    enum { PIECES = sizeof pieces / sizeof pieces[0] };
    for (int round = 0; round < 20000; round++) {
        struct buf text = {0};
        size_t count = round % 100 == 0 ? 1000 : random_u64() % 24;
        for (size_t i = 0; i < count; i++) {
            uint8_t any = (uint8_t)random_u64();
            size_t which = random_u64() % (PIECES + 6);
            if (which < PIECES)
                buf_append_text(&text, pieces[which]);
            else
                buf_append(&text, &any, 1);
        }
        check((const uint8_t *)text.data, buf_length(&text));
        buf_clear(&text);
    }
}

static void a_text_is_added_behind_what_was_there(void **state) {
    (void)state;
    struct buf out = {0};
    for (int i = 0; i < 300; i++) json_text_string(&out, SLICE("0123456789"));
    assert_int_equal(buf_length(&out), 300 * 12);
    for (int i = 0; i < 300; i++) assert_memory_equal(out.data + 12 * i, "\"0123456789\"", 12);
    buf_clear(&out);
}

/* ---- numbers ---- */

static void put_u64(uint64_t value) {
    char at[JSON_TEXT_NUMBER_BYTES + 1], expected[32];
    *json_text_put_u64(at, value) = '\0';
    snprintf(expected, sizeof expected, "%" PRIu64, value);
    assert_string_equal(at, expected);
}

/* whole.fraction with all its places, then without trailing zeros: exact by construction. */
static void expected_decimal(char *out, size_t bytes, bool negative, uint64_t value, uint64_t scale, int places) {
    int n = snprintf(out, bytes, "%s%" PRIu64 ".%0*" PRIu64, negative ? "-" : "", value / scale, places, value % scale);
    while (out[n - 1] == '0') n--;
    if (out[n - 1] == '.') n--;
    out[n] = '\0';
}

static void put_ms(uint64_t ns) {
    char at[JSON_TEXT_NUMBER_BYTES + 1], expected[64];
    struct buf out = {0};
    *json_text_put_ms(at, ns) = '\0';
    expected_decimal(expected, sizeof expected, false, ns, 1000000, 6);
    assert_string_equal(at, expected);
    json_text_ms(&out, ns);
    assert_int_equal(buf_length(&out), strlen(expected));
    assert_memory_equal(out.data, expected, strlen(expected));
    buf_clear(&out);
}

static void put_usd(int64_t pico_usd) {
    char at[JSON_TEXT_NUMBER_BYTES + 1], expected[64];
    struct buf out = {0};
    *json_text_put_usd(at, pico_usd) = '\0';
    uint64_t size = pico_usd < 0 ? 0 - (uint64_t)pico_usd : (uint64_t)pico_usd;
    expected_decimal(expected, sizeof expected, pico_usd < 0, size, UINT64_C(1000000000000), 12);
    assert_string_equal(at, expected);
    json_text_usd(&out, pico_usd);
    assert_int_equal(buf_length(&out), strlen(expected));
    assert_memory_equal(out.data, expected, strlen(expected));
    buf_clear(&out);
}

static void numbers_are_exact_around_every_power_of_ten(void **state) {
    (void)state;
    uint64_t power = 1;
    for (int i = 0; i < 20; i++, power *= 10) {
        for (int64_t off = -2; off <= 2; off++) {
            put_u64(power + (uint64_t)off);
            put_ms(power + (uint64_t)off);
            put_usd((int64_t)(power + (uint64_t)off));
        }
        put_u64(power * 5);
        put_ms(power * 5);
        put_usd(-(int64_t)(power / 2));
    }
    put_u64(UINT64_MAX);
    put_ms(UINT64_MAX);
    put_usd(INT64_MAX);
    put_usd(INT64_MIN);
}

static void random_numbers_are_exact(void **state) {
    (void)state;
    for (int i = 0; i < 200000; i++) {
        uint64_t value = random_u64() >> random_u64() % 64;
        put_u64(value);
        put_ms(value);
        put_usd((int64_t)value);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_is_right_at_every_place),
        cmocka_unit_test(every_sequence_is_valid_or_replaced),
        cmocka_unit_test(a_sequence_may_cross_any_border_of_a_long_text),
        cmocka_unit_test(random_texts_read_back),
        cmocka_unit_test(a_text_is_added_behind_what_was_there),
        cmocka_unit_test(numbers_are_exact_around_every_power_of_ten),
        cmocka_unit_test(random_numbers_are_exact),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
