/* The loop: stamps, deferred tasks, the inbox, listening sockets. */
#include "net_fixture.h"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/time.h>

#include "net/inbox.h"
#include "net/listener.h"

/* ---- turns and tasks ---- */

struct job {
    struct loop_task task;
    unsigned runs, again;
    uint64_t turn;
};

static void job_run(struct loop_task *task) {
    struct job *j = (struct job *)task;
    j->runs++;
    j->turn = loop->turns;
    if (j->again > 0) {
        j->again--;
        loop_defer(loop, task);
    } else {
        loop_stop(loop);
    }
}

static void a_task_runs_once_however_often_it_is_deferred(void **state) {
    (void)state;
    struct job j = {.task.run = job_run};
    for (int i = 0; i < 5; i++) loop_defer(loop, &j.task);
    RUN();
    assert_int_equal(j.runs, 1);
}

static void a_task_deferred_by_a_task_waits_for_the_next_turn_which_does_not_sleep(void **state) {
    (void)state;
    struct job j = {.task.run = job_run, .again = 3};
    uint64_t first = loop->turns, begin = clock_now_ns();
    loop_defer(loop, &j.task);
    RUN();
    assert_int_equal(j.runs, 4);
    assert_int_equal(j.turn - first, 3);
    assert_true(clock_now_ns() - begin < 500 * NS_PER_MS);
}

static void a_loop_with_nothing_to_wait_for_ends(void **state) {
    (void)state;
    loop_run(loop);
}

static unsigned fired;
static void fire_count(struct timer *t) {
    (void)t;
    fired++;
}

static void a_turn_by_hand_fires_what_is_due_and_says_when_nothing_is(void **state) {
    (void)state;
    struct timer due = {.fire = fire_count}, later = {.fire = fire_count};
    struct job j = {.task.run = job_run};
    fired = 0;
    assert_false(loop_turn(loop));
    timer_set(&loop->wheel, &due, loop->now_ns > WHEEL_SLOT_NS ? loop->now_ns - WHEEL_SLOT_NS : 0);
    timer_set(&loop->wheel, &later, clock_now_ns() + 3600 * NS_PER_S);
    usleep(2 * WHEEL_SLOT_NS / NS_PER_US);
    assert_true(loop_turn(loop));
    assert_int_equal(fired, 1);
    loop_defer(loop, &j.task);
    assert_true(loop_turn(loop));
    assert_int_equal(j.runs, 1);
    assert_false(loop_turn(loop));
    timer_cancel(&loop->wheel, &later);
}

static unsigned fired_before_bytes;
static int stopped_fd;

static size_t late_bytes(struct conn *c, const char *p, size_t n) {
    (void)c, (void)p;
    fired_before_bytes = fired;
    return n;
}

static void fire_stop(struct timer *t) {
    fire_count(t);
    loop_stop(loop);
}

/* The process stands still inside its wait, past a deadline; what moves the deadline comes meanwhile, and the wait,
 * which was interrupted, does not tell. */
static void stand_still(int number) {
    (void)number;
    usleep(250000);
    send(stopped_fd, "x", 1, 0);
}

static void after_standing_still_sockets_are_looked_at_before_deadlines(void **state) {
    (void)state;
    static const struct conn_ops ops = {.on_bytes = late_bytes};
    struct sigaction still = {.sa_handler = stand_still}, before;
    struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    struct timer due = {.fire = fire_stop};
    int a[2];
    tcp_pair(a);
    stopped_fd = a[0];
    fired = 0;
    fired_before_bytes = 99;
    struct conn *c = conn_accept(loop, a[1], NULL, &ops, NULL);
    timer_set(&loop->wheel, &due, clock_now_ns() + 50 * NS_PER_MS);
    sigaction(SIGALRM, &still, &before);
    setitimer(ITIMER_REAL, &soon, NULL);
    loop_run(loop);
    sigaction(SIGALRM, &before, NULL);
    assert_int_equal(fired, 1);
    assert_int_equal(fired_before_bytes, 0);
    conn_close(c);
    close(a[0]);
}

struct stamped {
    uint64_t wake_ns, begin_ns, end_ns, turn;
};
static struct stamped stamps[2];
static unsigned stamped_count;

