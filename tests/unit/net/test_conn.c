/* A plain connection: what its owner is told, in which order, and that nothing is told from a downward call. */
#include "net_fixture.h"

/* ---- reading ---- */

static void stream_through(size_t cut_max, size_t take_max) {
    struct probe p;
    int peer;
    size_t n = cut_max == 1 ? 3000 : 300000;
    char *bytes = pattern_new(n);
    unsigned seed = 7;
    open_probe(&p, &peer);
    for (size_t sent = 0; sent < n || buf_length(&p.got) < n;) {
        size_t cut = cut_max > 1 ? 1 + (size_t)rand_r(&seed) % cut_max : 1;
        if (cut > n - sent) cut = n - sent;
        ssize_t went = cut > 0 ? send(peer, bytes + sent, cut, MSG_DONTWAIT) : 0;
        if (went > 0) sent += (size_t)went;
        p.take_max = take_max > 0 ? 1 + (size_t)rand_r(&seed) % take_max : 0;
        p.stop_on = "B";
        if (cut > 0 || !p.c->reading) {
            conn_read_resume(p.c);
            RUN();
        }
        if (sent == n && p.c->reading && buf_length(&p.got) < n) RUN();
    }
    assert_int_equal(buf_length(&p.got), n);
    assert_memory_equal(p.got.data + p.got.start, bytes, n);
    assert_int_equal(p.c->bytes_in, n);
    mem_free(bytes);
    probe_clear(&p);
    close(peer);
}

static void bytes_arrive_unchanged_whole_bytewise_and_cut(void **state) {
    (void)state;
    stream_through(300000, 0);
    stream_through(1, 0);
    stream_through(5000, 0);
    stream_through(60000, 20000);
}

static void what_is_not_taken_comes_again_only_after_resume(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    p.take_max = 2;
    send(peer, "abcdef", 6, 0);
    RUN_MS(20);
    assert_int_equal(p.calls, 1);
    p.downward = true;
    conn_read_resume(p.c);
    p.downward = false;
    RUN_MS(20);
    assert_int_equal(p.calls, 2);
    p.take_max = 0;
    conn_read_resume(p.c);
    RUN_MS(20);
    assert_int_equal(p.calls, 3);
    assert_memory_equal(p.got.data + p.got.start, "abcdef", 6);
    probe_clear(&p);
    close(peer);
}

static void unread_bytes_come_again_before_newer_ones(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    p.take_max = 1;
    send(peer, "cd", 2, 0);
    RUN_MS(20);
    buf_clear(&p.got);
    p.downward = true;
    conn_unread(p.c, "abc", 3);
    p.downward = false;
    p.take_max = 0;
    RUN_MS(20);
    assert_int_equal(buf_length(&p.got), 0); /* still paused */
    conn_read_resume(p.c);
    send(peer, "ef", 2, 0);
    RUN_MS(20);
    assert_int_equal(buf_length(&p.got), 6);
    assert_memory_equal(p.got.data + p.got.start, "abcdef", 6);
    probe_clear(&p);
    close(peer);
}

static void unread_while_reading_is_given_without_new_bytes(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    conn_unread(p.c, "pipelined", 9);
    p.stop_on = "B";
    RUN();
    assert_memory_equal(p.got.data + p.got.start, "pipelined", 9);
    probe_clear(&p);
    close(peer);
}

/* ---- sending ---- */

static void a_short_send_is_done_at_once_and_pieces_keep_their_order(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    struct iovec pieces[600];
    for (int i = 0; i < 600; i++) pieces[i] = (struct iovec){"0123456789" + i % 10, 1};
    enum send_result result = conn_send(p.c, pieces, 600);
    assert_true(result == SEND_DONE || result == SEND_QUEUED);
    assert_int_equal(conn_send(p.c, pieces, 0), SEND_DONE);
    RUN_MS(20);
    struct buf got = {0};
    fd_read(peer, &got, 600);
    assert_int_equal(buf_length(&got), 600);
    for (int i = 0; i < 600; i++) assert_int_equal(got.data[got.start + (size_t)i], '0' + i % 10);
    assert_int_equal(p.c->bytes_out, 600);
    buf_clear(&got);
    probe_clear(&p);
    close(peer);
}

