/* The client against a server that the test plays: what is sent, when, and what callers are told. */
#include "redis_fixture.h"

static struct redis_script one;

static void nothing_is_sent_before_the_turn_ends_then_all_at_once(void **state) {
    (void)state;
    struct answer a = {0}, b = {0}, c = {0};
    played_begin(LONG_NS);
    assert_true(ask(&a, NULL, 1, WORDS("GET", "k")));
    assert_true(ask(&b, NULL, 1, WORDS("GET", "")));
    assert_true(ask(&c, &one, 1, WORDS("{t}k", "arg")));
    assert_int_equal(redis_client_waiting(client), 3);
    char expected[512];
    snprintf(expected, sizeof expected,
             "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*2\r\n$3\r\nGET\r\n$0\r\n\r\n"
             "*5\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n1\r\n$4\r\n{t}k\r\n$3\r\narg\r\n",
             one.sha1);
    UNTIL(server_hears(expected));
    assert_int_equal(a.count, 0);
    server_says("$2\r\nv1\r\n$-1\r\n*2\r\n:7\r\n+x\r\n");
    UNTIL(c.count == 1);
    assert_int_equal(a.count + b.count, 2);
    assert_int_equal(a.type, REDIS_STRING);
    assert_string_equal(a.text, "v1");
    assert_int_equal(b.type, REDIS_NIL);
    assert_int_equal(c.items, 2);
    assert_int_equal(redis_client_waiting(client), 0);
    assert_int_equal(stats().ended[REDIS_OK], 3);
    assert_true(redis_is_up(site));
    played_end();
}

static void what_the_options_say_is_said_at_login(void **state) {
    (void)state;
    world_begin();
    server_listen(0);
    client_begin((struct redis_options){.user = SLICE("me"), .password = {"p\r\n\0s", 5}, .database = 3},
                 listener_port);
    UNTIL(server_accepts());
    char expected[2048];
    int n = snprintf(expected, sizeof expected, "*3\r\n$4\r\nAUTH\r\n$2\r\nme\r\n$5\r\np\r\n");
    UNTIL(server_hears(expected));
    (void)n;
    assert_memory_equal(heard.data + heard.start, "\0s\r\n", 4);
    buf_consume(&heard, 4);
    snprintf(expected, sizeof expected, "*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n%s", probe_command());
    UNTIL(server_hears(expected));
    server_says("+OK\r\n+OK\r\n");
    turns_for_ms(20);
    assert_false(redis_client_is_up(client));
    server_says(PROBE_ANSWER);
    UNTIL(redis_client_is_up(client));
    played_end();
}

static void a_password_alone_is_that_of_the_default_user(void **state) {
    (void)state;
    world_begin();
    server_listen(0);
    client_begin((struct redis_options){.password = SLICE("secret")}, listener_port);
    UNTIL(server_accepts());
    UNTIL(server_hears("*2\r\n$4\r\nAUTH\r\n$6\r\nsecret\r\n"));
    server_says("-WRONGPASS invalid username-password pair or user is disabled.\r\n");
    fd_close(&peer);
    buf_clear(&heard);
    struct answer a = {0};
    UNTIL(!ask(&a, NULL, 1, WORDS("GET", "k"))); /* the breaker is open */
    UNTIL(server_accepts());                     /* it tries again */
    played_end();
}

static void calls_made_before_it_is_connected_wait_for_that(void **state) {
    (void)state;
    struct answer a = {0};
    world_begin();
    server_listen(0);
    client_begin((struct redis_options){0}, listener_port);
    assert_true(ask(&a, NULL, 1, WORDS("GET", "k")));
    UNTIL(server_accepts());
    UNTIL(server_hears(probe_command()));
    turns_for_ms(20);
    assert_int_equal(buf_length(&heard), 0);
    server_says(PROBE_ANSWER);
    UNTIL(server_hears("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"));
    server_says("$1\r\nv\r\n");
    UNTIL(a.count == 1);
    assert_string_equal(a.text, "v");
    played_end();
}

