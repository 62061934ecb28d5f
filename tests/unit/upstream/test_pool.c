/* A worker's pool over loopback connections: which connection is given, when one is let go, and who is served next. */
#include "unit.h"

#include "net/net_fixture.h"
#include "upstream/pool.h"
#include "upstream/provider.h"

enum { PEERS_MAX = 16, WAITS = 8, FEW = 4 };

static struct config *config;
static struct provider *provider;
static struct origins *origins;
static struct inbox inbox, other_inbox;
static struct pool pool, other; /* of two workers, which in these tests share a thread */
static struct sockaddr_in address;
static int listening, peers[PEERS_MAX];
static unsigned peer_count, closed_count;

static void upstream_ready(struct conn *c) {
    (void)c;
    loop_stop(loop);
}

static void upstream_closed(struct conn *c, enum close_reason why) {
    struct upstream *u = c->owner;
    (void)why;
    u->conn = NULL;
    closed_count++;
    pool_discard(u);
    loop_stop(loop);
}

static const struct conn_ops busy_ops = {.on_ready = upstream_ready, .on_close = upstream_closed};

static void begin(unsigned max_connections) {
    struct conf_errors errors = {0};
    struct buf yaml = {0};
    buf_printf(&yaml,
               "providers: {p: {dialect: openai, base_url: \"http://127.0.0.1:9\", auth: none, max_connections: %u}}",
               max_connections);
    config = config_load_text("t", buf_slice(&yaml), &errors, NULL);
    assert_non_null(config);
    origins = origins_new();
    provider = provider_compile(&config->providers.items[0], origins, &errors);
    conf_errors_clear(&errors);
    buf_clear(&yaml);
    inbox_init(&inbox, loop, 16, NULL);
    inbox_init(&other_inbox, loop, 16, NULL);
    memset(&pool, 0, sizeof pool);
    memset(&other, 0, sizeof other);
    pool_open_at(&pool, provider->origin, loop, &inbox);
    pool_open_at(&other, provider->origin, loop, &other_inbox);
    listening = loopback_listener(&address);
    peer_count = closed_count = 0;
}

static void end(void) {
    pool_close_idle(&pool);
    pool_close_idle(&other);
    RUN_MS(5);
    assert_int_equal(atomic_load(&pool.open_count), 0);
    assert_int_equal(atomic_load(&pool.idle_count), 0);
    assert_int_equal(atomic_load(&provider->origin->permits.used), 0);
    assert_int_equal(atomic_load(&provider->origin->permits.queued_count), 0);
    pool_clear(&pool);
    pool_clear(&other);
    inbox_clear(&inbox);
    inbox_clear(&other_inbox);
    for (unsigned i = 0; i < peer_count; i++) close(peers[i]);
    close(listening);
    provider_free(provider);
    origins_free(origins);
    config_free(config);
}

static struct upstream *open_in(struct pool *p) {
    return pool_open(p, (const struct sockaddr *)&address, sizeof address, &busy_ops, &address);
}

/* A connected one; its other end is the next of `peers`. */
static struct upstream *opened(struct pool *p) {
    struct upstream *u = open_in(p);
    assert_non_null(u);
    assert_ptr_equal(u->conn->owner, u);
    assert_ptr_equal(u->user, &address);
    RUN();
    peers[peer_count] = accept(listening, NULL, NULL);
    assert_true(peers[peer_count++] >= 0);
    return u;
}

static bool peer_sees_end(unsigned peer) {
    char byte;
    struct pollfd ready = {.fd = peers[peer], .events = POLLIN};
    return poll(&ready, 1, 1000) == 1 && recv(peers[peer], &byte, 1, 0) <= 0;
}

static bool peer_is_connected(unsigned peer) {
    char byte;
    return recv(peers[peer], &byte, 1, MSG_DONTWAIT) < 0 && errno == EAGAIN;
}

/* ---- what goes wrong ---- */

static void who_wants_a_fresh_one_gets_the_permit_of_the_connection_idle_for_longest(void **state) {
    (void)state;
    begin(2);
    struct upstream *first = opened(&pool), *second = opened(&pool);
    assert_false(pool_close_oldest(&pool)); /* those in use are nobody else's */
    pool_checkin(first);
    pool_checkin(second);
    assert_null(open_in(&pool));
    assert_true(pool_close_oldest(&pool));
    assert_true(peer_sees_end(0));
    assert_true(peer_is_connected(1));
    struct upstream *fresh = opened(&pool);
    pool_discard(fresh);
    end();
}

