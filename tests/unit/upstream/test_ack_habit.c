/* When acknowledgements are put off: never before tokens come closely, and never for long on a peer that waits for
 * them. The peer here is a model: one that sends every `gap` and, when it waits for acknowledgements as Nagle's
 * algorithm does, is held up by the kernel's timer for as long as the kernel puts them off. */
#include "unit.h"

#include "upstream/ack_habit.h"

#define MS UINT64_C(1000000)

struct peer {
    bool waits;       /* for the acknowledgement of what it sent, before it sends more */
    bool put_off;     /* by the kernel; until its timer had to run out */
    unsigned held_up; /* how often the timer held it up */
    uint64_t now_ns;
};

/* One segment; returns whether the habit asked for late acknowledgements. */
static bool segment(struct peer *p, struct ack_habit *h, struct ack_peer *known, uint64_t gap_ns, bool *owed) {
    uint64_t late_ns = *owed && p->put_off && p->waits ? ACK_TIMER_NS : 0;
    if (*owed && p->put_off && (late_ns > gap_ns || gap_ns >= ACK_TIMER_NS)) {
        p->held_up += late_ns > gap_ns;
        p->put_off = false;
    }
    p->now_ns += gap_ns > late_ns ? gap_ns : late_ns;
    *owed = p->put_off && !*owed; /* a second one is acknowledged at once */
    bool asked = ack_habit_heard(h, known, p->now_ns);
    p->put_off |= asked;
    return asked;
}

static unsigned stream(struct peer *p, struct ack_habit *h, struct ack_peer *known, uint64_t gap_ns, int segments) {
    unsigned asked = 0;
    bool owed = false;
    for (int i = 0; i < segments; i++) asked += segment(p, h, known, gap_ns, &owed);
    return asked;
}

static void tokens_that_come_slowly_are_acknowledged_at_once(void **state) {
    (void)state;
    struct peer p = {.now_ns = 1000 * MS};
    struct ack_habit h = {0};
    struct ack_peer known = {0};
    assert_int_equal(stream(&p, &h, &known, 50 * MS, 1000), 0);
    assert_int_equal(known.failed_trials, 0);
}

static void an_answer_in_a_few_segments_costs_nothing(void **state) {
    (void)state;
    struct ack_peer known = {0};
    struct ack_habit h = {0};
    struct peer p = {.now_ns = 1000 * MS};
    for (int answer = 0; answer < 1000; answer++) {
        assert_int_equal(stream(&p, &h, &known, MS, 3), 0);
        p.now_ns += 100 * MS;
    }
}

static void a_steady_stream_asks_once(void **state) {
    (void)state;
    struct peer p = {.now_ns = 1000 * MS};
    struct ack_habit h = {0};
    struct ack_peer known = {.failed_trials = 2};
    assert_int_equal(stream(&p, &h, &known, 20 * MS, 10000), 1);
    assert_true(p.put_off);
    assert_int_equal(known.failed_trials, 0); /* it went well: others before it were pauses */
}

static void it_asks_again_after_a_pause(void **state) {
    (void)state;
    struct peer p = {.now_ns = 1000 * MS};
    struct ack_habit h = {0};
    struct ack_peer known = {0};
    for (int run = 0; run < 100; run++) {
        assert_int_equal(stream(&p, &h, &known, 20 * MS, 100), 1);
        p.now_ns += 500 * MS;
    }
    assert_int_equal(known.failed_trials, 0);
}

static void a_peer_that_waits_for_them_is_held_up_three_times_in_all(void **state) {
    (void)state;
    for (uint64_t gap_ns = MS; gap_ns < 30 * MS; gap_ns += MS) {
        struct ack_peer known = {0};
        unsigned held_up = 0;
        for (int connection = 0; connection < 20; connection++) {
            struct peer p = {.waits = true, .now_ns = 1000 * MS};
            struct ack_habit h = {0};
            stream(&p, &h, &known, gap_ns, 500);
            held_up += p.held_up;
        }
        assert_int_equal(held_up, 3);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_that_come_slowly_are_acknowledged_at_once),
        cmocka_unit_test(an_answer_in_a_few_segments_costs_nothing),
        cmocka_unit_test(a_steady_stream_asks_once),
        cmocka_unit_test(it_asks_again_after_a_pause),
        cmocka_unit_test(a_peer_that_waits_for_them_is_held_up_three_times_in_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
