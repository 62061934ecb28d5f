/* A plain connection: how its end is told, also while nothing is read from it. */
#include "net_fixture.h"

/* ---- ends ---- */

static void a_reset_is_told_as_a_close(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    p.stop_on = "r";
    fd_reset(peer);
    RUN();
    assert_string_equal(p.log, "r");
    assert_string_equal(p.error, "Connection reset by peer");
    assert_int_equal(loop_conn_count(loop), 0);
    probe_clear(&p);
}

static void a_refused_connect_is_told_from_the_loop(void **state) {
    (void)state;
    struct sockaddr_in address;
    close(loopback_listener(&address));
    struct probe p = {.stop_on = "c", .downward = true};
    p.c = conn_connect(loop, (struct sockaddr *)&address, sizeof address, NULL, NULL, &probe_ops, &p);
    assert_non_null(p.c);
    p.downward = false;
    RUN();
    assert_string_equal(p.log, "c");
    assert_string_equal(p.error, "Connection refused");
    probe_clear(&p);
}

static void a_connect_that_fails_at_once_is_told_from_the_loop_too(void **state) {
    (void)state;
    struct sockaddr_in broadcast = {.sin_family = AF_INET, .sin_port = htons(9), .sin_addr.s_addr = INADDR_BROADCAST};
    struct probe p = {.stop_on = "c", .downward = true};
    p.c = conn_connect(loop, (struct sockaddr *)&broadcast, sizeof broadcast, NULL, NULL, &probe_ops, &p);
    assert_non_null(p.c);
    p.downward = false;
    RUN();
    assert_string_equal(p.log, "c");
    assert_true(p.error[0] != '\0');
    probe_clear(&p);
}

static void no_socket_to_be_had_returns_null(void **state) {
    (void)state;
    struct sockaddr bad = {.sa_family = 250};
    errno = 0;
    assert_null(conn_connect(loop, &bad, sizeof bad, NULL, NULL, &probe_ops, NULL));
    assert_int_equal(errno, EAFNOSUPPORT);
}

static void an_orderly_end_follows_the_bytes_and_sending_still_works(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    assert_int_equal(send(peer, "question", 8, 0), 8);
    shutdown(peer, SHUT_WR);
    p.stop_on = "E";
    RUN();
    assert_string_equal(p.log, "BE");
    assert_int_equal(conn_send_slice(p.c, SLICE("answer")), SEND_DONE);
    struct buf got = {0};
    RUN_MS(20);
    fd_read(peer, &got, 6);
    assert_int_equal(buf_length(&got), 6);
    assert_string_equal(p.log, "BE");
    buf_clear(&got);
    probe_clear(&p);
    close(peer);
}

static void a_reset_after_the_orderly_end_is_told_though_nothing_is_read(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    shutdown(peer, SHUT_WR);
    p.stop_on = "E";
    RUN();
    fd_reset(peer);
    p.stop_on = "r";
    RUN();
    assert_string_equal(p.log, "Er");
    probe_clear(&p);
}

static void a_half_closed_idle_connection_does_not_turn_the_loop(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    shutdown(peer, SHUT_WR);
    p.stop_on = "E";
    RUN();
    uint64_t before = loop->turns;
    RUN_MS(50);
    assert_true(loop->turns - before < 8);
    probe_clear(&p);
    close(peer);
}

/* ---- a peer that leaves while reading is paused ---- */

static void paused_a_fin_with_nothing_before_it_is_told_at_once(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    conn_read_pause(p.c);
    close(peer);
    p.stop_on = "E";
    RUN();
    assert_string_equal(p.log, "E");
    probe_clear(&p);
}

static void paused_a_fin_behind_bytes_is_a_hangup_then_bytes_then_eof(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    conn_read_pause(p.c);
    send(peer, "tail", 4, 0);
    close(peer);
    p.stop_on = "H";
    RUN();
    uint64_t before = loop->turns;
    RUN_MS(50);
    assert_true(loop->turns - before < 8);
    assert_string_equal(p.log, "H");
    conn_read_resume(p.c);
    p.stop_on = "E";
    RUN();
    assert_string_equal(p.log, "HBE");
    assert_int_equal(buf_length(&p.got), 4);
    probe_clear(&p);
}

