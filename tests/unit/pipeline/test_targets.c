/* Which target a try goes to. */
#include "unit.h"

#include <stdatomic.h>

#include "base/log.h"
#include "targets.h"

#define MS UINT64_C(1000000)
#define NOW (UINT64_C(5000000) * MS)

enum { COUNT = 4, DRAWS = 40000 };
static struct provider openai = {.dialect = DIALECT_OPENAI}, gemini = {.dialect = DIALECT_GEMINI};
static struct health healths[COUNT];
static struct target targets[COUNT];
static struct alias alias;
static uint8_t tries[COUNT];
static unsigned drawn[COUNT];

static int fresh(void **state) {
    (void)state;
    log_level_set(LOG_LEVEL_ERROR);
    memset(drawn, 0, sizeof drawn);
    memset(tries, 0, sizeof tries);
    alias = (struct alias){.targets = targets, .target_count = COUNT};
    for (unsigned i = 0; i < COUNT; i++) {
        healths[i] = (struct health){0};
        targets[i] = (struct target){.provider = &openai, .weight = i + 1, .health = &healths[i]};
    }
    return 0;
}

static struct choice anybody(void) {
    return (struct choice){
        .alias = &alias, .dialect = DIALECT_OPENAI, .tries = tries, .attempts_max = 3, .now_ns = NOW};
}

static void draw_often(void) {
    for (int i = 0; i < DRAWS; i++) {
        bool probe;
        struct choice c = anybody();
        const struct target *t = target_choose(&c, &probe);
        assert_non_null(t);
        drawn[t - targets]++;
    }
}

static void by_weight(void **state) {
    (void)state;
    draw_often();
    for (unsigned i = 0; i < COUNT; i++)
        assert_in_range(drawn[i], DRAWS * (i + 1) / 10 * 9 / 10, DRAWS * (i + 1) / 10 * 11 / 10);
}

static void only_those_of_the_callers_dialect(void **state) {
    (void)state;
    targets[1].provider = targets[3].provider = &gemini;
    draw_often();
    assert_int_equal(drawn[1] + drawn[3], 0);
    targets[0].provider = targets[2].provider = &gemini;
    bool probe;
    struct choice c = anybody();
    assert_null(target_choose(&c, &probe));
    assert_true(targets_until_ns(&alias, DIALECT_OPENAI) == UINT64_MAX);
    assert_true(targets_until_ns(&alias, DIALECT_GEMINI) == 0);
}

static void those_with_the_fewest_tries_come_first(void **state) {
    (void)state;
    tries[0] = 1, tries[2] = 1, tries[3] = 2;
    draw_often();
    assert_int_equal(drawn[1], DRAWS);
    tries[1] = 3;
    memset(drawn, 0, sizeof drawn);
    draw_often();
    assert_int_equal(drawn[0] + drawn[2], DRAWS);
    memset(tries, 3, sizeof tries);
    bool probe;
    struct choice c = anybody();
    assert_null(target_choose(&c, &probe));
}

static void one_that_is_left_alone_is_passed_over_and_comes_back_by_one_probe(void **state) {
    (void)state;
    bool probe;
    health_failed(&healths[3], NOW, 1000 * MS, "rate_limited");
    draw_often();
    assert_int_equal(drawn[3], 0);
    for (unsigned i = 0; i < 3; i++) health_failed(&healths[i], NOW, 3000 * MS, "rate_limited");
    struct choice c = anybody();
    assert_null(target_choose(&c, &probe));
    assert_true(targets_until_ns(&alias, DIALECT_OPENAI) == NOW + 1000 * MS);
    c.now_ns = NOW + 1000 * MS;
    c.without = 0;
    assert_ptr_equal(target_choose(&c, &probe), &targets[3]);
    assert_true(probe);
    c.without = 0;
    assert_null(target_choose(&c, &probe));
    assert_false(probe);
}

static void who_answers_sooner_gets_most(void **state) {
    (void)state;
    alias.balances = true;
    for (unsigned i = 0; i < COUNT; i++) {
        targets[i].weight = 1;
        health_first_token(&healths[i], (i + 1) * 100 * MS, NOW);
    }
    draw_often();
    /* Of two at random the better one: 6 pairs, the quickest wins the 3 it is in. */
    for (unsigned i = 0; i < COUNT; i++)
        assert_in_range(drawn[i], DRAWS * (3 - i) / 6 * 9 / 10, DRAWS * (3 - i) / 6 * 11 / 10 + 1);
}

static void who_is_busy_gets_less(void **state) {
    (void)state;
    alias.balances = true;
    for (unsigned i = 0; i < COUNT; i++) {
        targets[i].weight = 1;
        health_first_token(&healths[i], 100 * MS, NOW);
    }
    atomic_store(&healths[0].in_flight, 10);
    draw_often();
    assert_int_equal(drawn[0], 0);
}

static void one_alone_needs_no_draw(void **state) {
    (void)state;
    bool probe;
    for (int balances = 0; balances < 2; balances++) {
        struct choice c = anybody();
        alias.target_count = 1;
        alias.balances = balances;
        assert_ptr_equal(target_choose(&c, &probe), &targets[0]);
        c.without = 1;
        assert_null(target_choose(&c, &probe));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(by_weight, fresh),
        cmocka_unit_test_setup(only_those_of_the_callers_dialect, fresh),
        cmocka_unit_test_setup(those_with_the_fewest_tries_come_first, fresh),
        cmocka_unit_test_setup(one_that_is_left_alone_is_passed_over_and_comes_back_by_one_probe, fresh),
        cmocka_unit_test_setup(who_answers_sooner_gets_most, fresh),
        cmocka_unit_test_setup(who_is_busy_gets_less, fresh),
        cmocka_unit_test_setup(one_alone_needs_no_draw, fresh),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