static size_t stamp_bytes(struct conn *c, const char *p, size_t n) {
    (void)p;
    struct timespec pause = {.tv_nsec = 3000000};
    struct stamped *s = &stamps[stamped_count++];
    *s = (struct stamped){.wake_ns = c->loop->wake_ns, .begin_ns = c->loop->now_ns, .turn = c->loop->turns};
    nanosleep(&pause, NULL);
    s->end_ns = clock_now_ns();
    if (stamped_count == 2) loop_stop(c->loop);
    return n;
}

static void callbacks_of_a_turn_share_the_wake_stamp_and_meet_end_to_begin(void **state) {
    (void)state;
    static const struct conn_ops ops = {.on_bytes = stamp_bytes};
    int a[2], b[2];
    tcp_pair(a);
    tcp_pair(b);
    stamped_count = 0;
    conn_accept(loop, a[1], NULL, &ops, NULL);
    conn_accept(loop, b[1], NULL, &ops, NULL);
    send(a[0], "x", 1, 0);
    send(b[0], "x", 1, 0);
    RUN_MS(1000);
    assert_int_equal(stamped_count, 2);
    assert_int_equal(stamps[0].turn, stamps[1].turn);
    assert_int_equal(stamps[0].wake_ns, stamps[1].wake_ns);
    assert_int_equal(stamps[0].wake_ns, stamps[0].begin_ns);
    assert_true(stamps[1].begin_ns >= stamps[0].end_ns);
    assert_true(stamps[1].begin_ns - stamps[0].end_ns < 2 * NS_PER_MS);
    close(a[0]);
    close(b[0]);
}

/* ---- inbox ---- */

enum { SENDERS = 4, PER_SENDER = 5000 };
struct note {
    struct message message;
    unsigned sender, number;
};
static unsigned next_number[SENDERS], arrived;
static struct inbox inbox;

static void note_run(struct message *m, void *context) {
    struct note *n = (struct note *)m;
    assert_ptr_equal(context, next_number);
    assert_int_equal(n->number, next_number[n->sender]++);
    mem_free(n);
    if (++arrived == SENDERS * PER_SENDER) loop_stop(loop);
}

static void *sender_run(void *context) {
    unsigned sender = (unsigned)(uintptr_t)context;
    for (unsigned i = 0; i < PER_SENDER; i++) {
        struct note *n = mem_alloc(sizeof *n);
        *n = (struct note){.message.run = note_run, .sender = sender, .number = i};
        struct timespec pause = {.tv_nsec = 100000};
        while (!inbox_post(&inbox, &n->message)) nanosleep(&pause, NULL);
    }
    return NULL;
}

static void messages_of_many_threads_all_arrive_in_each_senders_order(void **state) {
    (void)state;
    memset(next_number, 0, sizeof next_number);
    arrived = 0;
    inbox_init(&inbox, loop, 64, next_number);
    pthread_t threads[SENDERS];
    for (uintptr_t i = 0; i < SENDERS; i++) pthread_create(&threads[i], NULL, sender_run, (void *)i);
    RUN();
    for (int i = 0; i < SENDERS; i++) pthread_join(threads[i], NULL);
    assert_int_equal(arrived, SENDERS * PER_SENDER);
    inbox_clear(&inbox);
}

static void counted_run(struct message *m, void *context) {
    (void)m;
    ++*(unsigned *)context;
    loop_stop(loop);
}

static void a_full_or_closed_inbox_leaves_the_message_to_its_sender(void **state) {
    (void)state;
    unsigned ran = 0;
    struct message m[4];
    for (int i = 0; i < 4; i++) m[i] = (struct message){.run = counted_run};
    inbox_init(&inbox, loop, 2, &ran);
    assert_true(inbox_post(&inbox, &m[0]));
    assert_true(inbox_post(&inbox, &m[1]));
    assert_false(inbox_post(&inbox, &m[2]));
    RUN();
    assert_int_equal(ran, 2);
    assert_true(inbox_post(&inbox, &m[2]));
    inbox_clear(&inbox);
    assert_false(inbox_post(&inbox, &m[3]));
    RUN_MS(5);
    assert_int_equal(ran, 2);
}

/* ---- listener ---- */

struct door {
    struct listener *listener;
    int fds[64], count, stop_at;
    bool free_within;
    char peer[INET6_ADDRSTRLEN];
};

