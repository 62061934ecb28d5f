/* Tests of base/: slices, buffers, bodies in blocks, the ring, text writing. */
#include "unit.h"

#include <pthread.h>
#include <sched.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/blocks.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/json_text.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/ring.h"
#include "base/url.h"

static void numbers_overflow_is_refused(void **state) {
    (void)state;
    uint64_t v;
    assert_true(slice_to_u64(SLICE("18446744073709551615"), &v));
    assert_int_equal(v, UINT64_MAX);
    assert_false(slice_to_u64(SLICE("18446744073709551616"), &v));
    assert_false(slice_to_u64(SLICE(""), &v));
    assert_false(slice_to_u64(SLICE("+1"), &v));
    assert_false(slice_to_u64(SLICE("1 "), &v));
}

static void patterns_match_as_documented(void **state) {
    (void)state;
    assert_true(slice_matches(SLICE("gpt-4o-mini"), SLICE("gpt-*")));
    assert_true(slice_matches(SLICE("gpt-"), SLICE("gpt-*")));
    assert_false(slice_matches(SLICE("xgpt-4"), SLICE("gpt-*")));
    assert_true(slice_matches(SLICE("a/b/c"), SLICE("a*c")));
    assert_true(slice_matches(SLICE(""), SLICE("*")));
    assert_false(slice_matches(SLICE("a"), SLICE("")));
    char text[200];
    memset(text, 'a', sizeof text); /* a naive matcher takes exponential time here */
    assert_false(slice_matches((struct slice){text, sizeof text}, SLICE("*a*a*a*a*a*a*a*a*a*a*b")));
}

static void cutting_gives_every_item_once(void **state) {
    (void)state;
    struct slice rest = SLICE("a,,b"), item;
    assert_true(slice_cut(&rest, ',', &item));
    assert_true(slice_equal(item, SLICE("a")));
    assert_true(slice_cut(&rest, ',', &item));
    assert_int_equal(item.n, 0);
    assert_true(slice_cut(&rest, ',', &item));
    assert_true(slice_equal(item, SLICE("b")));
    assert_false(slice_cut(&rest, ',', &item));
}

static void hex_refuses_what_is_not_hex(void **state) {
    (void)state;
    uint8_t out[2];
    assert_true(hex_decode(SLICE("0fA9"), out, 2));
    assert_int_equal(out[1], 0xa9);
    assert_false(hex_decode(SLICE("0fA"), out, 2));
    assert_false(hex_decode(SLICE("0fAg"), out, 2));
}

static void a_buffer_keeps_bytes_in_order_however_it_is_used(void **state) {
    (void)state;
    struct buf b = {0};
    uint64_t written = 0, read = 0;
    for (int i = 0; i < 20000; i++) {
        size_t n = random_u64() % 300;
        for (size_t j = 0; j < n; j++) {
            uint8_t byte = (uint8_t)(written++ * 31);
            buf_append(&b, &byte, 1);
        }
        size_t take = buf_length(&b) ? random_u64() % (buf_length(&b) + 1) : 0;
        struct slice s = buf_slice(&b);
        for (size_t j = 0; j < take; j++) assert_int_equal((uint8_t)s.p[j], (uint8_t)(read++ * 31));
        buf_consume(&b, take);
    }
    buf_clear(&b);
    assert_null(b.data);
}

static void a_body_reads_back_at_any_offset(void **state) {
    (void)state;
    struct block_pool pool = {0};
    struct body body = {0};
    enum { LENGTH = 100000 };
    char *original = mem_alloc(LENGTH), *copy = mem_alloc(LENGTH);
    for (int i = 0; i < LENGTH; i++) original[i] = (char)random_u64();
    for (size_t at = 0; at < LENGTH;) {
        size_t n = random_u64() % 40000;
        if (n > LENGTH - at) n = LENGTH - at;
        assert_true(body_append(&body, &pool, original + at, n));
        at += n;
    }
    assert_int_equal(body.length, LENGTH);
    for (int i = 0; i < 500; i++) {
        size_t from = random_u64() % LENGTH, n = random_u64() % (LENGTH - from) + 1;
        assert_int_equal(body_read(&body, from, copy, n), n);
        assert_memory_equal(copy, original + from, n);
    }
    assert_int_equal(body_read(&body, LENGTH, copy, 10), 0);
    body_clear(&body, &pool);
    block_pool_clear(&pool);
    mem_free(original);
    mem_free(copy);
    assert_int_equal(blocks_in_use_bytes(), 0);
}

