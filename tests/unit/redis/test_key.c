/* Names of keys, and the slots a cluster puts them in. */
#include "unit.h"

#include "redis/key.h"

static struct slice key_of(struct buf *b, struct slice tag, struct slice kind, const struct slice *parts, size_t n) {
    b->start = b->end = 0;
    redis_key_append(b, SLICE("weir:"), tag, kind, parts, n);
    return buf_slice(b);
}

static void expect_key(struct slice got, const char *expected) {
    assert_int_equal(got.n, strlen(expected));
    assert_memory_equal(got.p, expected, got.n);
}

static void a_key_is_prefix_tag_kind_and_parts(void **state) {
    (void)state;
    struct buf b = {0};
    struct slice parts[] = {SLICE("gpt-4o-mini"), SLICE("60")};
    expect_key(key_of(&b, SLICE("acme"), SLICE("rpm"), NULL, 0), "weir:{acme}rpm");
    expect_key(key_of(&b, SLICE("acme"), SLICE("rpm"), parts, 2), "weir:{acme}rpm:gpt-4o-mini:60");
    buf_clear(&b);
}

static void no_name_reads_as_structure(void **state) {
    (void)state;
    struct buf b = {0};
    struct slice odd[] = {{"a:b} {\r\n%*\0\xff", 12}};
    expect_key(key_of(&b, SLICE("}x{"), SLICE("k"), odd, 1), "weir:{%7Dx%7B}k:a%3Ab%7D%20%7B%0D%0A%25%2A%00%FF");
    struct slice one[] = {SLICE("a:b"), SLICE("c")}, two[] = {SLICE("a"), SLICE("b:c")};
    struct buf other = {0};
    struct slice first = key_of(&b, SLICE("t"), SLICE("k"), one, 2);
    struct slice second = key_of(&other, SLICE("t"), SLICE("k"), two, 2);
    assert_false(slice_equal(first, second));
    buf_clear(&other);
    buf_clear(&b);
}

static void a_long_name_is_shortened_and_stays_distinct(void **state) {
    (void)state;
    struct buf a = {0}, b = {0};
    char *text = malloc(10000);
    memset(text, '{', 10000);
    redis_key_part_append(&a, (struct slice){text, 10000});
    redis_key_part_append(&b, (struct slice){text, 9999});
    assert_in_range(buf_length(&a), 64, 3 * 64 + 2 + 64);
    assert_false(slice_equal(buf_slice(&a), buf_slice(&b)));
    buf_clear(&b);
    assert_false(redis_key_part_decode(buf_slice(&a), &b));
    free(text);
    buf_clear(&a);
    buf_clear(&b);
}

static void a_part_reads_back(void **state) {
    (void)state;
    struct buf encoded = {0}, plain = {0};
    char bytes[128];
    for (int half = 0; half < 2; half++) {
        encoded.start = encoded.end = plain.start = plain.end = 0;
        for (int i = 0; i < 128; i++) bytes[i] = (char)(i + 128 * half);
        redis_key_part_append(&encoded, (struct slice){bytes, 128});
        assert_true(redis_key_part_decode(buf_slice(&encoded), &plain));
        assert_int_equal(buf_length(&plain), 128);
        assert_memory_equal(plain.data + plain.start, bytes, 128);
    }
    assert_false(redis_key_part_decode(SLICE("a%4"), &plain));
    assert_false(redis_key_part_decode(SLICE("a%zz"), &plain));
    assert_false(redis_key_part_decode(SLICE("a:b"), &plain));
    buf_clear(&encoded);
    buf_clear(&plain);
}

/* The values are Redis' own: CLUSTER KEYSLOT. */
static void slots_are_those_of_redis(void **state) {
    (void)state;
    static const struct {
        struct slice key;
        unsigned slot;
    } known[] = {
        {SLICE_INIT("123456789"), 12739},  {SLICE_INIT("foo"), 12182}, {SLICE_INIT("weir:{foo}rpm"), 12182},
        {SLICE_INIT("{foo}{bar}"), 12182}, {SLICE_INIT(""), 0},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_int_equal(redis_key_slot(known[i].key), known[i].slot);
    assert_int_equal(redis_key_slot(SLICE("foo{}{bar}")), 8363);
    assert_int_equal(redis_key_slot(SLICE("foo{{bar}}zap")), redis_key_slot(SLICE("{bar")));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_is_prefix_tag_kind_and_parts),
        cmocka_unit_test(no_name_reads_as_structure),
        cmocka_unit_test(a_long_name_is_shortened_and_stays_distinct),
        cmocka_unit_test(a_part_reads_back),
        cmocka_unit_test(slots_are_those_of_redis),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
