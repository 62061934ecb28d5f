/* The resolver with a getaddrinfo(3) of the test's own (the program's definition wins over the C library's), so that
 * times, failures and counts are known; and once with the real one. The clock is the test's own too, and stands still
 * where a time to live is what a test is about. */
#include "net_fixture.h"

#include <dlfcn.h>
#include <netdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

#include "net/resolver.h"

static _Atomic uint64_t stands_at_ns; /* 0: it runs */

static uint64_t read_clock(clockid_t id) {
    struct timespec t;
    clock_gettime(id, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

uint64_t clock_now_ns(void) {
    uint64_t ns = stands_at_ns;
    return ns != 0 ? ns : read_clock(CLOCK_MONOTONIC);
}

int64_t clock_real_ns(void) {
    return (int64_t)read_clock(CLOCK_REALTIME);
}

static void time_stands(void) {
    stands_at_ns = read_clock(CLOCK_MONOTONIC);
}

static void time_passes(unsigned ms) {
    stands_at_ns += ms * NS_PER_MS;
}

static void pause_ms(long ms) {
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

typedef int lookup_fn(const char *, const char *, const struct addrinfo *, struct addrinfo **);
static _Atomic unsigned lookups, address_number;
static _Atomic bool failing;
static _Atomic unsigned delay_ms;

/* Names under ".test" get 10.0.0.N and so on, N counting the look-ups; all else goes to the C library. */
int getaddrinfo(const char *host, const char *port, const struct addrinfo *hints, struct addrinfo **found) {
    lookup_fn *real = (lookup_fn *)(uintptr_t)dlsym(RTLD_NEXT, "getaddrinfo");
    size_t n = host != NULL ? strlen(host) : 0;
    if (n < 5 || strcmp(host + n - 5, ".test") != 0) return real(host, port, hints, found);
    lookups++;
    pause_ms(delay_ms);
    if (failing) return EAI_NONAME;
    char address[32];
    unsigned number = ++address_number;
    snprintf(address, sizeof address, "10.0.%u.%u", number / 256 % 256, number % 256);
    struct addrinfo numeric = *hints;
    numeric.ai_flags |= AI_NUMERICHOST;
    return real(address, port, &numeric, found);
}

static struct inbox inbox;
static struct resolver *resolver;
static unsigned answered;

static void answer_came(struct message *m, void *context) {
    (void)m, (void)context;
    answered++;
    loop_stop(loop);
}

static int resolver_setup(void **state) {
    fixture_setup(state);
    inbox_init(&inbox, loop, 100, NULL);
    lookups = address_number = answered = delay_ms = 0;
    failing = false;
    stands_at_ns = 0;
    return 0;
}

static int resolver_teardown(void **state) {
    resolver_free(resolver);
    resolver = NULL;
    inbox_clear(&inbox);
    return fixture_teardown(state);
}

static struct resolve question(const char *host) {
    return (struct resolve){.message.run = answer_came, .inbox = &inbox, .host = host, .port = "443"};
}

static void wait_answers(unsigned count) {
    while (answered < count) RUN();
}

static unsigned last_byte(const struct resolve *r) {
    const struct sockaddr_in *a = (const struct sockaddr_in *)&r->answer.list[0];
    return ntohl(a->sin_addr.s_addr) & 255;
}

static void literal_addresses_are_answered_at_once(void **state) {
    (void)state;
    resolver = resolver_new(1, NS_PER_S);
    struct resolve v4 = question("192.0.2.7"), v6 = question("2001:db8::1"), bad = question("2001:db8::zz");
    assert_true(resolver_ask(resolver, &v4));
    assert_int_equal(v4.answer.count, 1);
    const struct sockaddr_in *a = (const struct sockaddr_in *)&v4.answer.list[0];
    assert_int_equal(ntohl(a->sin_addr.s_addr), 0xc0000207);
    assert_int_equal(ntohs(a->sin_port), 443);
    assert_true(resolver_ask(resolver, &v6));
    assert_int_equal(v6.answer.count, 1);
    assert_int_equal(v6.answer.list[0].ss_family, AF_INET6);
    assert_true(resolver_ask(resolver, &bad));
    assert_int_equal(bad.answer.count, 0);
}

static void the_real_resolver_finds_localhost_and_not_invalid(void **state) {
    (void)state;
    resolver = resolver_new(2, NS_PER_S);
    struct resolve local = question("localhost"), invalid = question("nothing-here.invalid");
    assert_false(resolver_ask(resolver, &local));
    assert_false(resolver_ask(resolver, &invalid));
    wait_answers(2);
    assert_true(local.answer.count >= 1);
    assert_int_equal(invalid.answer.count, 0);
    assert_true(resolver_ask(resolver, &local));
    assert_true(local.answer.count >= 1);
    assert_true(resolver_ask(resolver, &invalid)); /* failed just now */
    assert_int_equal(invalid.answer.count, 0);
}

static void askers_of_one_name_share_one_lookup(void **state) {
    (void)state;
    resolver = resolver_new(4, 10 * NS_PER_S);
    delay_ms = 30;
    struct resolve r[10], other = question("b.test");
    for (int i = 0; i < 10; i++) {
        r[i] = question("a.test");
        assert_false(resolver_ask(resolver, &r[i]));
    }
    assert_false(resolver_ask(resolver, &other));
    wait_answers(11);
    assert_int_equal(lookups, 2);
    for (int i = 0; i < 10; i++) assert_int_equal(last_byte(&r[i]), last_byte(&r[0]));
    other.port = "80"; /* a different question */
    assert_false(resolver_ask(resolver, &other));
    wait_answers(12);
    assert_int_equal(lookups, 3);
}

static void a_failure_is_remembered_for_a_second_only(void **state) {
    (void)state;
    time_stands();
    resolver = resolver_new(1, NS_PER_S);
    failing = true;
    struct resolve r = question("a.test");
    assert_false(resolver_ask(resolver, &r));
    wait_answers(1);
    assert_int_equal(r.answer.count, 0);
    failing = false;
    assert_true(resolver_ask(resolver, &r));
    assert_int_equal(r.answer.count, 0);
    assert_int_equal(lookups, 1);
    time_passes(1001);
    assert_false(resolver_ask(resolver, &r));
    wait_answers(2);
    assert_int_equal(last_byte(&r), 1);
}

/* The one thread has ended the look-ups that were asked for until now. */
static void wait_all(void) {
    struct resolve last = question("behind-all-others.test");
    assert_false(resolver_ask(resolver, &last));
    wait_answers(answered + 1);
}

static bool comes_to_know(const char *host, unsigned byte) {
    struct resolve r = {.answer.count = 0};
    for (int i = 0; i < 5000; i++, pause_ms(2))
        if (resolver_peek(resolver, host, "443", &r.answer) && last_byte(&r) == byte) return true;
    return false;
}

static void stale_answers_are_served_while_a_new_lookup_runs(void **state) {
    (void)state;
    time_stands();
    resolver = resolver_new(1, 300 * NS_PER_MS);
    struct resolve r = question("a.test");
    assert_false(resolver_ask(resolver, &r));
    wait_answers(1);
    assert_true(resolver_ask(resolver, &r));
    assert_int_equal(lookups, 1);
    time_passes(320);
    assert_true(resolver_ask(resolver, &r)); /* stale, and starts a new look-up */
    assert_int_equal(last_byte(&r), 1);
    assert_true(comes_to_know("a.test", 2));
    assert_true(resolver_ask(resolver, &r));
    assert_int_equal(last_byte(&r), 2);
    assert_int_equal(lookups, 2);
}

static void stale_answers_survive_failures_for_ten_ttls(void **state) {
    (void)state;
    time_stands();
    resolver = resolver_new(1, 80 * NS_PER_MS);
    struct resolve r = question("a.test");
    assert_false(resolver_ask(resolver, &r));
    wait_answers(1);
    failing = true;
    time_passes(150);
    assert_true(resolver_ask(resolver, &r));
    wait_all();
    assert_int_equal(lookups, 3);
    assert_true(resolver_ask(resolver, &r));
    assert_int_equal(r.answer.count, 1);
    time_passes(649);
    assert_true(resolver_ask(resolver, &r));
    assert_int_equal(r.answer.count, 1);
    time_passes(1);
    assert_true(resolver_ask(resolver, &r)); /* too old now, and the failure is less than a second ago */
    assert_int_equal(r.answer.count, 0);
    assert_int_equal(lookups, 3);
}

static void looking_without_waiting_finds_what_is_known_and_keeps_it_fresh(void **state) {
    (void)state;
    struct addresses found = {0};
    time_stands();
    resolver = resolver_new(1, 300 * NS_PER_MS);
    assert_false(resolver_peek(resolver, "192.0.2.7", "443", &found)); /* an address stays what it is */
    assert_false(resolver_peek(resolver, "a.test", "443", &found));    /* not known yet, but asked for */
    assert_true(comes_to_know("a.test", 1));
    assert_int_equal(lookups, 1);
    time_passes(320);
    struct resolve r = question("a.test");
    assert_true(resolver_peek(resolver, "a.test", "443", &r.answer)); /* stale: the next one is on its way */
    assert_int_equal(last_byte(&r), 1);
    assert_true(comes_to_know("a.test", 2));
    failing = true;
    time_passes(320);
    resolver_peek(resolver, "a.test", "443", &r.answer);
    wait_all();
    assert_int_equal(lookups, 4);
    assert_true(resolver_peek(resolver, "a.test", "443", &r.answer)); /* a failure is no answer */
    assert_int_equal(last_byte(&r), 2);
}

static void names_that_nobody_asks_for_any_more_are_let_go_of(void **state) {
    (void)state;
    struct addresses found;
    char name[32];
    time_stands();
    resolver = resolver_new(1, 20 * NS_PER_MS);
    for (int i = 0; i < 1024; i++) {
        snprintf(name, sizeof name, "old-%d.test", i);
        resolver_peek(resolver, name, "443", &found);
    }
    assert_true(comes_to_know("old-1023.test", 1024 % 256));
    time_passes(300);                                                  /* ten times the time to live, and more */
    assert_true(resolver_peek(resolver, "old-7.test", "443", &found)); /* still known, and looked up again */
    assert_true(comes_to_know("old-7.test", 1025 % 256));
    time_passes(25);
    resolver_peek(resolver, "old-7.test", "443", &found);
    resolver_peek(resolver, "new.test", "443", &found); /* one too many */
    assert_true(resolver_peek(resolver, "old-7.test", "443", &found));
    assert_false(resolver_peek(resolver, "old-8.test", "443", &found));
    assert_true(comes_to_know("new.test", 1027 % 256));
    assert_true(lookups >= 1024 + 3);
}

/* Until a look-up in a thread has begun. */
static void wait_lookups(unsigned count) {
    for (int i = 0; i < 5000 && lookups < count; i++) pause_ms(2);
    assert_int_equal(lookups, count);
}

static void freeing_does_not_wait_for_a_lookup_and_drops_its_askers(void **state) {
    (void)state;
    resolver = resolver_new(3, NS_PER_S);
    delay_ms = 1500;
    struct resolve r = question("a.test");
    assert_false(resolver_ask(resolver, &r));
    wait_lookups(1);
    uint64_t begin = clock_now_ns();
    resolver_free(resolver);
    resolver = NULL;
    assert_true(clock_now_ns() - begin < 1300 * NS_PER_MS);
    RUN_MS(1600); /* the thread ends meanwhile */
    assert_int_equal(answered, 0);
}

static void a_full_inbox_delays_an_answer_and_does_not_lose_it(void **state) {
    (void)state;
    inbox_clear(&inbox);
    inbox_init(&inbox, loop, 1, NULL);
    resolver = resolver_new(2, NS_PER_S);
    struct resolve a = question("a.test"), b = question("b.test");
    assert_false(resolver_ask(resolver, &a));
    assert_false(resolver_ask(resolver, &b));
    pause_ms(30);
    wait_answers(2);
    assert_int_equal(a.answer.count, 1);
    assert_int_equal(b.answer.count, 1);
}

#define RESOLVER_TEST(f) cmocka_unit_test_setup_teardown(f, resolver_setup, resolver_teardown)
int main(void) {
    const struct CMUnitTest tests[] = {
        RESOLVER_TEST(literal_addresses_are_answered_at_once),
        RESOLVER_TEST(the_real_resolver_finds_localhost_and_not_invalid),
        RESOLVER_TEST(askers_of_one_name_share_one_lookup),
        RESOLVER_TEST(a_failure_is_remembered_for_a_second_only),
        RESOLVER_TEST(stale_answers_are_served_while_a_new_lookup_runs),
        RESOLVER_TEST(stale_answers_survive_failures_for_ten_ttls),
        RESOLVER_TEST(looking_without_waiting_finds_what_is_known_and_keeps_it_fresh),
        RESOLVER_TEST(names_that_nobody_asks_for_any_more_are_let_go_of),
        RESOLVER_TEST(freeing_does_not_wait_for_a_lookup_and_drops_its_askers),
        RESOLVER_TEST(a_full_inbox_delays_an_answer_and_does_not_lose_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