static void a_spent_budget_leaves_the_body_as_it_was(void **state) {
    (void)state;
    struct block_pool pool = {0};
    struct body body = {0};
    char *bytes = mem_zalloc(10 * BLOCK_BYTES);
    blocks_budget_set(3 * BLOCK_BYTES);
    assert_true(body_append(&body, &pool, bytes, 100));
    assert_false(body_append(&body, &pool, bytes, 5 * BLOCK_BYTES));
    assert_int_equal(body.length, 100);
    assert_int_equal(blocks_in_use_bytes(), BLOCK_BYTES);
    assert_true(body_append(&body, &pool, bytes, 3 * BLOCK_BYTES - 100));
    body_clear(&body, &pool);
    blocks_budget_set(SIZE_MAX);
    block_pool_clear(&pool);
    mem_free(bytes);
}

static void *ring_writer(void *context) {
    struct ring *r = context;
    for (uint64_t i = 1; i <= 200000; i++) {
        size_t n = 8 + i % 57;
        uint64_t *item = ring_reserve(r, n);
        if (item == NULL) continue;
        memset(item, (int)(i & 0xff), n);
        *item = i;
        ring_commit(r);
    }
    return NULL;
}

static void a_ring_hands_items_over_in_order_and_counts_what_it_drops(void **state) {
    (void)state;
    struct ring *r = ring_new(4096);
    pthread_t writer;
    uint64_t last = 0, seen = 0;
    pthread_create(&writer, NULL, ring_writer, r);
    for (;;) {
        size_t n;
        const uint64_t *item = ring_peek(r, &n);
        if (item == NULL) {
            if (last == 200000 || seen + ring_dropped(r) == 200000) break;
            sched_yield();
            continue;
        }
        assert_true(*item > last);
        assert_int_equal(n, 8 + *item % 57);
        for (size_t j = 8; j < n; j++) assert_int_equal(((const uint8_t *)item)[j], *item & 0xff);
        last = *item;
        seen++;
        ring_release(r);
    }
    pthread_join(writer, NULL);
    assert_int_equal(seen + ring_dropped(r), 200000);
    ring_free(r);
}

static void a_ring_that_was_read_empty_begins_at_its_front_again(void **state) {
    (void)state;
    struct ring *r = ring_new(4096);
    const char *lowest = ring_reserve(r, 200);
    ring_commit(r);
    for (int i = 0; i < 1000; i++) {
        size_t n;
        assert_non_null(ring_peek(r, &n));
        ring_release(r);
        assert_null(ring_peek(r, &n));
        const char *item = ring_reserve(r, 200);
        assert_in_range((uintptr_t)item, (uintptr_t)lowest, (uintptr_t)lowest + 4096 / 8);
        memset((char *)item, i, 200);
        ring_commit(r);
        assert_ptr_equal(ring_peek(r, &n), item);
        assert_int_equal(n, 200);
    }
    assert_int_equal(ring_dropped(r), 0);
    ring_free(r);
}

