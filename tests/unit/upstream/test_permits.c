/* Connection permits: never more out than there are, first come first served, and no worker that waits is forgotten. */
#include "unit.h"

#include "net/net_fixture.h"
#include "upstream/permits.h"

/* ---- one thread: who is told, and in which order ---- */

enum { WORKERS = 4 };

struct worker {
    struct permit_waiter waiter;
    struct inbox inbox;
    unsigned yields;
};

static struct permits permits;
static struct worker workers[WORKERS];
static _Atomic unsigned idle_counts[WORKERS];
static char order[32]; /* who was told, in order */

static struct worker *worker_of(struct message *m, size_t offset) {
    return (struct worker *)((char *)m - offset);
}

static void told(struct message *m, void *context) {
    (void)context;
    struct worker *w = worker_of(m, offsetof(struct worker, waiter.message));
    permits_heard(&permits, &w->waiter);
    order[strlen(order)] = (char)('A' + (w - workers));
}

static void yield_wanted(struct message *m, void *context) {
    (void)context;
    struct worker *w = worker_of(m, offsetof(struct worker, waiter.yield));
    w->yields += permits_yield_heard(&permits, &w->waiter);
}

static void begin(uint64_t max) {
    memset(workers, 0, sizeof workers);
    memset(order, 0, sizeof order);
    permits_init(&permits, max);
    for (int i = 0; i < WORKERS; i++) {
        struct permit_waiter *w = &workers[i].waiter;
        inbox_init(&workers[i].inbox, loop, 4, NULL);
        atomic_store(&idle_counts[i], 0);
        w->inbox = &workers[i].inbox;
        w->message.run = told;
        w->yield.run = yield_wanted;
        w->idle_count = &idle_counts[i];
        permits_join(&permits, w);
    }
}

static void end(void) {
    for (int i = 0; i < WORKERS; i++) inbox_clear(&workers[i].inbox);
    permits_clear(&permits);
}

static void expect_told(const char *expected) {
    RUN_MS(20);
    assert_string_equal(order, expected);
}

static void no_more_are_taken_than_there_are(void **state) {
    (void)state;
    begin(3);
    for (int i = 0; i < 3; i++) assert_true(permits_take(&permits));
    assert_false(permits_take(&permits));
    permits_give(&permits);
    assert_true(permits_take(&permits));
    assert_false(permits_take(&permits));
    end();
}

static void one_freed_permit_tells_the_first_in_line_only(void **state) {
    (void)state;
    begin(2);
    assert_true(permits_take(&permits) && permits_take(&permits));
    for (int i = 0; i < 3; i++) permits_wait(&permits, &workers[i].waiter);
    permits_wait(&permits, &workers[0].waiter); /* again: keeps its place */
    assert_true(permits_contended(&permits));
    expect_told("");
    permits_give(&permits);
    expect_told("A");
    assert_true(permits_take(&permits));
    permits_give(&permits);
    expect_told("AB");
    assert_true(permits_take(&permits));
    permits_give(&permits);
    expect_told("ABC");
    assert_false(permits_contended(&permits));
    end();
}

static void who_comes_too_late_goes_to_the_end(void **state) {
    (void)state;
    begin(1);
    assert_true(permits_take(&permits));
    permits_wait(&permits, &workers[0].waiter);
    permits_wait(&permits, &workers[1].waiter);
    permits_give(&permits);
    expect_told("A");
    assert_true(permits_take(&permits)); /* somebody else was faster */
    assert_false(permits_take(&permits));
    permits_wait(&permits, &workers[0].waiter);
    permits_give(&permits);
    expect_told("AB");
    permits_pass(&permits); /* B has no use for it */
    expect_told("ABA");
    end();
}

static void who_left_the_line_is_not_told(void **state) {
    (void)state;
    begin(1);
    assert_true(permits_take(&permits));
    for (int i = 0; i < 4; i++) permits_wait(&permits, &workers[i].waiter);
    permits_leave(&permits, &workers[3].waiter); /* the last, the first, and again */
    permits_leave(&permits, &workers[0].waiter);
    permits_leave(&permits, &workers[0].waiter);
    permits_give(&permits);
    expect_told("B");
    assert_true(permits_take(&permits));
    permits_wait(&permits, &workers[3].waiter); /* the line's end is still in order */
    permits_give(&permits);
    expect_told("BC");
    assert_true(permits_take(&permits));
    permits_give(&permits);
    expect_told("BCD");
    end();
}

static void a_permit_freed_before_the_wait_is_told_at_once(void **state) {
    (void)state;
    begin(1);
    assert_true(permits_take(&permits));
    assert_false(permits_take(&permits));
    permits_give(&permits); /* nobody is in the line yet */
    permits_wait(&permits, &workers[2].waiter);
    expect_told("C");
    end();
}