/* The same answers whole, byte by byte, and cut at random. */
static void answers_arrive_in_any_cut(void **state) {
    (void)state;
    static const char all[] =
        "$5\r\na\r\nbc\r\n:-42\r\n*3\r\n*2\r\n:1\r\n$0\r\n\r\n$-1\r\n+fine\r\n*0\r\n*-1\r\n-ERR no\r\n";
    unsigned seed = 11;
    for (int cut_max = 1; cut_max <= 64; cut_max *= 4) {
        struct answer a[6] = {{0}};
        played_begin(LONG_NS);
        for (int i = 0; i < 6; i++) assert_true(ask(&a[i], NULL, 1, WORDS("GET", "k")));
        for (int i = 0; i < 6; i++) UNTIL(server_hears("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"));
        for (size_t at = 0; at < sizeof all - 1;) {
            size_t n = 1 + (size_t)rand_r(&seed) % (size_t)cut_max;
            if (n > sizeof all - 1 - at) n = sizeof all - 1 - at;
            server_says_bytes(all + at, n);
            at += n;
            turn();
        }
        UNTIL(a[5].count == 1);
        for (int i = 0; i < 6; i++) assert_int_equal(a[i].count, 1);
        assert_string_equal(a[0].text, "a\r\nbc");
        assert_int_equal(a[1].integer, -42);
        assert_int_equal(a[2].items, 3);
        assert_int_equal(a[3].type, REDIS_ARRAY);
        assert_int_equal(a[4].type, REDIS_NIL);
        assert_int_equal(a[5].result.failure, REDIS_REFUSED);
        assert_int_equal(a[5].result.error, REDIS_ERROR_OTHER);
        assert_string_equal(a[5].text, "ERR no");
        played_end();
    }
}

static void a_script_the_server_lost_is_sent_again_as_text(void **state) {
    (void)state;
    struct answer a = {0}, b = {0};
    char expected[512];
    played_begin(LONG_NS);
    assert_true(ask(&a, &one, 1, WORDS("key", "arg")));
    assert_true(ask(&b, NULL, 1, WORDS("GET", "k")));
    snprintf(expected, sizeof expected,
             "*5\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n1\r\n$3\r\nkey\r\n$3\r\narg\r\n*2\r\n$3\r\nGET\r\n$1\r\nk\r\n",
             one.sha1);
    UNTIL(server_hears(expected));
    server_says("-NOSCRIPT No matching script. Please use EVAL.\r\n$1\r\nv\r\n");
    UNTIL(server_hears("*5\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n1\r\n$3\r\nkey\r\n$3\r\narg\r\n"));
    assert_int_equal(a.count, 0);
    assert_int_equal(b.count, 1);
    server_says(":1\r\n");
    UNTIL(a.count == 1);
    assert_int_equal(a.result.failure, REDIS_OK);
    assert_int_equal(a.integer, 1);
    assert_int_equal(stats().script_loads, 1);
    /* A server that knows no script at all is not asked for ever. */
    assert_true(ask(&a, &one, 0, WORDS("x")));
    snprintf(expected, sizeof expected, "*4\r\n$7\r\nEVALSHA\r\n$40\r\n%s\r\n$1\r\n0\r\n$1\r\nx\r\n", one.sha1);
    UNTIL(server_hears(expected));
    server_says("-NOSCRIPT\r\n");
    UNTIL(server_hears("*4\r\n$4\r\nEVAL\r\n$8\r\nreturn 1\r\n$1\r\n0\r\n$1\r\nx\r\n"));
    server_says("-NOSCRIPT\r\n");
    UNTIL(a.count == 2);
    assert_int_equal(a.result.error, REDIS_ERROR_NOSCRIPT);
    played_end();
}