static void without_a_permit_nothing_is_opened(void **state) {
    (void)state;
    begin(1);
    struct upstream *u = opened(&pool);
    errno = 0;
    assert_null(open_in(&pool));
    assert_int_equal(errno, EDQUOT);
    assert_null(open_in(&other)); /* the bound is for all workers */
    pool_discard(u);
    u = opened(&other);
    pool_discard(u);
    end();
}

static void a_refused_connection_gives_its_permit_back(void **state) {
    (void)state;
    begin(1);
    close(listening);
    assert_non_null(open_in(&pool));
    RUN();
    assert_int_equal(closed_count, 1);
    assert_int_equal(atomic_load(&provider->origin->permits.used), 0);
    listening = loopback_listener(&address);
    end();
}

static void expect_idle_dropped(void) {
    RUN_MS(30);
    assert_int_equal(atomic_load(&pool.idle_count), 0);
    assert_int_equal(atomic_load(&pool.open_count), 0);
    assert_int_equal(atomic_load(&provider->origin->permits.used), 0);
    assert_null(pool_checkout(&pool));
    assert_int_equal(closed_count, 0); /* nobody who had it before is told */
}

static void bytes_on_an_idle_connection_end_it(void **state) {
    (void)state;
    begin(4);
    pool_checkin(opened(&pool));
    assert_int_equal(send(peers[0], "HTTP/1.1 200 OK\r\n\r\n", 19, 0), 19);
    expect_idle_dropped();
    assert_true(peer_sees_end(0));
    end();
}

static void a_peer_that_closes_an_idle_connection_ends_it(void **state) {
    (void)state;
    begin(4);
    pool_checkin(opened(&pool));
    shutdown(peers[0], SHUT_WR);
    expect_idle_dropped();
    end();
}

static void a_reset_of_an_idle_connection_ends_it(void **state) {
    (void)state;
    begin(4);
    pool_checkin(opened(&pool));
    fd_reset(peers[0]);
    peer_count = 0;
    expect_idle_dropped();
    end();
}

static void one_that_ends_among_others_leaves_them(void **state) {
    (void)state;
    begin(4);
    struct upstream *u[3];
    for (int i = 0; i < 3; i++) u[i] = opened(&pool);
    for (int i = 0; i < 3; i++) pool_checkin(u[i]);
    shutdown(peers[1], SHUT_WR);
    RUN_MS(30);
    assert_ptr_equal(pool_checkout(&pool), u[2]);
    assert_ptr_equal(pool_checkout(&pool), u[0]);
    assert_null(pool_checkout(&pool));
    pool_discard(u[0]);
    pool_discard(u[2]);
    end();
}

/* ---- reuse ---- */

static void the_last_one_back_is_the_first_one_out(void **state) {
    (void)state;
    begin(4);
    struct upstream *u[3];
    for (int i = 0; i < 3; i++) u[i] = opened(&pool);
    for (int i = 0; i < 3; i++) pool_checkin(u[i]);
    assert_int_equal(atomic_load(&pool.idle_count), 3);
    assert_int_equal(atomic_load(&pool.open_count), 3);
    for (int i = 2; i >= 0; i--) {
        assert_ptr_equal(pool_checkout(&pool), u[i]);
        assert_int_equal(u[i]->uses, 1);
        assert_null(u[i]->user);
    }
    assert_null(pool_checkout(&pool));
    for (int i = 0; i < 3; i++) pool_checkin(u[i]);
    pool_close_idle(&pool);
    for (unsigned i = 0; i < 3; i++) assert_true(peer_sees_end(i));
    end();
}

static void connections_retire_after_about_ten_minutes(void **state) {
    (void)state;
    begin(4);
    struct upstream *u = opened(&pool);
    assert_in_range((u->retire_ns - loop->now_ns) / NS_PER_S, 538, 661);
    u->retire_ns = loop->now_ns; /* it grew old while it was used */
    pool_checkin(u);
    assert_int_equal(atomic_load(&pool.open_count), 0);
    assert_true(peer_sees_end(0));
    u = opened(&pool);
    pool_checkin(u);
    u->retire_ns = loop->now_ns; /* while it lay here */
    assert_null(pool_checkout(&pool));
    assert_true(peer_sees_end(1));
    u = opened(&pool);
    u->retire_ns = loop->now_ns + 20 * NS_PER_MS; /* nobody asks for it: it goes by itself */
    pool_checkin(u);
    assert_int_equal(atomic_load(&pool.idle_count), 1);
    RUN_MS(80);
    assert_int_equal(atomic_load(&pool.idle_count), 0);
    assert_true(peer_sees_end(2));
    end();
}