static void a_full_socket_queues_says_over_and_drains_twice(void **state) {
    (void)state;
    struct probe p;
    int peer;
    size_t n = 8 << 20, sent = 0;
    char *bytes = pattern_new(n);
    open_probe(&p, &peer);
    int small = 8192; /* so that one send cannot empty the last 64 KiB */
    assert_int_equal(setsockopt(p.c->fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof small), 0);
    enum send_result result = SEND_DONE;
    bool queued = false;
    p.downward = true;
    while (sent < n && result != SEND_OVER) {
        result = conn_send_slice(p.c, (struct slice){bytes + sent, 50000});
        queued |= result == SEND_QUEUED;
        sent += 50000;
    }
    p.downward = false;
    assert_true(queued);
    assert_int_equal(result, SEND_OVER);
    assert_true(conn_queued_bytes(p.c) > CONN_HIGH_BYTES);
    assert_true(conn_queued_bytes(p.c) <= CONN_HIGH_BYTES + 50000);
    struct buf got = {0};
    for (int i = 0; i < 2000 && buf_length(&got) < sent; i++) {
        fd_read(peer, &got, buf_length(&got) + 30000);
        RUN_MS(1);
    }
    assert_int_equal(buf_length(&got), sent);
    assert_memory_equal(got.data + got.start, bytes, sent);
    assert_string_equal(p.log, "DD");
    assert_int_equal(conn_queued_bytes(p.c), 0);
    assert_int_equal(p.c->bytes_out, sent);
    assert_false(p.c->writing);
    buf_clear(&got);
    mem_free(bytes);
    probe_clear(&p);
    close(peer);
}

static void a_failed_send_is_told_later_and_what_the_peer_said_first_is_given(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    send(peer, "413 too large", 13, 0);
    fd_reset(peer);
    p.downward = true;
    enum send_result result = conn_send_slice(p.c, SLICE("more of the body"));
    assert_int_equal(result, SEND_FAILED);
    assert_int_equal(conn_send_slice(p.c, SLICE("x")), SEND_FAILED);
    p.downward = false;
    p.stop_on = "r";
    RUN();
    assert_int_equal(p.log[p.logged - 1], 'r');
    assert_int_equal(buf_length(&p.got), 13);
    probe_clear(&p);
}

static void bytes_queued_before_connected_go_out_first(void **state) {
    (void)state;
    struct sockaddr_in address;
    int listening = loopback_listener(&address);
    struct probe p = {.stop_on = "D"};
    p.c = conn_connect(loop, (struct sockaddr *)&address, sizeof address, NULL, NULL, &probe_ops, &p);
    assert_int_equal(conn_send_slice(p.c, SLICE("early")), SEND_QUEUED);
    RUN();
    assert_string_equal(p.log, "RD");
    assert_true(p.c->opened_ns <= p.c->connected_ns && p.c->connected_ns <= p.c->ready_ns);
    int peer = accept(listening, NULL, NULL);
    struct buf got = {0};
    fd_read(peer, &got, 5);
    assert_memory_equal(got.data + got.start, "early", 5);
    assert_true(conn_rtt_ns(p.c) > 0);
    char text[INET6_ADDRSTRLEN];
    assert_int_equal(conn_peer_text(p.c, text), 9);
    assert_string_equal(text, "127.0.0.1");
    buf_clear(&got);
    probe_clear(&p);
    close(peer);
    close(listening);
}

/* ---- closing ---- */