static void a_late_answer_is_dropped_and_the_next_is_not_mistaken(void **state) {
    (void)state;
    struct answer slow = {0}, quick = {0};
    played_begin(1500 * NS_PER_MS); /* the quick answer is in time, on a busy machine too */
    assert_true(ask(&slow, NULL, 1, WORDS("GET", "slow")));
    UNTIL(slow.count == 1);
    assert_int_equal(slow.result.failure, REDIS_TIMEOUT);
    assert_true(slow.result.sent);
    assert_true(slow.result.waited_ns >= 1500 * NS_PER_MS);
    UNTIL(server_hears("*2\r\n$3\r\nGET\r\n$4\r\nslow\r\n"));
    UNTIL(server_hears("*1\r\n$4\r\nPING\r\n"));
    server_says("$4\r\nslow\r\n+PONG\r\n");
    UNTIL(ask(&quick, NULL, 1, WORDS("GET", "quick")));
    UNTIL(server_hears("*2\r\n$3\r\nGET\r\n$5\r\nquick\r\n"));
    server_says("$5\r\nquick\r\n");
    UNTIL(quick.count == 1);
    assert_string_equal(quick.text, "quick");
    assert_int_equal(slow.count, 1);
    assert_int_equal(stats().late_replies, 1);
    played_end();
}

static void who_cancels_hears_nothing(void **state) {
    (void)state;
    struct answer early = {0}, late = {0}, kept = {0}, done = {0};
    played_begin(LONG_NS);
    assert_true(ask(&late, NULL, 1, WORDS("GET", "late")));
    UNTIL(server_hears("*2\r\n$3\r\nGET\r\n$4\r\nlate\r\n"));
    assert_true(ask(&early, NULL, 1, WORDS("GET", "early")));
    assert_true(ask(&kept, NULL, 1, WORDS("GET", "kept")));
    assert_true(redis_cancel(client, early.handle)); /* the turn has not ended: never sent */
    assert_false(redis_cancel(client, late.handle)); /* sent */
    assert_true(redis_cancel(client, late.handle));  /* harmless */
    assert_true(redis_cancel(client, (struct redis_handle){0}));
    UNTIL(server_hears("*2\r\n$3\r\nGET\r\n$4\r\nkept\r\n"));
    server_says("$1\r\n1\r\n$1\r\n2\r\n");
    UNTIL(kept.count == 1);
    assert_string_equal(kept.text, "2");
    assert_int_equal(early.count + late.count, 0);
    assert_true(ask(&done, NULL, 1, WORDS("GET", "done")));
    assert_true(redis_cancel(client, kept.handle)); /* an old handle does not name the slot's new call */
    UNTIL(server_hears("*2\r\n$3\r\nGET\r\n$4\r\ndone\r\n"));
    server_says("$1\r\n3\r\n");
    UNTIL(done.count == 1);
    assert_int_equal(stats().ended[REDIS_CANCELLED], 2);
    played_end();
}

static void closing_tells_everybody_once(void **state) {
    (void)state;
    struct answer a = {0}, b = {0};
    played_begin(LONG_NS);
    assert_true(ask(&a, NULL, 1, WORDS("GET", "a")));
    UNTIL(server_hears("*2\r\n$3\r\nGET\r\n$1\r\na\r\n"));
    assert_true(ask(&b, NULL, 1, WORDS("GET", "b")));
    client_end();
    assert_int_equal(a.count, 1);
    assert_int_equal(b.count, 1);
    assert_int_equal(a.result.failure, REDIS_CLOSED);
    assert_true(a.result.sent);
    assert_int_equal(b.result.failure, REDIS_CLOSED);
    assert_false(b.result.sent);
    turns_for_ms(10); /* the loop goes on without it */
    played_end();
}

static void chain(void *context, const struct redis_result *r) {
    struct answer *a = context;
    answered(a, r);
    if (a->count < 5) {
        struct slice words[] = {SLICE("INCR"), SLICE("n")};
        struct redis_call call = {.words = words, .word_count = 2, .key_count = 1, .done = chain, .context = a};
        assert_true(redis_call(client, &call, NULL));
    }
}

