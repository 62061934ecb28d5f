/* The client against a server in trouble, played by the test: nothing waits for long, everybody is told once, and it
 * comes back by itself. */
#include "redis_fixture.h"

#include <dlfcn.h>
#include <netdb.h>
#include <stdatomic.h>

static struct redis_script one;

/* Of a name under ".test" the look-up takes as long as the test says (the program's definition wins over the C
 * library's), and finds this machine. */
typedef int lookup_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);
static _Atomic bool lookup_held, lookup_fails;
static _Atomic unsigned lookups;

int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found) {
    lookup_fn *real = (lookup_fn *)(uintptr_t)dlsym(RTLD_NEXT, "getaddrinfo");
    if (strcmp(host, "redis.test") != 0) return real(host, port, hints, found);
    lookups++;
    while (lookup_held) pause_ms(1);
    if (lookup_fails) return EAI_NONAME;
    struct addrinfo numeric = *hints;
    numeric.ai_flags |= AI_NUMERICHOST;
    return real("127.0.0.1", port, &numeric, found);
}

static void ask_get(struct answer *a) {
    *a = (struct answer){0};
    assert_true(ask(a, NULL, 1, WORDS("GET", "k")));
}

static void hear_get(void) {
    UNTIL(server_hears("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"));
}

static void forget_peer(void) {
    fd_close(&peer);
    buf_clear(&heard);
}

static void a_refused_connection_takes_no_calls(void **state) {
    (void)state;
    struct answer a = {0};
    world_begin();
    server_listen(0);
    fd_close(&listener);
    client_begin((struct redis_options){0}, listener_port);
    assert_true(ask(&a, NULL, 1, WORDS("GET", "k"))); /* not known yet */
    UNTIL(a.count == 1);
    assert_int_equal(a.result.failure, REDIS_LOST);
    assert_false(a.result.sent);
    assert_false(ask(&a, NULL, 1, WORDS("GET", "k")));
    assert_false(redis_is_up(site));
    server_listen(listener_port);
    server_logs_in();
    ask_get(&a);
    hear_get();
    server_says("$1\r\nv\r\n");
    UNTIL(a.count == 1);
    assert_int_equal(a.result.failure, REDIS_OK);
    played_end();
}

static void a_name_that_is_not_resolved_holds_nobody_up(void **state) {
    (void)state;
    struct answer a;
    char port[8];
    world_begin();
    server_listen(0);
    lookup_held = true;
    snprintf(port, sizeof port, "%u", listener_port);
    client_begin(
        (struct redis_options){.host = SLICE("redis.test"), .port = slice_of(port), .timeout_ns = 50 * NS_PER_MS},
        listener_port);
    ask_get(&a);
    UNTIL(a.count == 1); /* the loop turns meanwhile */
    assert_int_equal(lookups, 1);
    assert_int_equal(a.result.failure, REDIS_TIMEOUT);
    assert_false(ask(&a, NULL, 1, WORDS("GET", "k")));
    lookup_fails = true;
    lookup_held = false;
    turns_for_ms(100);
    assert_false(redis_is_up(site));
    lookup_fails = false; /* it is asked for again by itself */
    server_logs_in();
    played_end();
}

static void a_connection_that_ends_fails_what_was_sent_and_keeps_what_was_not(void **state) {
    (void)state;
    struct answer first, a, b;
    played_begin(LONG_NS);
    ask_get(&first);
    hear_get();
    server_says("$1\r\nv\r\n");
    UNTIL(first.count == 1);
    ask_get(&a);
    hear_get();
    forget_peer();
    UNTIL(a.count == 1);
    assert_int_equal(a.result.failure, REDIS_LOST);
    assert_true(a.result.sent);
    ask_get(&b); /* it worked until now: this one waits for the new connection */
    server_logs_in();
    hear_get();
    server_says("$1\r\nw\r\n");
    UNTIL(b.count == 1);
    assert_string_equal(b.text, "w");
    assert_int_equal(stats().connects, 2);
    played_end();
}