/* ---- the line ---- */

struct waiting {
    struct pool_wait wait;
    struct pool *pool;
    struct loop_task give_back; /* what it was served goes back in the next turn */
    struct upstream *upstream;
    bool opens; /* what to do when told to try again */
    unsigned told_to_try;
};

static struct waiting waits[WAITS];
static char served[16]; /* 'a' + index for a connection, 'A' + index for a permit */
static bool inside_call;

static void give_back(struct loop_task *task) {
    struct waiting *w = (struct waiting *)((char *)task - offsetof(struct waiting, give_back));
    inside_call = true;
    pool_checkin(w->upstream);
    inside_call = false;
}

static void wait_ready(struct pool_wait *wait, struct upstream *u) {
    struct waiting *w = (struct waiting *)wait;
    assert_false(inside_call);
    served[strlen(served)] = (char)((u != NULL ? 'a' : 'A') + (w - waits));
    w->upstream = u;
    if (u != NULL)
        loop_defer(loop, &w->give_back);
    else if (w->opens)
        w->upstream = open_in(w->pool);
}

static void join_as(int i, struct pool *p, uint32_t group) {
    waits[i] = (struct waiting){.wait = {.ready = wait_ready, .group = group}, .pool = p, .give_back.run = give_back};
    pool_wait_join(p, &waits[i].wait);
}

static void join(int i, struct pool *p) {
    join_as(i, p, 1);
}

static void the_line_is_served_in_order(void **state) {
    (void)state;
    begin(1);
    memset(served, 0, sizeof served);
    struct upstream *u = opened(&pool);
    for (int i = 0; i < FEW; i++) join(i, &pool);
    assert_int_equal(pool.waiting_count, FEW);
    assert_int_equal(atomic_load(&provider->origin->permits.queued_count), FEW);
    pool_wait_leave(&pool, &waits[1].wait);
    pool_wait_leave(&pool, &waits[1].wait);
    inside_call = true;
    pool_checkin(u);
    inside_call = false;
    RUN_MS(30);
    assert_string_equal(served, "acd"); /* one connection for all, one after the other */
    assert_int_equal(u->uses, 4);
    assert_int_equal(pool.waiting_count, 0);
    end();
}

static void a_connection_whose_address_is_gone_is_not_used_again(void **state) {
    (void)state;
    begin(4);
    struct addresses here = {.count = 1}, elsewhere = {.count = 1};
    memcpy(&here.list[0], &address, sizeof address);
    elsewhere.list[0] = here.list[0];
    ((struct sockaddr_in *)&elsewhere.list[0])->sin_addr.s_addr = htonl(0x7f000002);
    struct upstream *kept = opened(&pool), *busy = opened(&pool);
    pool_checkin(kept);
    pool_follow(&pool, &here);
    assert_int_equal(atomic_load(&pool.idle_count), 1);
    pool_follow(&pool, &elsewhere);
    assert_int_equal(atomic_load(&pool.idle_count), 0); /* the idle one at once … */
    assert_true(peer_sees_end(0));
    assert_true(peer_is_connected(1));
    pool_checkin(busy); /* … the busy one with its answer */
    assert_null(pool_checkout(&pool));
    assert_true(peer_sees_end(1));
    pool_follow(&pool, &(struct addresses){0}); /* nothing known is no reason to close */
    pool_checkin(opened(&pool));
    assert_int_equal(atomic_load(&pool.idle_count), 1);
    end();
}

static void one_group_with_many_waiting_does_not_keep_the_others_from_their_turn(void **state) {
    (void)state;
    begin(1);
    memset(served, 0, sizeof served);
    struct upstream *u = opened(&pool);
    for (int i = 0; i < 4; i++) join_as(i, &pool, 1); /* a b c d */
    join_as(4, &pool, 2);                             /* e */
    join_as(5, &pool, 3);                             /* f */
    join_as(6, &pool, 2);                             /* g */
    join_as(7, &pool, 1);                             /* h */
    pool_wait_leave(&pool, &waits[2].wait);
    pool_checkin(u);
    RUN_MS(30);
    assert_string_equal(served, "aefbgdh");
    end();
}

