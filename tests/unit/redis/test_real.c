/* The client against a real Redis, alone and as a cluster of three: what only a real one can show. */
#include "real_servers.h"

#include "redis/blocking.h"
#include "redis/key.h"

static struct redis_script count_script;

static void begin(uint64_t timeout_ns) {
    servers_begin();
    world_begin();
    server_start(&servers[0], false);
    client_begin((struct redis_options){.timeout_ns = timeout_ns}, servers[0].port);
    UNTIL(redis_client_is_up(client));
}

static void end(void) {
    world_end();
    servers_end();
}

/* Asks until it is answered well: the server is on its way back. */
static void until_ok(struct answer *a, const struct redis_script *script, const char *const *words) {
    uint64_t last_ns = clock_now_ns() + PATIENCE_NS;
    for (*a = (struct answer){0}; a->count == 0 || a->result.failure != REDIS_OK;) {
        *a = (struct answer){0};
        if (ask(a, script, 1, words)) UNTIL(a->count == 1);
        if (clock_now_ns() > last_ns) fail_msg("never well: %s %s", redis_failure_name(a->result.failure).p, a->text);
        turns_for_ms(2);
    }
}

static void scripts_run_and_come_back_when_they_are_flushed(void **state) {
    (void)state;
    struct answer a;
    begin(LONG_NS);
    for (int i = 1; i <= 3; i++) {
        a = (struct answer){0};
        assert_true(ask(&a, &count_script, 1, WORDS("{t}n", "5")));
        UNTIL(a.count == 1);
        assert_int_equal(a.result.failure, REDIS_OK);
        assert_int_equal(a.integer, 5 * i);
        if (i == 2) command(servers[0].port, "SCRIPT FLUSH");
    }
    assert_int_equal(stats().script_loads, 2);
    end();
}

static void a_frozen_server_is_waited_for_once_and_found_again(void **state) {
    (void)state;
    struct answer a[8] = {{0}};
    begin(50 * NS_PER_MS);
    kill(servers[0].pid, SIGSTOP);
    for (int i = 0; i < 8; i++) assert_true(ask(&a[i], NULL, 1, WORDS("INCR", "n")));
    UNTIL(a[7].count == 1);
    for (int i = 0; i < 8; i++) assert_int_equal(a[i].result.failure, REDIS_TIMEOUT);
    uint64_t untaken = 0, asked = 0, from_ns = clock_now_ns();
    for (; asked < 50 || clock_now_ns() - from_ns < 400 * NS_PER_MS; asked++) {
        struct answer more = {0};
        untaken += !ask(&more, NULL, 1, WORDS("GET", "n"));
        assert_int_equal(more.count, 0);
        turn();
    }
    assert_int_equal(untaken, asked); /* nobody waited */
    kill(servers[0].pid, SIGCONT);
    until_ok(&a[0], NULL, WORDS("GET", "n"));
    assert_string_equal(a[0].text, "8"); /* what timed out was carried out late, and its answers were dropped */
    end();
}

static void a_killed_server_starts_again_empty(void **state) {
    (void)state;
    struct answer a;
    begin(LONG_NS);
    until_ok(&a, &count_script, WORDS("{t}n", "5"));
    server_kill(&servers[0]);
    UNTIL(!ask(&a, NULL, 1, WORDS("GET", "n")));
    server_start(&servers[0], false);
    until_ok(&a, &count_script, WORDS("{t}n", "5"));
    assert_int_equal(a.integer, 5);
    end();
}

static void a_closed_connection_is_opened_again(void **state) {
    (void)state;
    struct answer a;
    begin(LONG_NS);
    for (int i = 1; i <= 5; i++) {
        command(servers[0].port, "CLIENT KILL TYPE normal SKIPME yes");
        until_ok(&a, &count_script, WORDS("{t}n", "1"));
    }
    assert_int_equal(a.integer, 5);
    end();
}

static void out_of_memory_refuses_writes_until_there_is_some(void **state) {
    (void)state;
    struct answer a;
    begin(LONG_NS);
    until_ok(&a, NULL, WORDS("SET", "k", "v"));
    command(servers[0].port, "CONFIG SET maxmemory 1");
    for (int i = 0; i < 3; i++) {
        a = (struct answer){0};
        assert_true(ask(&a, &count_script, 1, WORDS("{t}n", "1")));
        UNTIL(a.count == 1);
        assert_int_equal(a.result.error, REDIS_ERROR_OOM);
    }
    assert_false(ask(&a, &count_script, 1, WORDS("{t}n", "1")));
    command(servers[0].port, "CONFIG SET maxmemory 0");
    until_ok(&a, &count_script, WORDS("{t}n", "1"));
    end();
}