/* The server ends after every byte of a login and two answers: nobody is told twice, nobody is forgotten. */
static void it_may_end_at_every_byte(void **state) {
    (void)state;
    static const char all[] = PROBE_ANSWER "$3\r\nabc\r\n*2\r\n:1\r\n$1\r\nx\r\n";
    for (size_t cut = 0; cut <= sizeof all - 1; cut++) {
        struct answer a, b;
        world_begin();
        server_listen(0);
        client_begin((struct redis_options){0}, listener_port);
        ask_get(&a);
        ask_get(&b);
        UNTIL(server_accepts());
        UNTIL(server_hears(probe_command()));
        size_t login = strlen(PROBE_ANSWER), n = cut < login ? cut : login;
        server_says_bytes(all, n);
        if (cut >= login) {
            hear_get();
            hear_get();
            server_says_bytes(all + login, cut - login);
        }
        forget_peer();
        UNTIL(a.count + b.count == 2);
        assert_int_equal(a.count, 1);
        enum redis_failure expected_a = cut >= login + 9 ? REDIS_OK : REDIS_LOST;
        enum redis_failure expected_b = cut >= sizeof all - 1 ? REDIS_OK : REDIS_LOST;
        assert_int_equal(a.result.failure, expected_a);
        assert_int_equal(b.result.failure, expected_b);
        assert_int_equal(a.result.sent, cut >= login);
        played_end();
    }
}

static const struct slice garbage[] = {
    SLICE_INIT("hello\r\n"),
    SLICE_INIT("HTTP/1.1 400 Bad Request\r\n\r\n"),
    SLICE_INIT("*-5\r\n"),
    SLICE_INIT("$-2\r\n"),
    SLICE_INIT("*2147483647\r\n"),
    SLICE_INIT("*4294967297\r\n"),
    SLICE_INIT("*70000\r\n"),
    SLICE_INIT("*40000\r\n*40000\r\n"),
    SLICE_INIT("*99999999999999999999999\r\n"),
    SLICE_INIT("%1\r\n+a\r\n+b\r\n"),
    SLICE_INIT(">2\r\n+message\r\n+x\r\n"),
    SLICE_INIT("*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n*1\r\n:1\r\n"),
    SLICE_INIT("$abc\r\n"),
    SLICE_INIT(":12x\r\n"),
    SLICE_INIT("\0"),
    SLICE_INIT("_\r\n"),
    SLICE_INIT("(12345678901234567890\r\n"),
};

static void garbage_closes_the_connection(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof garbage / sizeof garbage[0]; i++) {
        struct answer a;
        played_begin(LONG_NS);
        ask_get(&a);
        hear_get();
        server_says_bytes(garbage[i].p, garbage[i].n);
        UNTIL(a.count == 1);
        if (a.result.failure != REDIS_LOST) fail_msg("%.*s", (int)garbage[i].n, garbage[i].p);
        assert_false(ask(&a, NULL, 1, WORDS("GET", "k")));
        forget_peer();
        server_logs_in();
        played_end();
    }
}

