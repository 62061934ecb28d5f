/* What one decision of shared limits costs: the CPU time of a worker and of redis-server, with every limit configured
 * for the tenant and for the model; and what it costs when it was taken ahead (`mode: lease`). `make bench-limits`
 * builds it, starts a redis-server of its own and prints the best of several rounds, because noise only ever adds.
 * Usage: limiter_shared PORT PID */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "limit/shared.h"
#include "net/resolver.h"

enum { ROUNDS = 12, DECISIONS = 4000, AT_ONCE = 64, FAST_DECISIONS = 200000 };

static struct loop *loop;
static struct limit_shared *shared;
static struct config_model_limit models[1];
static struct config_limits limits;
static const struct tenant tenant = {.name = SLICE_INIT("acme"), .limits = &limits};
static const struct limit_request want = {500, 256, true, 1000000};
static unsigned decided, refused;

static double thread_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double server_us(long pid) {
    char path[64];
    double ns = 0;
    snprintf(path, sizeof path, "/proc/%ld/schedstat", pid);
    FILE *f = fopen(path, "r");
    if (f == NULL || fscanf(f, "%lf", &ns) != 1) exit(1);
    fclose(f);
    return ns / 1e3;
}

struct one { /* of AT_ONCE that are always asking */
    struct limit_ticket *ticket;
    struct loop_task again;
};
static unsigned end;

static void ticket_end(struct limit_ticket *t) {
    struct limit_refusal why;
    refused += limit_ticket_verdict(t, &why) != FAILURE_NONE;
    limit_ticket_settle(t, 600, 900000, clock_wall_ns(loop->now_ns));
    decided++;
}

static void done(void *context) {
    struct one *one = context;
    ticket_end(one->ticket);
    one->ticket = NULL;
    if (decided == end) loop_stop(loop);
    if (decided < end) loop_defer(loop, &one->again);
}

static void ask(struct one *one) {
    struct limit_ticket *t =
        limit_shared_take(shared, &tenant, SLICE("fast"), clock_wall_ns(loop->now_ns), &want, done, one);
    if (limit_ticket_waits(t))
        one->ticket = t;
    else
        ticket_end(t);
}

static void again(struct loop_task *task) {
    ask((struct one *)((char *)task - offsetof(struct one, again)));
}

static void turn_until(uint64_t until_ns) {
    while (clock_now_ns() < until_ns) loop_turn(loop);
}

static void asked_measure(long pid) {
    static struct one all[AT_ONCE];
    double best = 1e9, server_best = 1e9;
    for (int round = 0; round < ROUNDS; round++) {
        double spent = thread_us(), server = server_us(pid);
        end = decided + DECISIONS;
        for (int i = 0; i < AT_ONCE; i++) {
            all[i].again.run = again;
            loop_defer(loop, &all[i].again);
        }
        loop_run(loop);
        spent = (thread_us() - spent) / DECISIONS;
        server = (server_us(pid) - server) / DECISIONS;
        if (spent < best) best = spent;
        if (server < server_best) server_best = server;
        end = 0;
        for (int i = 0; i < AT_ONCE; i++)
            while (all[i].ticket != NULL) loop_turn(loop);
    }
    printf("asked, taken and settled, 10 limits: worker %6.2f us, redis-server %6.2f us\n", best, server_best);
}

static void ahead_measure(void) {
    double best = 1e9;
    for (int i = 0; i < 20; i++) { /* until what is ahead follows the pace */
        struct one one = {.ticket = NULL};
        for (int n = 0; n < 1000; n++) {
            ask(&one);
            while (one.ticket != NULL) loop_turn(loop);
        }
        turn_until(clock_now_ns() + 30 * NS_PER_MS);
    }
    for (int round = 0; round < ROUNDS; round++) {
        unsigned asked = 0;
        double begin = thread_us();
        for (int n = 0; n < 1000; n++) {
            struct limit_ticket *t =
                limit_shared_take(shared, &tenant, SLICE("fast"), (int64_t)loop->now_ns, &want, done, NULL);
            asked += limit_ticket_waited_ns(t) != UINT64_MAX || limit_ticket_waits(t);
            if (limit_ticket_waits(t))
                limit_ticket_abandon(t);
            else
                limit_ticket_settle(t, 600, 900000, (int64_t)loop->now_ns);
        }
        double spent = (thread_us() - begin) / 1000;
        if (asked == 0 && spent < best) best = spent;
        turn_until(clock_now_ns() + 250 * NS_PER_MS);
    }
    if (best < 1e9)
        printf("from what is ahead, 10 limits:       worker %6.3f us\n", best);
    else
        printf("from what is ahead: never without asking\n");
}

static void measure(struct redis *redis, struct resolver *resolver, struct inbox *inbox, bool lease, long pid) {
    struct limiter *local = limiter_new();
    struct redis_client *client = redis_client_new(redis, loop, inbox, resolver);
    while (!redis_client_is_up(client)) loop_turn(loop);
    shared = limit_shared_new(&(struct limit_shared_options){
        .local = local, .redis = client, .loop = loop, .prefix = SLICE("bench:"), .boot = lease, .lease = lease});
    if (lease)
        ahead_measure();
    else
        asked_measure(pid);
    limit_shared_leave(shared);
    turn_until(clock_now_ns() + 100 * NS_PER_MS);
    redis_client_free(client);
    limit_shared_free(shared);
    limiter_free(local);
}

int main(int argc, char **argv) {
    const struct config_limit plenty = {1000000000, UINT64_C(1000000000000), 1000000, UINT64_C(1) << 59,
                                        UINT64_C(1) << 59};
    char message[256];
    struct inbox inbox;
    if (argc != 3) return 2;
    limits = (struct config_limits){.limit = plenty, .models = {models, 1}};
    models[0] = (struct config_model_limit){.name.text = SLICE("fast"), .limit = plenty};
    loop = loop_new();
    inbox_init(&inbox, loop, 1024, NULL);
    struct resolver *resolver = resolver_new(1, NS_PER_S);
    struct redis *redis = redis_new(
        &(struct redis_options){.host = SLICE("127.0.0.1"), .port = slice_of(argv[1]), .timeout_ns = 5 * NS_PER_S},
        message, sizeof message);
    if (redis == NULL) return 1;
    measure(redis, resolver, &inbox, false, atol(argv[2]));
    measure(redis, resolver, &inbox, true, atol(argv[2]));
    resolver_free(resolver);
    inbox_clear(&inbox);
    loop_free(loop);
    redis_free(redis);
    printf("%u decisions, %u refused\n", decided, refused);
    return refused > 0;
}