static void a_closed_inbox_is_passed_over(void **state) {
    (void)state;
    begin(1);
    assert_true(permits_take(&permits));
    permits_wait(&permits, &workers[0].waiter);
    permits_wait(&permits, &workers[1].waiter);
    inbox_clear(&workers[0].inbox);
    permits_give(&permits);
    expect_told("B");
    inbox_init(&workers[0].inbox, loop, 4, NULL);
    end();
}

static void who_sits_on_idle_connections_is_asked_for_one(void **state) {
    (void)state;
    begin(2);
    assert_true(permits_take(&permits) && permits_take(&permits));
    atomic_store(&idle_counts[0], 1); /* the one that waits is not asked for its own */
    atomic_store(&idle_counts[2], 2);
    permits_wait(&permits, &workers[0].waiter);
    RUN_MS(20);
    assert_int_equal(workers[2].yields, 1);
    assert_int_equal(workers[0].yields + workers[1].yields + workers[3].yields, 0);
    expect_told("");
    end();
}

/* ---- threads: everybody gets its permits, or a wake-up was lost ---- */

enum { THREADS = 3, TAKES = 3000 };

struct racer {
    struct permit_waiter waiter;
    struct inbox inbox;
    struct loop *loop;
    struct loop_task step;
    struct timer patience;
    _Atomic unsigned idle_count;
    unsigned taken;
    bool holding, late;
};

static struct racer racers[THREADS];
static _Atomic unsigned held;
static _Atomic bool over_max;

static void racer_step(struct loop_task *task) {
    struct racer *r = (struct racer *)((char *)task - offsetof(struct racer, step));
    if (r->holding) {
        r->holding = false;
        atomic_fetch_sub(&held, 1);
        permits_give(&permits);
        if (++r->taken == TAKES) {
            loop_stop(r->loop);
            return;
        }
    } else if (permits_take(&permits)) {
        r->holding = true;
        if (atomic_fetch_add(&held, 1) >= permits.max) atomic_store(&over_max, true);
    } else {
        permits_wait(&permits, &r->waiter);
        return;
    }
    loop_defer(r->loop, &r->step);
}

static void racer_told(struct message *m, void *context) {
    struct racer *r = context;
    (void)m;
    permits_heard(&permits, &r->waiter);
    loop_defer(r->loop, &r->step);
}

static void racer_yield(struct message *m, void *context) {
    struct racer *r = context;
    (void)m;
    permits_yield_heard(&permits, &r->waiter);
}

static void racer_late(struct timer *t) {
    struct racer *r = (struct racer *)((char *)t - offsetof(struct racer, patience));
    r->late = true;
    loop_stop(r->loop);
}

static void *racer_run(void *context) {
    struct racer *r = context;
    timer_set(&r->loop->wheel, &r->patience, clock_now_ns() + 3 * PATIENCE_NS);
    loop_defer(r->loop, &r->step);
    loop_run(r->loop);
    timer_cancel(&r->loop->wheel, &r->patience);
    return NULL;
}

static void race(uint64_t max) {
    pthread_t threads[THREADS];
    memset(racers, 0, sizeof racers);
    permits_init(&permits, max);
    for (int i = 0; i < THREADS; i++) {
        struct racer *r = &racers[i];
        r->loop = loop_new();
        inbox_init(&r->inbox, r->loop, 16, r);
        r->step.run = racer_step;
        r->patience.fire = racer_late;
        r->waiter.inbox = &r->inbox;
        r->waiter.message.run = racer_told;
        r->waiter.yield.run = racer_yield;
        r->waiter.idle_count = &r->idle_count;
        permits_join(&permits, &r->waiter);
    }
    for (int i = 0; i < THREADS; i++) assert_int_equal(pthread_create(&threads[i], NULL, racer_run, &racers[i]), 0);
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    for (int i = 0; i < THREADS; i++) {
        assert_false(racers[i].late);
        assert_int_equal(racers[i].taken, TAKES);
        inbox_clear(&racers[i].inbox);
        loop_free(racers[i].loop);
    }
    assert_false(atomic_load(&over_max));
    assert_int_equal(atomic_load(&permits.used), 0);
    assert_int_equal(atomic_load(&permits.waiting_count), 0);
    permits_clear(&permits);
}

static void no_wake_is_lost_between_threads(void **state) {
    (void)state;
    race(1);
    race(2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        NET_TEST(no_more_are_taken_than_there_are),
        NET_TEST(one_freed_permit_tells_the_first_in_line_only),
        NET_TEST(who_comes_too_late_goes_to_the_end),
        NET_TEST(who_left_the_line_is_not_told),
        NET_TEST(a_permit_freed_before_the_wait_is_told_at_once),
        NET_TEST(a_closed_inbox_is_passed_over),
        NET_TEST(who_sits_on_idle_connections_is_asked_for_one),
        cmocka_unit_test(no_wake_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