static void a_server_that_became_a_replica_is_left_until_it_is_none(void **state) {
    (void)state;
    struct answer a;
    begin(LONG_NS);
    char line[64];
    snprintf(line, sizeof line, "REPLICAOF 127.0.0.1 %u", free_port());
    command(servers[0].port, line);
    for (int i = 0; i < 3; i++) {
        a = (struct answer){0};
        assert_true(ask(&a, NULL, 1, WORDS("INCR", "n")));
        UNTIL(a.count == 1);
        assert_int_equal(a.result.error, REDIS_ERROR_READONLY);
    }
    UNTIL(!redis_is_up(site));
    command(servers[0].port, "REPLICAOF NO ONE");
    until_ok(&a, NULL, WORDS("INCR", "n"));
    assert_true(stats().connects >= 2);
    end();
}

/* A script that runs for longer than a call may: the others are answered by nobody, the server says BUSY later. */
static void a_busy_server_is_not_waited_for(void **state) {
    (void)state;
    static struct redis_script slow;
    struct answer a = {0}, b;
    begin(60 * NS_PER_MS);
    command(servers[0].port, "CONFIG SET busy-reply-threshold 100");
    redis_script_init(&slow, SLICE("slow"),
                      SLICE("local t = redis.call('TIME'); local from = t[1] * 1e6 + t[2]\n"
                            "repeat t = redis.call('TIME') until t[1] * 1e6 + t[2] - from > 400000\nreturn 1"));
    assert_true(ask(&a, &slow, 1, WORDS("{t}n")));
    UNTIL(a.count == 1);
    assert_int_equal(a.result.failure, REDIS_TIMEOUT);
    until_ok(&b, NULL, WORDS("GET", "n"));
    assert_int_equal(b.type, REDIS_NIL);
    assert_int_equal(a.count, 1);
    assert_true(stats().late_replies >= 1);
    end();
}

static void a_call_may_be_waited_for(void **state) {
    (void)state;
    struct answer a = {0};
    begin(LONG_NS);
    struct redis_blocking *b = redis_blocking_new(site);
    struct slice words[] = {SLICE("{t}n"), SLICE("7")};
    struct redis_call call = {
        .script = &count_script, .words = words, .word_count = 2, .key_count = 1, .done = answered, .context = &a};
    assert_int_equal(redis_blocking_call(b, &call), REDIS_OK);
    assert_int_equal(a.integer, 7);
    server_kill(&servers[0]);
    call.timeout_ns = 100 * NS_PER_MS;
    assert_int_not_equal(redis_blocking_call(b, &call), REDIS_OK);
    assert_int_equal(redis_blocking_call(b, &call), REDIS_UNTAKEN);
    assert_int_equal(a.count, 3);
    server_start(&servers[0], false);
    call.timeout_ns = 5 * NS_PER_S;
    assert_int_equal(redis_blocking_call(b, &call), REDIS_OK);
    redis_blocking_free(b);
    end();
}

/* ---- a cluster, the same for all that follows: the order counts ---- */

static void begin_cluster(uint64_t timeout_ns) {
    char out[64];
    world_begin();
    for (int i = 0; i < SERVERS_MAX; i++)
        if (servers[i].pid > 0) say(servers[i].port, "FLUSHALL", out, sizeof out);
    client_begin((struct redis_options){.timeout_ns = timeout_ns}, servers[0].port);
}

static void count_tenants(int from, int to, int expected) {
    for (int i = from; i < to; i++) {
        struct answer a;
        char key[32];
        snprintf(key, sizeof key, "{tenant%d}n", i);
        until_ok(&a, &count_script, WORDS(key, "1"));
        assert_int_equal(a.integer, expected);
    }
}

static struct server *owner_of(unsigned slot) {
    return &servers[slot < 5461 ? 0 : slot < 10922 ? 1 : 2];
}

static void keys_are_found_on_their_nodes(void **state) {
    (void)state;
    servers_begin();
    cluster_start();
    begin_cluster(LONG_NS);
    count_tenants(0, 50, 1);
    assert_true(stats().redirects >= 1);
    UNTIL(redis_is_up(site) && stats().connects >= 3);
    turns_for_ms(50); /* the map comes */
    count_tenants(0, 50, 2);
    uint64_t redirects = stats().redirects;
    count_tenants(0, 50, 3);
    assert_int_equal(stats().redirects, redirects); /* asked where they are, at once */
    world_end();
}