static void door_accept(void *context, int fd, const struct sockaddr *peer, uint64_t accepted_ns) {
    struct door *d = context;
    assert_int_equal(accepted_ns, loop->wake_ns);
    assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    inet_ntop(AF_INET, &((const struct sockaddr_in *)(const void *)peer)->sin_addr, d->peer, sizeof d->peer);
    d->fds[d->count++] = fd;
    if (d->free_within) listener_free(d->listener);
    if (d->count == d->stop_at) loop_stop(loop);
}

static int door_knock(unsigned short port) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    return fd;
}

static int door_open(struct door *d) {
    char error[256];
    int fd = listen_open("127.0.0.1", "0", error, sizeof error);
    assert_true(fd >= 0);
    *d = (struct door){0};
    d->listener = listener_new(loop, fd, door_accept, d);
    return fd;
}

static void door_shut(struct door *d, int fd) {
    if (!d->free_within) listener_free(d->listener);
    for (int i = 0; i < d->count; i++) close(d->fds[i]);
    close(fd);
}

static void an_address_in_use_or_unknown_is_an_error_with_its_name(void **state) {
    (void)state;
    struct door d;
    int fd = door_open(&d);
    char port[8], error[256];
    snprintf(port, sizeof port, "%u", listen_port(fd));
    assert_int_equal(listen_open("127.0.0.1", port, error, sizeof error), -1);
    assert_non_null(strstr(error, port));
    assert_non_null(strstr(error, "Address already in use"));
    assert_int_equal(listen_open("no-such-host.invalid", "0", error, sizeof error), -1);
    assert_non_null(strstr(error, "no-such-host.invalid"));
    assert_int_equal(listen_open("127.0.0.1", "http", error, sizeof error), -1);
    door_shut(&d, fd);
}

static void connections_are_accepted_until_paused(void **state) {
    (void)state;
    struct door d;
    int fd = door_open(&d), peers[3];
    d.stop_at = 2;
    peers[0] = door_knock(listen_port(fd));
    peers[1] = door_knock(listen_port(fd));
    RUN();
    assert_string_equal(d.peer, "127.0.0.1");
    listener_pause(d.listener);
    peers[2] = door_knock(listen_port(fd));
    RUN_MS(20);
    assert_int_equal(d.count, 2);
    d.stop_at = 3;
    listener_resume(d.listener);
    RUN();
    door_shut(&d, fd);
    for (int i = 0; i < 3; i++) close(peers[i]);
}

static void a_listener_may_be_freed_while_it_accepts(void **state) {
    (void)state;
    struct door d;
    int fd = door_open(&d);
    d.free_within = true;
    int a = door_knock(listen_port(fd)), b = door_knock(listen_port(fd));
    RUN_MS(20);
    assert_int_equal(d.count, 1);
    door_shut(&d, fd);
    close(a);
    close(b);
}

static void out_of_descriptors_accepting_waits_and_recovers(void **state) {
    (void)state;
    struct door d;
    int fd = door_open(&d), peers[3], spare;
    for (int i = 0; i < 3; i++) peers[i] = door_knock(listen_port(fd));
    struct rlimit before, low;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    spare = dup(fd);
    close(spare);
    low = (struct rlimit){(rlim_t)spare, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    uint64_t turns = loop->turns;
    RUN_MS(250);
    assert_int_equal(d.count, 0);
    assert_true(loop->turns - turns < 15);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    d.stop_at = 3;
    RUN();
    door_shut(&d, fd);
    for (int i = 0; i < 3; i++) close(peers[i]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        NET_TEST(a_task_runs_once_however_often_it_is_deferred),
        NET_TEST(a_task_deferred_by_a_task_waits_for_the_next_turn_which_does_not_sleep),
        NET_TEST(a_loop_with_nothing_to_wait_for_ends),
        NET_TEST(a_turn_by_hand_fires_what_is_due_and_says_when_nothing_is),
        NET_TEST(after_standing_still_sockets_are_looked_at_before_deadlines),
        NET_TEST(callbacks_of_a_turn_share_the_wake_stamp_and_meet_end_to_begin),
        NET_TEST(messages_of_many_threads_all_arrive_in_each_senders_order),
        NET_TEST(a_full_or_closed_inbox_leaves_the_message_to_its_sender),
        NET_TEST(an_address_in_use_or_unknown_is_an_error_with_its_name),
        NET_TEST(connections_are_accepted_until_paused),
        NET_TEST(a_listener_may_be_freed_while_it_accepts),
        NET_TEST(out_of_descriptors_accepting_waits_and_recovers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
