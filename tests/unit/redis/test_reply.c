/* What error replies mean, and that compiled-in scripts have the name Redis gives them. */
#include "unit.h"

#include "redis/redis.h"
#include "redis/reply.h"
#include "redis/script.h"

static void an_error_is_known_by_its_first_word(void **state) {
    (void)state;
    static const struct {
        struct slice text;
        enum redis_error error;
    } known[] = {
        {SLICE_INIT("NOSCRIPT No matching script. Please use EVAL."), REDIS_ERROR_NOSCRIPT},
        {SLICE_INIT("LOADING Redis is loading the dataset in memory"), REDIS_ERROR_LOADING},
        {SLICE_INIT("READONLY You can't write against a read only replica."), REDIS_ERROR_READONLY},
        {SLICE_INIT("OOM command not allowed when used memory > 'maxmemory'."), REDIS_ERROR_OOM},
        {SLICE_INIT("MOVED 12182 127.0.0.1:7001"), REDIS_ERROR_MOVED},
        {SLICE_INIT("ERR max number of clients reached"), REDIS_ERROR_MAXCLIENTS},
        {SLICE_INIT("ERR unknown command"), REDIS_ERROR_OTHER},
        {SLICE_INIT("WRONGTYPE Operation against a key"), REDIS_ERROR_OTHER},
        {SLICE_INIT("OOMPH"), REDIS_ERROR_OTHER},
        {SLICE_INIT(""), REDIS_ERROR_OTHER},
        {SLICE_INIT("ERR Error running script (call to f_6b1bf486c81ceb7edf3c093f4c48582e38c0e791): @user_script:1: "
                    "@user_script: 1: -OOM command not allowed"),
         REDIS_ERROR_OOM},
        {SLICE_INIT("ERR Error running script (call to f_1): @user_script:1: attempt to index nil"), REDIS_ERROR_OTHER},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        assert_int_equal(redis_error_of(known[i].text), known[i].error);
    assert_true(redis_error_is_trouble(REDIS_ERROR_LOADING));
    assert_false(redis_error_is_trouble(REDIS_ERROR_OTHER));
    assert_string_equal(redis_error_word(REDIS_ERROR_CLUSTERDOWN), "CLUSTERDOWN");
}

static void items_that_are_not_there_read_as_the_fallback(void **state) {
    (void)state;
    const struct redis_reply items[] = {{.type = REDIS_INTEGER, .integer = 7},
                                        {.type = REDIS_STRING, .text = SLICE_INIT("x")}};
    const struct redis_reply array = {.type = REDIS_ARRAY, .items = items, .count = 2};
    assert_int_equal(redis_item_integer(&array, 0, -1), 7);
    assert_int_equal(redis_item_integer(&array, 1, -1), -1);
    assert_int_equal(redis_item_integer(&array, 2, -1), -1);
    assert_int_equal(redis_item_integer(&items[0], 0, -1), -1);
    assert_int_equal(redis_item_integer(NULL, 0, -1), -1);
    assert_int_equal(redis_item_text(&array, 1).n, 1);
    assert_int_equal(redis_item_text(&array, 0).n, 0);
}

static void a_script_is_named_by_its_sha1(void **state) {
    (void)state;
    struct redis_script s;
    redis_script_init(&s, SLICE("one"), SLICE("return 1"));
    assert_string_equal(s.sha1, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    for (int i = 0; i < REDIS_SCRIPT_COUNT; i++) {
        const struct redis_script *compiled = redis_script((enum redis_script_id)i);
        assert_true(compiled->source.n > 0);
        assert_int_equal(strlen(compiled->sha1), REDIS_SHA1_DIGITS);
        assert_memory_equal(compiled->source.p, "--", 2); /* says what it is before it does anything */
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_error_is_known_by_its_first_word),
        cmocka_unit_test(items_that_are_not_there_read_as_the_fallback),
        cmocka_unit_test(a_script_is_named_by_its_sha1),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