static void paused_a_later_fin_is_seen_after_bytes_came(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    conn_read_pause(p.c);
    send(peer, "tail", 4, 0);
    RUN_MS(20);
    assert_string_equal(p.log, "");
    close(peer);
    p.stop_on = "H";
    RUN();
    assert_string_equal(p.log, "H");
    probe_clear(&p);
}

static void paused_a_reset_is_told_at_once(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    conn_read_pause(p.c);
    fd_reset(peer);
    p.stop_on = "r";
    RUN();
    assert_string_equal(p.log, "r");
    probe_clear(&p);
}

static void paused_long_ago_a_reset_is_told_and_does_not_spin(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    conn_read_pause(p.c);
    send(peer, "x", 1, 0);
    RUN_MS(20); /* now nothing is armed for reading */
    fd_reset(peer);
    p.stop_on = "Hr";
    RUN();
    uint64_t before = loop->turns;
    p.stop_on = NULL;
    RUN_MS(50);
    assert_true(loop->turns - before < 8);
    if (p.c != NULL) {
        assert_string_equal(p.log, "H");
        conn_read_resume(p.c);
        p.stop_on = "r";
        RUN();
    }
    assert_int_equal(p.log[p.logged - 1], 'r');
    probe_clear(&p);
}

static void kept_bytes_hold_the_end_back_but_not_the_hangup(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    p.take_max = 3;
    send(peer, "abcdef", 6, 0);
    close(peer);
    p.stop_on = "H";
    RUN();
    assert_string_equal(p.log, "BH");
    p.take_max = 0;
    conn_read_resume(p.c);
    p.stop_on = "E";
    RUN();
    assert_string_equal(p.log, "BHBE");
    assert_memory_equal(p.got.data + p.got.start, "abcdef", 6);
    probe_clear(&p);
}

static void paused_output_still_flows(void **state) {
    (void)state;
    struct probe p;
    int peer;
    size_t n = 6 << 20;
    char *bytes = pattern_new(n);
    open_probe(&p, &peer);
    conn_read_pause(p.c);
    send(peer, "x", 1, 0);
    RUN_MS(20); /* watching from here on */
    assert_true(p.c->watching);
    assert_int_equal(conn_send_slice(p.c, (struct slice){bytes, n}), SEND_OVER);
    struct buf got = {0};
    for (int i = 0; i < 2000 && buf_length(&got) < n; i++) {
        fd_read(peer, &got, n);
        RUN_MS(2);
    }
    assert_int_equal(buf_length(&got), n);
    assert_memory_equal(got.data + got.start, bytes, n);
    assert_int_equal(p.log[p.logged - 1], 'D');
    buf_clear(&got);
    mem_free(bytes);
    probe_clear(&p);
    close(peer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        NET_TEST(a_reset_is_told_as_a_close),
        NET_TEST(a_refused_connect_is_told_from_the_loop),
        NET_TEST(a_connect_that_fails_at_once_is_told_from_the_loop_too),
        NET_TEST(no_socket_to_be_had_returns_null),
        NET_TEST(an_orderly_end_follows_the_bytes_and_sending_still_works),
        NET_TEST(a_reset_after_the_orderly_end_is_told_though_nothing_is_read),
        NET_TEST(a_half_closed_idle_connection_does_not_turn_the_loop),
        NET_TEST(paused_a_fin_with_nothing_before_it_is_told_at_once),
        NET_TEST(paused_a_fin_behind_bytes_is_a_hangup_then_bytes_then_eof),
        NET_TEST(paused_a_later_fin_is_seen_after_bytes_came),
        NET_TEST(paused_a_reset_is_told_at_once),
        NET_TEST(paused_long_ago_a_reset_is_told_and_does_not_spin),
        NET_TEST(kept_bytes_hold_the_end_back_but_not_the_hangup),
        NET_TEST(paused_output_still_flows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