static void a_callback_may_call_again(void **state) {
    (void)state;
    struct answer a = {0};
    played_begin(LONG_NS);
    struct slice words[] = {SLICE("INCR"), SLICE("n")};
    struct redis_call call = {.words = words, .word_count = 2, .key_count = 1, .done = chain, .context = &a};
    assert_true(redis_call(client, &call, NULL));
    for (int i = 1; i <= 5; i++) {
        UNTIL(server_hears("*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"));
        char text[16];
        snprintf(text, sizeof text, ":%d\r\n", i);
        server_says(text);
        UNTIL(a.count == (unsigned)i);
        assert_int_equal(a.integer, i);
    }
    played_end();
}

static void nobody_needs_to_want_the_answer(void **state) {
    (void)state;
    struct answer a = {0};
    played_begin(LONG_NS);
    struct slice words[] = {SLICE("INCR"), SLICE("n")};
    struct redis_call call = {.words = words, .word_count = 2, .key_count = 1};
    assert_true(redis_call(client, &call, NULL));
    assert_true(ask(&a, NULL, 1, WORDS("GET", "n")));
    UNTIL(server_hears("*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n*2\r\n$3\r\nGET\r\n$1\r\nn\r\n"));
    server_says(":1\r\n$1\r\n1\r\n");
    UNTIL(a.count == 1);
    assert_int_equal(redis_client_waiting(client), 0);
    played_end();
}

/* Many in flight, and their memory is given back. */
static void thousands_wait_in_order_and_more_are_not_taken(void **state) {
    (void)state;
    static struct answer all[REDIS_CALLS_MAX];
    memset(all, 0, sizeof all);
    played_begin(LONG_NS);
    for (int i = 0; i < REDIS_CALLS_MAX; i++) assert_true(ask(&all[i], NULL, 1, WORDS("INCR", "n")));
    struct answer over = {0};
    assert_false(ask(&over, NULL, 1, WORDS("INCR", "n")));
    for (int i = 0; i < REDIS_CALLS_MAX; i++) UNTIL(server_hears("*2\r\n$4\r\nINCR\r\n$1\r\nn\r\n"));
    for (int i = 0; i < REDIS_CALLS_MAX; i++) {
        char text[16];
        snprintf(text, sizeof text, ":%d\r\n", i);
        server_says(text);
        if (i % 100 == 0) turn();
    }
    UNTIL(all[REDIS_CALLS_MAX - 1].count == 1);
    for (int i = 0; i < REDIS_CALLS_MAX; i++) {
        assert_int_equal(all[i].count, 1);
        assert_int_equal(all[i].integer, i);
    }
    assert_int_equal(over.count, 0);
    assert_int_equal(stats().ended[REDIS_UNTAKEN], 1);
    assert_true(ask(&over, NULL, 1, WORDS("INCR", "n")));
    played_end();
}

int main(void) {
    redis_script_init(&one, SLICE("one"), SLICE("return 1"));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_sent_before_the_turn_ends_then_all_at_once),
        cmocka_unit_test(what_the_options_say_is_said_at_login),
        cmocka_unit_test(a_password_alone_is_that_of_the_default_user),
        cmocka_unit_test(calls_made_before_it_is_connected_wait_for_that),
        cmocka_unit_test(answers_arrive_in_any_cut),
        cmocka_unit_test(a_script_the_server_lost_is_sent_again_as_text),
        cmocka_unit_test(a_late_answer_is_dropped_and_the_next_is_not_mistaken),
        cmocka_unit_test(who_cancels_hears_nothing),
        cmocka_unit_test(closing_tells_everybody_once),
        cmocka_unit_test(a_callback_may_call_again),
        cmocka_unit_test(nobody_needs_to_want_the_answer),
        cmocka_unit_test(thousands_wait_in_order_and_more_are_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