static void closing_within_any_callback_is_safe(void **state) {
    (void)state;
    static const char *const events[] = {"B", "E", "T", "H", "D", "R"};
    for (size_t i = 0; i < sizeof events / sizeof events[0]; i++) {
        struct probe p;
        int peer;
        open_probe(&p, &peer);
        p.close_on = p.stop_on = events[i];
        char what = events[i][0];
        if (what == 'B') send(peer, "x", 1, 0);
        if (what == 'E') shutdown(peer, SHUT_WR);
        if (what == 'T') conn_deadline_set(p.c, clock_now_ns() + NS_PER_MS);
        if (what == 'H') {
            conn_read_pause(p.c);
            send(peer, "x", 1, 0);
            shutdown(peer, SHUT_WR);
        }
        struct buf got = {0};
        if (what == 'D') {
            char *bytes = pattern_new(16 << 20);
            assert_int_equal(conn_send_slice(p.c, (struct slice){bytes, 16 << 20}), SEND_OVER);
            mem_free(bytes);
            for (int k = 0; k < 5000 && p.logged == 0; k++) {
                fd_read(peer, &got, SIZE_MAX);
                RUN_MS(1);
            }
        } else if (what == 'R') {
            struct sockaddr_in address;
            int listening = loopback_listener(&address);
            conn_close(p.c);
            p.c = conn_connect(loop, (struct sockaddr *)&address, sizeof address, NULL, NULL, &probe_ops, &p);
            RUN();
            close(listening);
        } else {
            RUN();
        }
        buf_clear(&got);
        assert_string_equal(p.log, events[i]);
        RUN_MS(5);
        assert_int_equal(loop_conn_count(loop), 0);
        assert_null(loop->closed);
        p.c = NULL;
        probe_clear(&p);
        close(peer);
    }
}

static void a_callback_may_close_another_connection_that_is_ready_in_the_same_turn(void **state) {
    (void)state;
    for (int order = 0; order < 2; order++) {
        struct probe a, b;
        int peer_a, peer_b;
        open_probe(&a, &peer_a);
        open_probe(&b, &peer_b);
        send(peer_a, "x", 1, 0);
        send(peer_b, "x", 1, 0);
        a.close_on = b.close_on = "B";
        a.victim = b.c;
        b.victim = a.c;
        RUN_MS(20);
        assert_int_equal(a.calls + b.calls, 1);
        assert_int_equal(loop_conn_count(loop), 0);
        a.c = b.c = NULL;
        probe_clear(&a);
        probe_clear(&b);
        close(peer_a);
        close(peer_b);
    }
}

static void close_in_a_send_failure_suppresses_on_close(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    fd_reset(peer);
    conn_send_slice(p.c, SLICE("x"));
    conn_close(p.c);
    conn_close(p.c);
    assert_int_equal(conn_send_slice(p.c, SLICE("x")), SEND_FAILED);
    RUN_MS(20);
    assert_string_equal(p.log, "");
    assert_null(loop->closed);
    p.c = NULL;
    probe_clear(&p);
}

static void close_sends_a_fin_and_abort_a_reset(void **state) {
    (void)state;
    struct probe p;
    int peer;
    char byte;
    open_probe(&p, &peer);
    conn_close(p.c);
    p.c = NULL;
    RUN_MS(10);
    assert_int_equal(recv(peer, &byte, 1, 0), 0);
    close(peer);
    open_probe(&p, &peer);
    conn_abort(p.c);
    p.c = NULL;
    RUN_MS(10);
    assert_int_equal(recv(peer, &byte, 1, 0), -1);
    assert_int_equal(errno, ECONNRESET);
    close(peer);
}

static void a_loop_freed_with_open_connections_frees_them(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    conn_unread(p.c, "x", 1);
    char byte;
    loop_free(loop);
    assert_int_equal(recv(peer, &byte, 1, 0), 0);
    close(peer);
    loop = loop_new();
}

static void a_deadline_fires_once_and_never_early(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    uint64_t begin = clock_now_ns();
    conn_deadline_set(p.c, begin + 10 * NS_PER_MS);
    conn_deadline_set(p.c, begin + 30 * NS_PER_MS);
    p.stop_on = "T";
    RUN();
    assert_true(clock_now_ns() - begin >= 30 * NS_PER_MS);
    RUN_MS(30);
    assert_string_equal(p.log, "T");
    conn_deadline_set(p.c, clock_now_ns() + 5 * NS_PER_MS);
    conn_deadline_set(p.c, TIMER_NEVER);
    RUN_MS(30);
    assert_string_equal(p.log, "T");
    probe_clear(&p);
    close(peer);
}

/* ---- lingering ---- */