static void json_strings_are_valid_whatever_is_put_in(void **state) {
    (void)state;
    struct buf out = {0};
    json_text_string(&out, (struct slice){"a\"\\\n\x01\xff\xc3\xa9\xed\xa0\x80", 11});
    buf_append(&out, "", 1);
    assert_string_equal(out.data, "\"a\\\"\\\\\\n\\u0001\xef\xbf\xbd\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
    buf_clear(&out);
}

static void decimals_are_exact(void **state) {
    (void)state;
    struct buf out = {0};
    json_text_ms(&out, 1130000001);
    buf_append_text(&out, " ");
    json_text_ms(&out, 500000);
    buf_append_text(&out, " ");
    json_text_usd(&out, 297600000);
    buf_append_text(&out, " ");
    json_text_usd(&out, -1);
    buf_append(&out, "", 1);
    assert_string_equal(out.data, "1130.000001 0.5 0.0002976 -0.000000000001");
    buf_clear(&out);
}

static void a_map_finds_what_was_put(void **state) {
    (void)state;
    struct map m = {0};
    char name[32];
    int values[500];
    for (int i = 0; i < 500; i++) {
        int n = snprintf(name, sizeof name, "name-%d", i);
        assert_true(map_put(&m, (struct slice){name, (size_t)n}, &values[i]));
        assert_false(map_put(&m, (struct slice){name, (size_t)n}, &values[0]));
    }
    for (int i = 0; i < 500; i++) {
        int n = snprintf(name, sizeof name, "name-%d", i);
        assert_ptr_equal(map_get(&m, (struct slice){name, (size_t)n}), &values[i]);
    }
    assert_null(map_get(&m, SLICE("name-500")));
    map_clear(&m);
}

static void an_arena_gives_aligned_memory_that_does_not_overlap(void **state) {
    (void)state;
    struct arena a;
    char *pieces[300];
    size_t sizes[300];
    arena_init(&a);
    for (int i = 0; i < 300; i++) {
        sizes[i] = random_u64() % 5000;
        pieces[i] = arena_alloc(&a, sizes[i]);
        assert_int_equal((uintptr_t)pieces[i] % 8, 0);
        memset(pieces[i], i & 0x7f, sizes[i]);
    }
    for (int i = 0; i < 300; i++)
        for (size_t j = 0; j < sizes[i]; j++) assert_int_equal(pieces[i][j], i & 0x7f);
    arena_clear(&a);
}

static void times_are_written_as_rfc3339(void **state) {
    (void)state;
    char out[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(INT64_C(1795342530123456789), out);
    assert_string_equal(out, "2026-11-22T10:15:30.123456Z");
}

static void a_url_is_its_parts(void **state) {
    (void)state;
    static const struct {
        const char *text, *origin, *authority, *host, *port, *path;
        bool tls;
    } cases[] = {
        {"https://api.openai.com", "https://api.openai.com", "api.openai.com", "api.openai.com", "443", "", true},
        {"http://h:80/v1/x", "http://h:80", "h:80", "h", "80", "/v1/x", false},
        {"http://[::1]:8080/v1", "http://[::1]:8080", "[::1]:8080", "::1", "8080", "/v1", false},
        {"https://[2001:db8::1]", "https://[2001:db8::1]", "[2001:db8::1]", "2001:db8::1", "443", "", true},
        {"http://h?q=/", "http://h", "h", "h", "80", "?q=/", false},
        {"http://h:/", "http://h:", "h:", "h", "", "/", false},
        {"http://", "http://", "", "", "80", "", false},
        {"http://[::1/x", "http://[::1", "[::1", "[", ":1", "/x", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct url url;
        assert_true(url_split(slice_of(cases[i].text), &url));
        assert_int_equal(url.tls, cases[i].tls);
        assert_true(slice_equal(url.origin, slice_of(cases[i].origin)));
        assert_true(slice_equal(url.authority, slice_of(cases[i].authority)));
        assert_true(slice_equal(url.host, slice_of(cases[i].host)));
        assert_true(slice_equal(url.port, slice_of(cases[i].port)));
        assert_true(slice_equal(url.path, slice_of(cases[i].path)));
    }
    struct url none;
    assert_false(url_split(SLICE("ftp://h"), &none));
    assert_false(url_split(SLICE("HTTP://h"), &none));
    assert_false(url_split((struct slice){0}, &none));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_url_is_its_parts),
        cmocka_unit_test(numbers_overflow_is_refused),
        cmocka_unit_test(patterns_match_as_documented),
        cmocka_unit_test(cutting_gives_every_item_once),
        cmocka_unit_test(hex_refuses_what_is_not_hex),
        cmocka_unit_test(a_buffer_keeps_bytes_in_order_however_it_is_used),
        cmocka_unit_test(a_body_reads_back_at_any_offset),
        cmocka_unit_test(a_spent_budget_leaves_the_body_as_it_was),
        cmocka_unit_test(a_ring_hands_items_over_in_order_and_counts_what_it_drops),
        cmocka_unit_test(a_ring_that_was_read_empty_begins_at_its_front_again),
        cmocka_unit_test(json_strings_are_valid_whatever_is_put_in),
        cmocka_unit_test(decimals_are_exact),
        cmocka_unit_test(a_map_finds_what_was_put),
        cmocka_unit_test(an_arena_gives_aligned_memory_that_does_not_overlap),
        cmocka_unit_test(times_are_written_as_rfc3339),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