/* While a slot moves, its keys are here or there: ASK. Then it is there: MOVED. */
static void a_slot_that_moves_is_followed(void **state) {
    (void)state;
    char line[256], moving[32], fresh[32];
    struct answer a;
    int tenant = 0;
    unsigned slot;
    begin_cluster(LONG_NS);
    count_tenants(0, 10, 1);
    do {
        snprintf(moving, sizeof moving, "{tenant%d}n", tenant);
        slot = redis_key_slot(slice_of(moving));
    } while (owner_of(slot) != &servers[0] && ++tenant < 10);
    assert_true(tenant < 10);
    struct server *from = &servers[0], *to = &servers[1];
    snprintf(line, sizeof line, "CLUSTER SETSLOT %u IMPORTING %s", slot, from->id);
    command(to->port, line);
    snprintf(line, sizeof line, "CLUSTER SETSLOT %u MIGRATING %s", slot, to->id);
    command(from->port, line);
    snprintf(fresh, sizeof fresh, "{tenant%d}new", tenant);
    until_ok(&a, &count_script, WORDS(fresh, "1")); /* not there: the new node is asked */
    assert_int_equal(a.integer, 1);
    count_tenants(tenant, tenant + 1, 2); /* not moved yet */
    snprintf(line, sizeof line, "MIGRATE 127.0.0.1 %u %s 0 5000", to->port, moving);
    command(from->port, line);
    count_tenants(tenant, tenant + 1, 3);
    snprintf(line, sizeof line, "CLUSTER SETSLOT %u NODE %s", slot, to->id);
    command(to->port, line);
    command(from->port, line);
    count_tenants(tenant, tenant + 1, 4);
    count_tenants(tenant + 1, 10, 2);
    world_end();
}

static void a_lost_node_costs_only_its_own_keys(void **state) {
    (void)state;
    for (int i = 0; i < 3; i++) command(servers[i].port, "CONFIG SET cluster-require-full-coverage no");
    begin_cluster(LONG_NS); /* a call that timed out might have been counted all the same */
    count_tenants(0, 20, 1);
    UNTIL(redis_is_up(site) && stats().connects >= 3);
    server_kill(&servers[2]);
    UNTIL(!redis_is_up(site));
    int others = 0, lost = 0;
    for (int i = 0; i < 20; i++) {
        char key[32];
        struct answer a = {0};
        snprintf(key, sizeof key, "{tenant%d}n", i);
        if (owner_of(redis_key_slot(slice_of(key))) == &servers[2]) {
            lost += !ask(&a, &count_script, 1, WORDS(key, "1"));
            continue;
        }
        until_ok(&a, &count_script, WORDS(key, "1"));
        assert_int_equal(a.integer, 2);
        others++;
    }
    assert_true(others > 0 && lost > 0);
    server_start(&servers[2], true);
    UNTIL(redis_is_up(site));
    world_end();
}

/* A replica takes over: its keys are found there, without anybody saying MOVED. */
static void a_failover_is_noticed(void **state) {
    (void)state;
    cluster_wait(3);
    replica_start(&servers[2]);
    begin_cluster(LONG_NS);
    count_tenants(0, 20, 1);
    UNTIL(redis_is_up(site) && stats().connects >= 3);
    replica_wait(&servers[2]);
    server_kill(&servers[2]);
    command(servers[3].port, "CLUSTER FAILOVER TAKEOVER");
    count_tenants(0, 20, 2);
    UNTIL(redis_is_up(site)); /* the node that is gone is not missed */
    world_end();
}

int main(void) {
    redis_script_init(&count_script, SLICE("count"), SLICE("return redis.call('INCRBY', KEYS[1], ARGV[1])"));
    const struct CMUnitTest tests[] = {
        REAL_TEST(scripts_run_and_come_back_when_they_are_flushed),
        REAL_TEST(a_frozen_server_is_waited_for_once_and_found_again),
        REAL_TEST(a_killed_server_starts_again_empty),
        REAL_TEST(a_closed_connection_is_opened_again),
        REAL_TEST(out_of_memory_refuses_writes_until_there_is_some),
        REAL_TEST(a_server_that_became_a_replica_is_left_until_it_is_none),
        REAL_TEST(a_busy_server_is_not_waited_for),
        REAL_TEST(a_call_may_be_waited_for),
        cmocka_unit_test(keys_are_found_on_their_nodes),
        cmocka_unit_test(a_lost_node_costs_only_its_own_keys),
        cmocka_unit_test(a_failover_is_noticed),
        REAL_TEST(a_slot_that_moves_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, servers_teardown);
}