static void the_last_to_leave_leaves_the_line_whole(void **state) {
    (void)state;
    begin(1);
    memset(served, 0, sizeof served);
    struct upstream *u = opened(&pool);
    join(0, &pool);
    join(1, &pool);
    pool_wait_leave(&pool, &waits[1].wait);
    join(2, &pool);
    pool_checkin(u);
    RUN_MS(30);
    assert_string_equal(served, "ac");
    end();
}

static void a_connection_that_fails_frees_its_permit_for_the_line(void **state) {
    (void)state;
    begin(1);
    memset(served, 0, sizeof served);
    struct upstream *u = opened(&pool);
    join(0, &pool);
    waits[0].opens = true;
    RUN_MS(10);
    assert_string_equal(served, "");
    inside_call = true;
    pool_discard(u);
    inside_call = false;
    RUN_MS(30);
    assert_string_equal(served, "A");
    assert_non_null(waits[0].upstream);
    pool_discard(waits[0].upstream);
    end();
}

static void another_workers_line_gets_what_this_one_does_not_need(void **state) {
    (void)state;
    begin(1);
    memset(served, 0, sizeof served);
    struct upstream *u = opened(&pool);
    join(0, &other);
    waits[0].opens = true;
    RUN_MS(10);
    assert_string_equal(served, "");
    assert_true(peer_is_connected(0));
    pool_checkin(u); /* closed instead: the connection cannot change threads, its permit can */
    assert_int_equal(atomic_load(&pool.idle_count), 0);
    RUN_MS(30);
    assert_string_equal(served, "A");
    assert_non_null(waits[0].upstream);
    assert_int_equal(atomic_load(&other.open_count), 1);
    pool_discard(waits[0].upstream);
    end();
}

static void an_idle_connection_is_given_up_for_another_worker(void **state) {
    (void)state;
    begin(2);
    memset(served, 0, sizeof served);
    struct upstream *u[2] = {opened(&pool), opened(&pool)};
    pool_checkin(u[0]);
    pool_checkin(u[1]);
    join(0, &other);
    waits[0].opens = true;
    RUN_MS(30);
    assert_string_equal(served, "A");
    assert_true(peer_sees_end(0)); /* the one that was idle longest */
    assert_true(peer_is_connected(1));
    assert_int_equal(atomic_load(&pool.idle_count), 1);
    pool_discard(waits[0].upstream);
    end();
}

static void a_busy_worker_does_not_starve_another(void **state) {
    (void)state;
    begin(2);
    memset(served, 0, sizeof served);
    struct upstream *u[2] = {opened(&pool), opened(&pool)}; /* all of them, and a line of its own */
    join(0, &pool);
    join(1, &pool);
    join(2, &other);
    waits[0].opens = waits[1].opens = waits[2].opens = true;
    RUN_MS(10);
    assert_string_equal(served, "");
    pool_checkin(u[0]); /* over its share: this one goes to the other worker */
    RUN_MS(30);
    assert_string_equal(served, "C");
    pool_checkin(u[1]); /* at its share: this one serves its own line */
    RUN_MS(30);
    assert_string_equal(served, "Cab");
    pool_discard(waits[2].upstream);
    end();
}

int main(void) {
    const struct CMUnitTest tests[] = {
        NET_TEST(without_a_permit_nothing_is_opened),
        NET_TEST(who_wants_a_fresh_one_gets_the_permit_of_the_connection_idle_for_longest),
        NET_TEST(a_refused_connection_gives_its_permit_back),
        NET_TEST(bytes_on_an_idle_connection_end_it),
        NET_TEST(a_peer_that_closes_an_idle_connection_ends_it),
        NET_TEST(a_reset_of_an_idle_connection_ends_it),
        NET_TEST(one_that_ends_among_others_leaves_them),
        NET_TEST(the_last_one_back_is_the_first_one_out),
        NET_TEST(connections_retire_after_about_ten_minutes),
        NET_TEST(the_line_is_served_in_order),
        NET_TEST(a_connection_whose_address_is_gone_is_not_used_again),
        NET_TEST(one_group_with_many_waiting_does_not_keep_the_others_from_their_turn),
        NET_TEST(the_last_to_leave_leaves_the_line_whole),
        NET_TEST(a_connection_that_fails_frees_its_permit_for_the_line),
        NET_TEST(another_workers_line_gets_what_this_one_does_not_need),
        NET_TEST(an_idle_connection_is_given_up_for_another_worker),
        NET_TEST(a_busy_worker_does_not_starve_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
