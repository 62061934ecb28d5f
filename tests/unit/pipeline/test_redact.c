/* Tests of the redactor: no run of 12 characters of the secret gets through, however the bytes are cut. */
#include "unit.h"

#include "base/buf.h"
#include "base/mem.h"
#include "base/random.h"
#include "redact.h"

static const char secret[] = "sk-provider-0123456789-abcdefghij-KEY";

static bool holds_echo(struct slice s) {
    for (size_t i = 0; i + REDACT_RUN_MIN <= s.n; i++)
        for (size_t j = 0; j + REDACT_RUN_MIN <= sizeof secret - 1; j++)
            if (memcmp(s.p + i, secret + j, REDACT_RUN_MIN) == 0) return true;
    return false;
}

static void redact(struct slice text, bool cut, struct buf *out) {
    struct arena arena;
    arena_init(&arena);
    struct redactor *r = redactor_new(&arena, slice_of(secret));
    for (size_t at = 0; at < text.n;) {
        size_t n = cut ? 1 + random_u64() % 7 : text.n;
        if (n > text.n - at) n = text.n - at;
        buf_append_slice(out, redact_take(r, (struct slice){text.p + at, n}));
        at += n;
    }
    buf_append_slice(out, redact_end(r));
    arena_clear(&arena);
}

static void no_echo_gets_through_however_it_is_cut(void **state) {
    (void)state;
    for (int round = 0; round < 3000; round++) {
        struct buf text = {0}, whole = {0}, pieces = {0};
        for (int i = 0; i < 6; i++) {
            size_t from = random_u64() % (sizeof secret - 1), n = random_u64() % (sizeof secret - from);
            buf_append(&text, secret + from, n);
            if (random_u64() % 2) buf_append_text(&text, "\",x");
        }
        redact(buf_slice(&text), false, &whole);
        redact(buf_slice(&text), true, &pieces);
        assert_int_equal(buf_length(&whole), buf_length(&text));
        assert_true(slice_equal(buf_slice(&whole), buf_slice(&pieces)));
        if (buf_length(&whole) > 0) assert_false(holds_echo(buf_slice(&whole)));
        buf_clear(&text);
        buf_clear(&whole);
        buf_clear(&pieces);
    }
}

/* Cut in pieces of up to `most` bytes, in place. */
static void blank(struct slice text, size_t most, struct buf *out) {
    struct arena arena;
    arena_init(&arena);
    struct echoes *e = echoes_new(&arena, slice_of(secret));
    buf_append_slice(out, text);
    for (size_t at = 0, n; at < text.n; at += n) {
        n = 1 + random_u64() % most;
        if (n > text.n - at) n = text.n - at;
        echoes_blank(e, out->data + out->start + at, n);
    }
    arena_clear(&arena);
}

static void no_echo_gets_through_in_place_however_it_is_cut(void **state) {
    (void)state;
    static const size_t mosts[] = {1, 3, 7, 12, 40, 4096};
    for (int round = 0; round < 3000; round++) {
        struct buf text = {0}, out = {0};
        for (int i = 0; i < 6; i++) {
            size_t from = random_u64() % (sizeof secret - 1), n = random_u64() % (sizeof secret - from);
            buf_append(&text, secret + from, n);
            if (random_u64() % 2) buf_append_text(&text, random_u64() % 2 ? "\",x" : "\n\ndata: {\"error\":\"key ");
        }
        blank(buf_slice(&text), mosts[round % 6], &out);
        assert_int_equal(buf_length(&out), buf_length(&text));
        if (buf_length(&out) > 0) assert_false(holds_echo(buf_slice(&out)));
        for (size_t i = 0; i < buf_length(&out); i++)
            if (out.data[i] != text.data[i]) assert_int_equal(out.data[i], '*');
        buf_clear(&text);
        buf_clear(&out);
    }
}

static void what_is_no_echo_passes_in_place(void **state) {
    (void)state;
    struct slice text = SLICE("data: {\"error\":\"sk-provider\",\"hint\":\"0123456789-\",\"n\":\"abcdefghij\"}\n\n");
    for (size_t most = 1; most < 100; most++) {
        struct buf out = {0};
        blank(text, most, &out);
        assert_true(slice_equal(buf_slice(&out), text));
        buf_clear(&out);
    }
}

static void other_bytes_pass_unchanged(void **state) {
    (void)state;
    struct buf out = {0};
    struct slice text = SLICE("{\"error\":\"sk-provider\",\"hint\":\"0123456789-\"}");
    redact(text, true, &out);
    assert_true(slice_equal(buf_slice(&out), text));
    buf_clear(&out);
}

static void nothing_makes_nothing(void **state) {
    (void)state;
    struct arena arena;
    arena_init(&arena);
    struct redactor *r = redactor_new(&arena, SLICE("sk-provider-secret"));
    assert_int_equal(redact_take(r, (struct slice){0}).n, 0);
    assert_int_equal(redact_end(r).n, 0);
    arena_clear(&arena);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_makes_nothing), cmocka_unit_test(no_echo_gets_through_however_it_is_cut),
        cmocka_unit_test(no_echo_gets_through_in_place_however_it_is_cut),
        cmocka_unit_test(what_is_no_echo_passes_in_place), cmocka_unit_test(other_bytes_pass_unchanged)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