static void lingering_delivers_all_output_though_the_peer_still_sends(void **state) {
    (void)state;
    struct probe p;
    int peer;
    size_t n = 3 << 20;
    char *bytes = pattern_new(n);
    open_probe(&p, &peer);
    send(peer, bytes, 20000, 0);
    conn_send_slice(p.c, (struct slice){bytes, n});
    conn_close_lingering(p.c);
    p.c = NULL;
    struct buf got = {0};
    ssize_t last = -1;
    for (int i = 0; i < 3000 && last != 0; i++) {
        if (i < 20) send(peer, bytes, 1000, 0);
        last = fd_read(peer, &got, buf_length(&got) + 50000);
        RUN_MS(1);
    }
    assert_int_equal(last, 0);
    assert_int_equal(buf_length(&got), n);
    assert_memory_equal(got.data + got.start, bytes, n);
    assert_int_equal(loop_conn_count(loop), 1); /* waits for the peer's end */
    close(peer);
    RUN_MS(10);
    assert_int_equal(loop_conn_count(loop), 0);
    assert_string_equal(p.log, "");
    buf_clear(&got);
    mem_free(bytes);
    probe_clear(&p);
}

static void lingering_ends_after_two_seconds_or_64_kib(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    conn_close_lingering(p.c);
    uint64_t begin = clock_now_ns();
    while (loop_conn_count(loop) > 0 && clock_now_ns() - begin < 6 * NS_PER_S) RUN_MS(50);
    assert_true(clock_now_ns() - begin >= 1990 * NS_PER_MS && clock_now_ns() - begin < 5 * NS_PER_S);
    p.c = NULL;
    close(peer);

    open_probe(&p, &peer);
    conn_close_lingering(p.c);
    p.c = NULL;
    char *bytes = pattern_new(100000);
    begin = clock_now_ns();
    for (size_t sent = 0; sent < 100000 && loop_conn_count(loop) > 0;) {
        ssize_t n = send(peer, bytes + sent, 100000 - sent, MSG_NOSIGNAL);
        if (n > 0) sent += (size_t)n;
        RUN_MS(5);
    }
    RUN_MS(5);
    assert_int_equal(loop_conn_count(loop), 0);
    assert_true(clock_now_ns() - begin < 1900 * NS_PER_MS);
    mem_free(bytes);
    close(peer);
}

static void lingering_on_a_broken_or_ended_connection_closes(void **state) {
    (void)state;
    struct probe p;
    int peer;
    open_probe(&p, &peer);
    fd_reset(peer);
    conn_send_slice(p.c, SLICE("x"));
    conn_close_lingering(p.c);
    assert_int_equal(loop_conn_count(loop), 0);
    open_probe(&p, &peer);
    shutdown(peer, SHUT_WR);
    p.stop_on = "E";
    RUN();
    conn_send_slice(p.c, SLICE("last"));
    conn_close_lingering(p.c);
    assert_int_equal(loop_conn_count(loop), 0);
    struct buf got = {0};
    assert_int_equal(fd_read(peer, &got, 5), 0);
    assert_int_equal(buf_length(&got), 4);
    buf_clear(&got);
    p.c = NULL;
    probe_clear(&p);
    close(peer);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        NET_TEST(bytes_arrive_unchanged_whole_bytewise_and_cut),
        NET_TEST(what_is_not_taken_comes_again_only_after_resume),
        NET_TEST(unread_bytes_come_again_before_newer_ones),
        NET_TEST(unread_while_reading_is_given_without_new_bytes),
        NET_TEST(a_short_send_is_done_at_once_and_pieces_keep_their_order),
        NET_TEST(a_full_socket_queues_says_over_and_drains_twice),
        NET_TEST(a_failed_send_is_told_later_and_what_the_peer_said_first_is_given),
        NET_TEST(bytes_queued_before_connected_go_out_first),
        NET_TEST(closing_within_any_callback_is_safe),
        NET_TEST(a_callback_may_close_another_connection_that_is_ready_in_the_same_turn),
        NET_TEST(close_in_a_send_failure_suppresses_on_close),
        NET_TEST(close_sends_a_fin_and_abort_a_reset),
        NET_TEST(a_loop_freed_with_open_connections_frees_them),
        NET_TEST(a_deadline_fires_once_and_never_early),
        NET_TEST(lingering_delivers_all_output_though_the_peer_still_sends),
        NET_TEST(lingering_ends_after_two_seconds_or_64_kib),
        NET_TEST(lingering_on_a_broken_or_ended_connection_closes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
