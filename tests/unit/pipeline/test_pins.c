/* Which configurations a worker still uses: each is let go of exactly once, and not before its last exchange. */
#include "unit.h"

#include <string.h>

#include "pipeline/pins.h"

enum { GENERATIONS = 40 };

static struct pin pin_list[GENERATIONS];
static char confs[GENERATIONS]; /* only their addresses matter */
static unsigned released[GENERATIONS];
static struct pins pins;

static const struct snapshot *conf(unsigned i) {
    return (const struct snapshot *)&confs[i];
}

static void on_released(struct pin *pin) {
    released[pin - pin_list]++;
    memset(pin, 0xee, sizeof *pin); /* it may be freed from here on */
}

static void adopt(unsigned i) {
    pin_list[i] = (struct pin){.conf = conf(i), .released = on_released, .count = 77};
    pins_adopt(&pins, &pin_list[i]);
}

static int setup(void **state) {
    (void)state;
    memset(&pins, 0, sizeof pins);
    memset(released, 0, sizeof released);
    adopt(0);
    return 0;
}

static void one_that_nobody_uses_is_let_go_of_when_the_next_comes(void **state) {
    (void)state;
    adopt(1);
    assert_int_equal(released[0], 1);
    assert_int_equal(released[1], 0);
    assert_ptr_equal(pins_take(&pins), conf(1));
}

static void the_current_one_is_never_let_go_of(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(pins_take(&pins), conf(0));
        pins_give(&pins, conf(0));
    }
    assert_int_equal(released[0], 0);
}

static void an_older_one_lasts_until_its_last_exchange_has_ended(void **state) {
    (void)state;
    pins_take(&pins);
    pins_take(&pins);
    adopt(1);
    pins_take(&pins);
    adopt(2);
    pins_give(&pins, conf(0));
    assert_int_equal(released[0] + released[1], 0);
    pins_give(&pins, conf(1));
    assert_int_equal(released[1], 1);
    assert_int_equal(released[0], 0);
    pins_give(&pins, conf(0));
    assert_int_equal(released[0], 1);
    assert_null(pins.older);
}

static void any_order_of_beginnings_ends_and_changes_lets_go_of_each_once(void **state) {
    (void)state;
    unsigned open[GENERATIONS] = {0}, newest = 0, all = 0;
    uint64_t random = 88172645463325252u;
    for (int step = 0; step < 20000; step++) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        unsigned draw = (unsigned)(random % 100), which = (unsigned)(random >> 32) % (newest + 1);
        if (draw < 45 && all < 200) {
            pins_take(&pins);
            open[newest]++, all++;
        } else if (draw == 99 && newest + 1 < GENERATIONS) {
            adopt(++newest);
        } else if (open[which] > 0) {
            pins_give(&pins, conf(which));
            open[which]--, all--;
        }
        for (unsigned i = 0; i <= newest; i++) assert_int_equal(released[i], i < newest && open[i] == 0);
    }
    assert_int_equal(newest + 1, GENERATIONS);
}

#define TEST(f) cmocka_unit_test_setup(f, setup)
int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(one_that_nobody_uses_is_let_go_of_when_the_next_comes),
        TEST(the_current_one_is_never_let_go_of),
        TEST(an_older_one_lasts_until_its_last_exchange_has_ended),
        TEST(any_order_of_beginnings_ends_and_changes_lets_go_of_each_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
