/* Tests of where usage is kept: no two tenants, groups or slots share a key or field, whatever they are called. */
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "facts/names.h"
#include "redis/key.h"
#include "redis/usage_key.h"

static void assert_key(struct slice tenant, enum usage_kind k, int64_t start_s, const char *expected) {
    struct buf key = {0};
    usage_key_append(&key, SLICE("weir:"), tenant, k, start_s);
    buf_append(&key, "", 1);
    assert_string_equal(key.data, expected);
    buf_clear(&key);
}

static void keys_are_of_one_slot_a_tenant(void **state) {
    (void)state;
    assert_key(SLICE("acme"), USAGE_KIND_DAY, 1795305600, "weir:{acme}usage:day:1795305600");
    assert_key(SLICE("acme"), USAGE_KIND_DAY_SUM, 1795305600, "weir:{acme}sums:day:1795305600");
    assert_key(SLICE("acme"), USAGE_KIND_MONTH_SUM, 1795305600, "weir:{acme}sums:month:1795305600");
    assert_key(SLICE("a}b:{c"), USAGE_KIND_MINUTE, 60, "weir:{a%7Db%3A%7Bc}usage:minute:60");
    assert_key(SLICE(""), USAGE_KIND_HOUR, 3600, "weir:{-}usage-of-none:hour:3600");
    assert_key(SLICE("-"), USAGE_KIND_HOUR, 3600, "weir:{-}usage:hour:3600");
    for (int k = 0; k < USAGE_KIND_COUNT; k++) assert_true(usage_key_ttl_s((enum usage_kind)k) >= 4 * 3600);
}

static void a_group_comes_back_from_its_field(void **state) {
    (void)state;
    static const char *const names[][3] = {{"openai", "gpt-4o-mini", "chat"},
                                           {"", "", ""},
                                           {"a:b", "c%3Ad", "\xc3\xa9 "},
                                           {"_other", "_other", "_other"}};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct traffic_key key = {7, name_id(slice_of(names[i][0])), name_id(slice_of(names[i][1])),
                                  name_id(slice_of(names[i][2]))};
        struct traffic_key again = {.tenant = 7};
        struct buf field = {0};
        usage_field_append(&field, SLICE("00f067aa0ba902b7"), &key);
        assert_true(usage_field_read(buf_slice(&field), &again));
        assert_memory_equal(&key, &again, sizeof key);
        buf_clear(&field);
    }
}

static void what_is_no_field_is_passed_over(void **state) {
    (void)state;
    static const char *const wrong[] = {"",
                                        "#00f067aa0ba902b7",
                                        "00f067aa0ba902b7",
                                        "00f067aa0ba902b7:a:b",
                                        "00f067aa0ba902b7:a:b:c:d",
                                        "00f067aa0ba902:a:b:c",
                                        "00f067aa0ba902bg:a:b:c"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        struct traffic_key key;
        if (usage_field_read(slice_of(wrong[i]), &key)) fail_msg("%s was taken", wrong[i]);
    }
}

static void a_name_that_is_too_long_stays_apart(void **state) {
    (void)state;
    char text[2][REDIS_PART_MAX + 10];
    struct traffic_key keys[2], again[2];
    for (int i = 0; i < 2; i++) {
        struct buf field = {0};
        memset(text[i], 'a', sizeof text[i]);
        text[i][sizeof text[i] - 1] = (char)('b' + i);
        keys[i] = (struct traffic_key){.model = name_id((struct slice){text[i], sizeof text[i]})};
        usage_field_append(&field, SLICE("00f067aa0ba902b7"), &keys[i]);
        assert_true(usage_field_read(buf_slice(&field), &again[i]));
        buf_clear(&field);
    }
    assert_true(again[0].model != again[1].model);
}

static void tenants_come_back_from_their_fields(void **state) {
    (void)state;
    static const char *const names[] = {"acme", "a}b", "=", "\xff"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        struct buf field = {0}, tenant = {0};
        usage_tenant_field_append(&field, slice_of(names[i]));
        assert_true(usage_tenant_field_read(buf_slice(&field), &tenant));
        assert_true(slice_equal(buf_slice(&tenant), slice_of(names[i])));
        buf_clear(&field);
        buf_clear(&tenant);
    }
    struct buf tenant = {0};
    assert_false(usage_tenant_field_read(SLICE(""), &tenant));
    assert_false(usage_tenant_field_read(SLICE("acme"), &tenant));
    assert_false(usage_tenant_field_read(SLICE("=a b"), &tenant));
    buf_clear(&tenant);
}

static void names_from_others_are_bounded(void **state) {
    (void)state;
    char text[32];
    unsigned other = 0;
    for (unsigned i = 0; i < NAMES_FROM_OTHERS_MAX + 500; i++) {
        snprintf(text, sizeof text, "told-%u", i);
        other += name_told(slice_of(text)) == NAME_OTHER;
    }
    assert_in_range(other, 400, 500 + 20); /* the tests before told some */
    assert_true(name_told(SLICE("told-1")) != NAME_OTHER);
    assert_true(name_id(SLICE("a configured one")) != NAME_OTHER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_are_of_one_slot_a_tenant),      cmocka_unit_test(a_group_comes_back_from_its_field),
        cmocka_unit_test(what_is_no_field_is_passed_over),    cmocka_unit_test(a_name_that_is_too_long_stays_apart),
        cmocka_unit_test(tenants_come_back_from_their_fields), cmocka_unit_test(names_from_others_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
