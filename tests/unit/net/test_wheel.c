/* The wheel against a slow model: a list of due times. Random schedules of setting, moving, cancelling, from outside
 * and from within fire; time runs in small and in huge steps. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "net/wheel.h"

enum { TIMERS = 600 };
struct probe {
    struct timer timer;
    uint64_t due_ns; /* the model: TIMER_NEVER = not set */
    unsigned fired;
};
static struct wheel wheel;
static struct probe probes[TIMERS];
static uint64_t now, armed_ns;
static unsigned fires, early, late_max_slots;
static unsigned seed = 1;

static unsigned draw(unsigned below) {
    seed = seed * 1103515245u + 12345u;
    return (seed >> 8) % below;
}

static uint64_t draw_delay(void) {
    switch (draw(5)) {
    case 0:
        return draw(1000);
    case 1:
        return draw(40) * UINT64_C(1000000);
    case 2:
        return draw(1000) * UINT64_C(1000000);
    case 3:
        return draw(60) * UINT64_C(1000000000);
    default:
        return draw(4000) * UINT64_C(1000000000);
    }
}

static void set(struct probe *p, uint64_t due) {
    p->due_ns = due;
    timer_set(&wheel, &p->timer, due);
}

static void fire(struct timer *t) {
    struct probe *p = (struct probe *)t;
    assert_int_not_equal(p->due_ns, TIMER_NEVER);
    if (p->due_ns > now) early++;
    uint64_t late = now > p->due_ns ? (now - p->due_ns) / WHEEL_SLOT_NS : 0;
    if (late > late_max_slots) late_max_slots = (unsigned)late;
    p->due_ns = TIMER_NEVER;
    p->fired++;
    fires++;
    if (draw(3) == 0) set(p, now + draw_delay());
    if (draw(4) == 0) set(&probes[draw(TIMERS)], now + draw_delay());
    if (draw(4) == 0) {
        struct probe *other = &probes[draw(TIMERS)];
        other->due_ns = TIMER_NEVER;
        timer_cancel(&wheel, &other->timer);
    }
}

static void rearm(struct wheel *w, uint64_t due_ns) {
    (void)w;
    armed_ns = due_ns;
}

static void reset(uint64_t start) {
    memset(probes, 0, sizeof probes);
    for (int i = 0; i < TIMERS; i++) probes[i] = (struct probe){.timer.fire = fire, .due_ns = TIMER_NEVER};
    now = start;
    fires = early = late_max_slots = 0;
    armed_ns = TIMER_NEVER;
    wheel_init(&wheel, now, WHEEL_SLOT_NS);
    wheel.rearm = rearm;
}

/* What the model says is due by a slot that has fully passed must be gone. */
static void check_model(void) {
    for (int i = 0; i < TIMERS; i++) {
        if (probes[i].due_ns == TIMER_NEVER) continue;
        assert_true(probes[i].due_ns + WHEEL_SLOT_NS > now);
        assert_non_null(probes[i].timer.link);
        assert_true(armed_ns <= probes[i].due_ns + WHEEL_SLOT_NS);
    }
}

static void advance_all(void) {
    for (int turns = 0; wheel_advance(&wheel, now); turns++) assert_true(turns < 100);
}

static void random_schedules_match_the_model(void **state) {
    (void)state;
    for (unsigned run = 0; run < 40; run++) {
        seed = run + 1;
        reset(draw(1000) * UINT64_C(7777777777));
        for (int step = 0; step < 2000; step++) {
            struct probe *p = &probes[draw(TIMERS)];
            switch (draw(6)) {
            case 0:
            case 1:
            case 2:
                set(p, now + draw_delay());
                break;
            case 3:
                set(p, TIMER_NEVER);
                break;
            case 4:
                p->due_ns = TIMER_NEVER;
                timer_cancel(&wheel, &p->timer);
                break;
            default:
                now += draw(50) == 0 ? draw_delay() : draw(20) * UINT64_C(1000000);
                advance_all();
                check_model();
            }
        }
        assert_int_equal(early, 0);
        assert_true(fires > 100);
    }
}

/* Driven the way the loop does, to the instant it asks for, every timer fires within one slot of its due time. */
static void every_timer_fires_within_one_slot(void **state) {
    (void)state;
    for (unsigned run = 0; run < 20; run++) {
        seed = run + 77;
        reset(12345);
        for (int i = 0; i < TIMERS; i++) set(&probes[i], now + draw_delay());
        for (int i = 0; i < 3000 && wheel_next_ns(&wheel) != TIMER_NEVER; i++) {
            uint64_t next = wheel_next_ns(&wheel);
            assert_true(armed_ns <= next);
            if (next > now) now = next;
            advance_all();
        }
        assert_int_equal(early, 0);
        assert_true(late_max_slots <= 1);
    }
}

static void at_most_256_fire_in_a_turn_and_the_rest_follow(void **state) {
    (void)state;
    reset(0);
    static struct probe many[1000];
    memset(many, 0, sizeof many);
    for (int i = 0; i < 1000; i++) {
        many[i].timer.fire = fire;
        many[i].due_ns = 5;
        timer_set(&wheel, &many[i].timer, 5);
    }
    now = WHEEL_SLOT_NS * 3;
    seed = 3;
    unsigned before = 0;
    while (wheel_advance(&wheel, now)) {
        assert_int_equal(fires - before, 256);
        before = fires;
        assert_int_equal(wheel_next_ns(&wheel), 0);
    }
    for (int i = 0; i < 1000; i++) assert_int_equal(many[i].fired, 1);
}

static void a_moved_deadline_costs_no_refiling_and_does_not_fire_at_the_old_time(void **state) {
    (void)state;
    reset(0);
    set(&probes[0], 100 * UINT64_C(1000000));
    uint64_t filed = probes[0].timer.filed_slot;
    set(&probes[0], 900 * UINT64_C(1000000));
    assert_int_equal(probes[0].timer.filed_slot, filed);
    now = 500 * UINT64_C(1000000);
    advance_all();
    assert_int_equal(fires, 0);
    now = 904 * UINT64_C(1000000);
    advance_all();
    assert_int_equal(probes[0].fired, 1);
}

static void cancelling_all_empties_the_wheel(void **state) {
    (void)state;
    reset(0);
    for (int i = 0; i < TIMERS; i++) set(&probes[i], draw_delay());
    for (int i = 0; i < TIMERS; i++) timer_cancel(&wheel, &probes[i].timer);
    assert_int_equal(wheel.count, 0);
    assert_int_equal(wheel_next_ns(&wheel), TIMER_NEVER);
    for (size_t i = 0; i < WHEEL_SLOTS / 64; i++) assert_int_equal(wheel.occupied[i], 0);
}

static void the_last_instant_before_never_is_a_valid_deadline(void **state) {
    (void)state;
    reset(UINT64_C(1) << 60);
    set(&probes[0], TIMER_NEVER - 1);
    now += 100 * UINT64_C(1000000000);
    advance_all();
    assert_int_equal(fires, 0);
    assert_non_null(probes[0].timer.link);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_schedules_match_the_model),
        cmocka_unit_test(every_timer_fires_within_one_slot),
        cmocka_unit_test(at_most_256_fire_in_a_turn_and_the_rest_follow),
        cmocka_unit_test(a_moved_deadline_costs_no_refiling_and_does_not_fire_at_the_old_time),
        cmocka_unit_test(cancelling_all_empties_the_wheel),
        cmocka_unit_test(the_last_instant_before_never_is_a_valid_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