static void an_answer_without_end_closes_the_connection(void **state) {
    (void)state;
    struct answer a;
    played_begin(LONG_NS);
    ask_get(&a);
    hear_get();
    server_says("$9999999999\r\n");
    char *much = mem_zalloc(65536);
    size_t sent = 0;
    while (a.count == 0) {
        ssize_t n = send(peer, much, 65536, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (n > 0) sent += (size_t)n;
        assert_true(sent < 64 * REDIS_REPLY_BYTES_MAX);
        turn();
    }
    mem_free(much);
    assert_int_equal(a.result.failure, REDIS_LOST);
    played_end();
}

static void what_nobody_asked_for_closes_the_connection(void **state) {
    (void)state;
    static const char *const said[] = {"+OK\r\n", "$1\r\nv\r\n+OK\r\n", "-LOADING\r\n"};
    for (int i = 0; i < 3; i++) {
        struct answer a = {0};
        played_begin(LONG_NS);
        if (i == 1) {
            ask_get(&a);
            hear_get();
        }
        server_says(said[i]);
        UNTIL(!redis_is_up(site));
        assert_int_equal(a.count, i == 1);
        if (i == 1) assert_int_equal(a.result.failure, REDIS_OK);
        assert_int_equal(stats().late_replies, 0);
        forget_peer();
        server_logs_in();
        played_end();
    }
}

/* One answered in the very turn another is queued: it is not sent yet, so nothing that comes can be its answer. */
static void an_answer_to_what_was_not_sent_yet_is_none(void **state) {
    (void)state;
    struct answer a;
    played_begin(LONG_NS);
    server_says("+OK\r\n");
    pause_ms(20);
    ask_get(&a);
    UNTIL(!redis_is_up(site));
    assert_int_equal(a.count, 1);
    assert_int_equal(a.result.failure, REDIS_LOST);
    assert_false(a.result.sent);
    played_end();
}

static void silence_opens_the_breaker_and_a_ping_closes_it(void **state) {
    (void)state;
    struct answer a[3];
    played_begin(1500 * NS_PER_MS); /* the last answer is in time, on a busy machine too */
    for (int i = 0; i < 3; i++) ask_get(&a[i]);
    UNTIL(a[0].count + a[1].count + a[2].count == 3);
    for (int i = 0; i < 3; i++) hear_get();
    assert_int_equal(stats().ended[REDIS_TIMEOUT], 3);
    struct answer refused = {0};
    assert_false(ask(&refused, NULL, 1, WORDS("GET", "k")));
    assert_false(redis_is_up(site));
    UNTIL(server_hears("*1\r\n$4\r\nPING\r\n"));
    server_says("$1\r\na\r\n$1\r\nb\r\n$1\r\nc\r\n+PONG\r\n");
    UNTIL(redis_is_up(site));
    assert_int_equal(stats().late_replies, 3);
    ask_get(&refused);
    hear_get();
    server_says("$1\r\nd\r\n");
    UNTIL(refused.count == 1);
    assert_string_equal(refused.text, "d");
    assert_int_equal(stats().connects, 1);
    played_end();
}

/* One answer that is late while others come in time says little. */
static void one_late_answer_among_others_opens_nothing(void **state) {
    (void)state;
    struct answer a[4];
    played_begin(1500 * NS_PER_MS);
    ask_get(&a[0]);
    turns_for_ms(300);
    ask_get(&a[1]);
    hear_get();
    server_says("$1\r\n0\r\n");
    UNTIL(a[0].count == 1); /* in time */
    assert_int_equal(a[0].result.failure, REDIS_OK);
    UNTIL(a[1].count == 1); /* something came since it was sent: perhaps only this one is slow */
    assert_int_equal(a[1].result.failure, REDIS_TIMEOUT);
    assert_true(redis_is_up(site));
    played_end();
}

static void long_silence_is_given_up(void **state) {
    (void)state;
    struct answer a[3];
    played_begin(20 * NS_PER_MS);
    for (int i = 0; i < 3; i++) ask_get(&a[i]);
    UNTIL(a[0].count + a[1].count + a[2].count == 3);
    char bytes[4096];
    UNTIL(recv(peer, bytes, sizeof bytes, 0) == 0); /* it hung up */
    forget_peer();
    server_logs_in();
    ask_get(&a[0]);
    played_end();
}

static void errors_of_a_server_in_trouble_open_the_breaker(void **state) {
    (void)state;
    static const char *const errors[] = {"-LOADING Redis is loading the dataset in memory\r\n",
                                         "-OOM command not allowed when used memory > 'maxmemory'.\r\n",
                                         "-NOPERM this user has no permissions\r\n"};
    for (size_t i = 0; i < sizeof errors / sizeof errors[0]; i++) {
        struct answer a;
        played_begin(LONG_NS);
        for (int n = 0; n < 3; n++) {
            ask_get(&a);
            hear_get();
            server_says(errors[i]);
            UNTIL(a.count == 1);
            assert_int_equal(a.result.failure, REDIS_REFUSED);
            assert_true(redis_error_is_trouble(a.result.error));
        }
        a = (struct answer){0};
        assert_false(ask(&a, NULL, 1, WORDS("GET", "k")));
        UNTIL(ask(&a, NULL, 1, WORDS("GET", "k"))); /* one on trial */
        struct answer other = {0};
        assert_false(ask(&other, NULL, 1, WORDS("GET", "k")));
        hear_get();
        server_says("$1\r\nv\r\n");
        UNTIL(a.count == 1);
        assert_true(redis_is_up(site));
        ask_get(&a);
        played_end();
    }
}

static void errors_of_the_call_itself_do_not(void **state) {
    (void)state;
    struct answer a;
    played_begin(LONG_NS);
    for (int n = 0; n < 10; n++) {
        ask_get(&a);
        hear_get();
        server_says("-WRONGTYPE Operation against a key holding the wrong kind of value\r\n");
        UNTIL(a.count == 1);
        assert_int_equal(a.result.error, REDIS_ERROR_OTHER);
    }
    assert_true(redis_is_up(site));
    played_end();
}

static void a_replica_is_left_for_what_the_name_points_to_now(void **state) {
    (void)state;
    struct answer a, waiting;
    played_begin(LONG_NS);
    for (int n = 0; n < 3; n++) {
        ask_get(&a);
        hear_get();
        if (n == 2) {
            ask_get(&waiting);
            hear_get();
        }
        server_says("-READONLY You can't write against a read only replica.\r\n");
        UNTIL(a.count == 1);
    }
    UNTIL(waiting.count == 1);
    assert_int_equal(waiting.result.failure, REDIS_LOST);
    forget_peer();
    server_logs_in();
    played_end();
}

static void a_server_that_never_answers_the_login_is_left(void **state) {
    (void)state;
    struct answer a;
    world_begin();
    server_listen(0);
    client_begin((struct redis_options){.timeout_ns = 50 * NS_PER_MS}, listener_port);
    ask_get(&a);
    UNTIL(a.count == 1);
    assert_int_equal(a.result.failure, REDIS_TIMEOUT);
    assert_false(a.result.sent);
    assert_false(ask(&a, NULL, 1, WORDS("GET", "k"))); /* nobody else waits for it */
    UNTIL(server_accepts());
    UNTIL(server_hears(probe_command()));
    server_says(PROBE_ANSWER);
    UNTIL(redis_is_up(site));
    turns_for_ms(20);
    assert_int_equal(recv(peer, (char[8]){0}, 8, 0), -1); /* what was given up is not sent after all */
    played_end();
}

static void a_login_may_be_answered_with_anything(void **state) {
    (void)state;
    static const char *const said[] = {"-NOPERM User default has no permissions to run the 'eval' command\r\n",
                                       "-LOADING Redis is loading the dataset in memory\r\n",
                                       "-ERR max number of clients reached\r\n",
                                       "-NOAUTH Authentication required.\r\n",
                                       "+OK\r\n",
                                       "nonsense\r\n",
                                       "*1\r\n"};
    for (size_t i = 0; i < sizeof said / sizeof said[0]; i++) {
        struct answer a;
        world_begin();
        server_listen(0);
        client_begin((struct redis_options){.timeout_ns = 100 * NS_PER_MS}, listener_port);
        ask_get(&a);
        UNTIL(server_accepts());
        server_says(said[i]);
        UNTIL(a.count == 1);
        assert_false(a.result.sent);
        forget_peer();
        server_logs_in();
        played_end();
    }
}

static void ask_again(void *context, const struct redis_result *r) {
    struct answer *a = context;
    answered(a, r);
    struct slice words[] = {SLICE("GET"), SLICE("k")};
    struct redis_call call = {.words = words, .word_count = 2, .key_count = 1, .done = ask_again, .context = a};
    a->again = redis_call(client, &call, NULL);
}

/* Who asks again whatever comes is not asked for ever: with the connection gone, it is not taken. */
static void a_callback_may_call_a_server_that_is_lost(void **state) {
    (void)state;
    struct answer a = {0};
    struct slice words[] = {SLICE("GET"), SLICE("k")};
    struct redis_call call = {.words = words, .word_count = 2, .key_count = 1, .done = ask_again, .context = &a};
    played_begin(LONG_NS);
    assert_true(redis_call(client, &call, NULL));
    hear_get();
    server_says("!\r\n");
    UNTIL(a.count == 1);
    assert_false(a.again);
    played_end();
}

int main(void) {
    redis_script_init(&one, SLICE("one"), SLICE("return 1"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_refused_connection_takes_no_calls),
        cmocka_unit_test(a_name_that_is_not_resolved_holds_nobody_up),
        cmocka_unit_test(a_connection_that_ends_fails_what_was_sent_and_keeps_what_was_not),
        cmocka_unit_test(it_may_end_at_every_byte),
        cmocka_unit_test(garbage_closes_the_connection),
        cmocka_unit_test(an_answer_without_end_closes_the_connection),
        cmocka_unit_test(what_nobody_asked_for_closes_the_connection),
        cmocka_unit_test(an_answer_to_what_was_not_sent_yet_is_none),
        cmocka_unit_test(silence_opens_the_breaker_and_a_ping_closes_it),
        cmocka_unit_test(one_late_answer_among_others_opens_nothing),
        cmocka_unit_test(long_silence_is_given_up),
        cmocka_unit_test(errors_of_a_server_in_trouble_open_the_breaker),
        cmocka_unit_test(errors_of_the_call_itself_do_not),
        cmocka_unit_test(a_replica_is_left_for_what_the_name_points_to_now),
        cmocka_unit_test(a_server_that_never_answers_the_login_is_left),
        cmocka_unit_test(a_login_may_be_answered_with_anything),
        cmocka_unit_test(a_callback_may_call_a_server_that_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
