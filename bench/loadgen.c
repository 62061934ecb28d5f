/* bench/loadgen.c: an HTTP/1.1 load generator for measuring proxies: one thread, raw epoll, no library of the gateway.
 *
 * Two ways of offering load: a closed loop (each connection sends its next request when it has the answer) and an open
 * loop (--rate: requests start at fixed instants, whether or not the answers keep up). In the open loop latency counts
 * from the instant the request was due, so that a server that stalls cannot hide it by slowing the generator down.
 *
 * The hard part is to check every answer (status, framing, a stream's terminator and number of events) at a cost that
 * does not drown what is measured: answers are parsed in place as they arrive and nothing is kept but counters.
 *
 * It speaks only what the benches need: one fixed request, keep-alive, no pipelining, no redirects. With https:// the
 * peer's certificate is not verified: its only use is a proxy on this machine. */
#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "answer.h"
#include "histogram.h"
#include "options.h"
#include "watch.h"

#define NS_PER_S UINT64_C(1000000000)
#define SCRATCH_BYTES (256 * 1024)
#define ERRORS_STOP 1000 /* a run with this many failures measures nothing */
#define RETRY_NS (NS_PER_S / 100)

enum error_kind {
    ERROR_CONNECT,
    ERROR_RESET,
    ERROR_TRUNCATED,
    ERROR_STATUS,
    ERROR_BAD_ANSWER,
    ERROR_NO_END,
    ERROR_EVENTS,
    ERROR_BODY,
    ERROR_TIMEOUT,
    ERROR_KINDS
};
static const char *const error_names[ERROR_KINDS] = {"connect", "reset",  "truncated", "status", "bad_answer",
                                                     "no_end",  "events", "body",      "timeout"};

enum link_state { LINK_CLOSED, LINK_CONNECTING, LINK_HANDSHAKING, LINK_IDLE, LINK_BUSY };

struct link { /* one connection */
    int fd;
    enum link_state state;
    SSL *ssl;
    struct link *next_idle;
    size_t sent; /* of the request */
    uint32_t epoll_events;
    uint64_t due_ns, retry_ns, last_event_ns;
    bool got_first, ever_streamed;
    struct answer answer;
};

static struct link *links, *idle;
static int epoll_fd;
static SSL_CTX *tls_context;
static char *scratch;
static uint64_t start_ns, begin_ns, end_ns, now_ns; /* the measured window is [begin_ns, end_ns) */
static uint64_t started, busy, answered, answered_all, events_seen, body_seen, bytes_seen, errors_total,
    streaming_links;
static uint64_t errors[ERROR_KINDS];
static struct histogram latency, first_byte, gaps;

static uint64_t clock_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * NS_PER_S + (uint64_t)t.tv_nsec;
}

static bool in_window(void) {
    return now_ns >= begin_ns && now_ns < end_ns;
}

static void link_watch(struct link *k, uint32_t wanted) {
    if (k->epoll_events == wanted) return;
    struct epoll_event e = {.events = wanted, .data.ptr = k};
    epoll_ctl(epoll_fd, k->epoll_events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, k->fd, &e);
    k->epoll_events = wanted;
}

static void link_close(struct link *k) {
    if (k->state == LINK_BUSY) busy--;
    if (k->state == LINK_IDLE) { /* the peer may close what nobody uses */
        struct link **at = &idle;
        while (*at != k) at = &(*at)->next_idle;
        *at = k->next_idle;
    }
    if (k->ssl) SSL_free(k->ssl);
    if (k->fd >= 0) close(k->fd);
    k->ssl = NULL;
    k->fd = -1;
    k->epoll_events = 0;
    k->state = LINK_CLOSED;
    k->retry_ns = now_ns;
}

static void link_fail(struct link *k, enum error_kind kind) {
    link_close(k);
    k->retry_ns = now_ns + RETRY_NS;
    errors[kind]++;
    errors_total++;
}

static void link_release(struct link *k) {
    if (k->state == LINK_BUSY) busy--;
    k->state = LINK_IDLE;
    k->next_idle = idle;
    idle = k;
}

static void link_connect(struct link *k) {
    k->fd = socket(peer.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (k->fd < 0) {
        perror("socket");
        exit(1);
    }
    setsockopt(k->fd, IPPROTO_TCP, TCP_NODELAY, &(int){1}, sizeof(int));
    if (connect(k->fd, (struct sockaddr *)&peer, peer_length) < 0 && errno != EINPROGRESS) {
        link_fail(k, ERROR_CONNECT);
        return;
    }
    k->state = LINK_CONNECTING;
    k->due_ns = now_ns;
    link_watch(k, EPOLLIN | EPOLLOUT);
}

/* Sends what is left of the request; false when the connection is broken. */
static bool link_send(struct link *k) {
    while (k->sent < request_length) {
        size_t left = request_length - k->sent;
        ssize_t n;
        if (k->ssl) {
            n = SSL_write(k->ssl, request_bytes + k->sent, (int)(left > 65536 ? 65536 : left));
            if (n <= 0 && SSL_get_error(k->ssl, (int)n) == SSL_ERROR_WANT_WRITE) break;
            if (n <= 0 && SSL_get_error(k->ssl, (int)n) == SSL_ERROR_WANT_READ) return true;
        } else {
            n = send(k->fd, request_bytes + k->sent, left, MSG_NOSIGNAL);
            if (n < 0 && errno == EAGAIN) break;
        }
        if (n <= 0) return false;
        k->sent += (size_t)n;
    }
    link_watch(k, k->sent < request_length ? EPOLLIN | EPOLLOUT : EPOLLIN);
    return true;
}

static void link_start(struct link *k, uint64_t due_ns) {
    k->state = LINK_BUSY;
    k->sent = 0;
    k->due_ns = due_ns;
    k->got_first = false;
    k->last_event_ns = 0;
    k->answer.parse = AT_HEAD;
    k->answer.head_length = 0;
    started++;
    busy++;
    if (!link_send(k)) link_fail(k, ERROR_RESET);
}

static bool may_start(void) {
    return answered_all + busy < opt.count && now_ns < end_ns;
}

static uint64_t due_next(void) {
    return start_ns + (uint64_t)((double)started * (double)NS_PER_S / opt.rate);
}

/* Idle connections take up work: all of them in the closed loop, as many as are due in the open one. */
static void start_idle(void) {
    while (idle && may_start()) {
        uint64_t due = opt.rate > 0 ? due_next() : now_ns;
        if (due > now_ns) return;
        struct link *k = idle;
        idle = k->next_idle;
        link_start(k, due);
    }
}

static enum error_kind link_judge(const struct link *k) {
    const struct answer *a = &k->answer;
    if (a->status != opt.expect_status) return ERROR_STATUS;
    if (opt.sse && (a->line_length || strcmp(a->last_line, opt.until) != 0)) return ERROR_NO_END;
    if (opt.expect_events && a->events != opt.expect_events) return ERROR_EVENTS;
    if (a->body_bytes < opt.expect_body_min) return ERROR_BODY;
    return k->sent < request_length ? ERROR_BAD_ANSWER : ERROR_KINDS;
}

static void link_answered(struct link *k) {
    enum error_kind wrong = link_judge(k);
    if (wrong != ERROR_KINDS) {
        link_fail(k, wrong);
        return;
    }
    answered_all++;
    if (in_window()) {
        answered++;
        body_seen += k->answer.body_bytes;
        histogram_record(&latency, now_ns - k->due_ns);
    }
    if (k->answer.close_after)
        link_close(k);
    else
        link_release(k);
}

/* Books the events of one read: those that came together count one gap, since they came at one instant. */
static void link_saw_events(struct link *k, uint64_t count) {
    if (!k->ever_streamed) {
        k->ever_streamed = true;
        streaming_links++;
    }
    if (in_window()) {
        events_seen += count;
        if (k->last_event_ns) histogram_record(&gaps, now_ns - k->last_event_ns);
    }
    k->last_event_ns = now_ns;
}

static void link_take(struct link *k, const char *p, size_t n) {
    if (in_window()) bytes_seen += n;
    if (!k->got_first) {
        k->got_first = true;
        if (in_window()) histogram_record(&first_byte, now_ns - k->due_ns);
    }
    bool done = false, bad = k->state != LINK_BUSY;
    uint64_t fresh = 0;
    while (n && !done && !bad) {
        uint64_t before = k->answer.parse == AT_HEAD ? 0 : k->answer.events;
        size_t used = answer_take(&k->answer, p, n, opt.sse, &done, &bad);
        fresh += k->answer.parse == AT_HEAD ? 0 : k->answer.events - before;
        p += used;
        n -= used;
    }
    if (fresh) link_saw_events(k, fresh);
    if (bad || (done && n))
        link_fail(k, ERROR_BAD_ANSWER);
    else if (done)
        link_answered(k);
}

static void link_ended(struct link *k, bool reset) {
    bool waiting = k->state == LINK_BUSY;
    if (waiting && !reset && k->answer.parse == TO_CLOSE) {
        link_answered(k);
    } else if (waiting) {
        link_fail(k, reset ? ERROR_RESET : ERROR_TRUNCATED);
    } else {
        link_close(k);
    }
}

static void link_read(struct link *k) {
    for (;;) {
        ssize_t n;
        bool again;
        if (k->ssl) {
            n = SSL_read(k->ssl, scratch, SCRATCH_BYTES);
            again = n <= 0 && SSL_get_error(k->ssl, (int)n) == SSL_ERROR_WANT_READ;
        } else {
            n = recv(k->fd, scratch, SCRATCH_BYTES, 0);
            again = n < 0 && errno == EAGAIN;
        }
        if (again) return;
        if (n <= 0) {
            link_ended(k, n < 0);
            return;
        }
        link_take(k, scratch, (size_t)n);
        if (!k->ssl || k->fd < 0 || SSL_pending(k->ssl) == 0) return;
    }
}

static void link_handshake(struct link *k) {
    int r = SSL_do_handshake(k->ssl);
    int why = r == 1 ? SSL_ERROR_NONE : SSL_get_error(k->ssl, r);
    if (why == SSL_ERROR_WANT_READ)
        link_watch(k, EPOLLIN);
    else if (why == SSL_ERROR_WANT_WRITE)
        link_watch(k, EPOLLIN | EPOLLOUT);
    else if (why != SSL_ERROR_NONE)
        link_fail(k, ERROR_CONNECT);
    else {
        link_watch(k, EPOLLIN);
        link_release(k);
    }
}

static void link_connected(struct link *k) {
    int error = 0;
    socklen_t length = sizeof error;
    getsockopt(k->fd, SOL_SOCKET, SO_ERROR, &error, &length);
    if (error) {
        link_fail(k, ERROR_CONNECT);
        return;
    }
    if (!opt.tls) {
        link_watch(k, EPOLLIN);
        link_release(k);
        return;
    }
    k->ssl = SSL_new(tls_context);
    SSL_set_fd(k->ssl, k->fd);
    SSL_set_connect_state(k->ssl);
    SSL_set_mode(k->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    k->state = LINK_HANDSHAKING;
    link_handshake(k);
}

static void link_event(struct link *k, uint32_t events) {
    if (k->state == LINK_CONNECTING) {
        link_connected(k);
    } else if (k->state == LINK_HANDSHAKING) {
        link_handshake(k);
    } else {
        if ((events & EPOLLOUT) && k->state == LINK_BUSY && !link_send(k)) {
            link_fail(k, ERROR_RESET);
            return;
        }
        if (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) link_read(k);
    }
}

/* Opens connections that are due (all at once, or spread over the ramp) and gives up on answers that never end. */
static void tend_links(void) {
    uint64_t timeout = (uint64_t)(opt.timeout_s * 1e9);
    for (unsigned i = 0; i < opt.connections; i++) {
        struct link *k = &links[i];
        uint64_t opens = start_ns + (uint64_t)(opt.ramp_s * 1e9 * i / opt.connections);
        if (k->state == LINK_CLOSED && now_ns >= opens && now_ns >= k->retry_ns && may_start())
            link_connect(k);
        else if (k->state != LINK_CLOSED && k->state != LINK_IDLE && now_ns > k->due_ns + timeout)
            link_fail(k, ERROR_TIMEOUT);
    }
}

static void print_histogram(const char *name, const struct histogram *h) {
    printf("\"%s\":{\"n\":%llu,\"p50\":%.4f,\"p90\":%.4f,\"p99\":%.4f,\"p999\":%.4f,\"max\":%.4f},", name,
           (unsigned long long)h->n, (double)histogram_at(h, .5) / 1e6, (double)histogram_at(h, .9) / 1e6,
           (double)histogram_at(h, .99) / 1e6, (double)histogram_at(h, .999) / 1e6, (double)h->max / 1e6);
}

static void print_report(uint64_t measured_ns) {
    printf("{\"seconds\":%.4f,\"requests\":%llu,\"requests_all\":%llu,\"events\":%llu,\"body_bytes\":%llu,"
           "\"received_bytes\":%llu,\"requests_per_s\":%.1f,\"events_per_s\":%.1f,",
           (double)measured_ns / 1e9, (unsigned long long)answered, (unsigned long long)answered_all,
           (unsigned long long)events_seen, (unsigned long long)body_seen, (unsigned long long)bytes_seen,
           (double)answered * 1e9 / (double)measured_ns, (double)events_seen * 1e9 / (double)measured_ns);
    print_histogram("latency_ms", &latency);
    print_histogram("first_byte_ms", &first_byte);
    print_histogram("gap_ms", &gaps);
    printf("\"unfinished\":%llu,\"threads\":[", (unsigned long long)busy);
    for (size_t i = 0; i < thread_count; i++)
        printf("%s{\"pid\":%d,\"name\":\"%s\",\"cpu_ns\":%llu}", i ? "," : "", threads[i].pid, threads[i].name,
               (unsigned long long)(threads[i].end_ns > threads[i].begin_ns ? threads[i].end_ns - threads[i].begin_ns
                                                                            : 0));
    printf("],\"errors\":%llu,\"error_kinds\":{", (unsigned long long)errors_total);
    for (int i = 0; i < ERROR_KINDS; i++)
        printf("%s\"%s\":%llu", i ? "," : "", error_names[i], (unsigned long long)errors[i]);
    printf("}}\n");
}

static uint64_t sleep_ns(void) { /* until the next thing that comes by time */
    uint64_t until = now_ns + NS_PER_S / 200;
    if (opt.rate > 0 && idle && due_next() < until) until = due_next();
    if (now_ns < begin_ns && begin_ns < until) until = begin_ns;
    if (end_ns < until) until = end_ns;
    return until > now_ns ? until - now_ns : 0;
}

static void run(void) {
    struct epoll_event ready[256];
    bool measuring = false, announced = false;
    uint64_t tended_ns = 0;
    now_ns = start_ns = clock_ns();
    begin_ns = start_ns + (uint64_t)(opt.warmup_s * 1e9);
    end_ns = begin_ns + (uint64_t)(opt.duration_s * 1e9);
    while (now_ns < end_ns && answered_all < opt.count && errors_total < ERRORS_STOP) {
        if (!measuring && now_ns >= begin_ns) {
            measuring = true;
            read_threads(opt.watch, opt.watch_count, true);
            begin_ns = now_ns = clock_ns();
        }
        if (now_ns >= tended_ns + NS_PER_S / 250) {
            tend_links();
            tended_ns = now_ns;
        }
        start_idle();
        uint64_t rest = sleep_ns();
        int n = epoll_pwait2(epoll_fd, ready, 256,
                             &(struct timespec){(time_t)(rest / NS_PER_S), (long)(rest % NS_PER_S)}, NULL);
        now_ns = clock_ns();
        for (int i = 0; i < n; i++) {
            struct link *k = ready[i].data.ptr;
            if (k->fd >= 0) link_event(k, ready[i].events);
        }
        if (opt.announce && !announced && streaming_links == opt.connections) {
            announced = true;
            printf("{\"streaming\":%llu}\n", (unsigned long long)streaming_links);
            fflush(stdout);
        }
    }
    read_threads(opt.watch, opt.watch_count, false);
    if (now_ns < begin_ns) begin_ns = now_ns - 1;
    print_report((now_ns < end_ns ? now_ns : end_ns) - begin_ns);
}

static void prepare(void) {
    signal(SIGPIPE, SIG_IGN);
    if (opt.cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        CPU_SET((size_t)opt.cpu, &set);
        if (sched_setaffinity(0, sizeof set, &set) < 0) die("no such processor");
    }
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (opt.tls) {
        tls_context = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_verify(tls_context, SSL_VERIFY_NONE, NULL);
    }
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    scratch = malloc(SCRATCH_BYTES);
    links = calloc(opt.connections, sizeof *links);
    char *heads = calloc(opt.connections, HEAD_MAX);
    if (epoll_fd < 0 || !scratch || !links || !heads) abort();
    for (unsigned i = 0; i < opt.connections; i++)
        links[i] = (struct link){.fd = -1, .answer.head = heads + (size_t)i * HEAD_MAX};
}

int main(int argc, char **argv) {
    int over = options_take(argc, argv);
    if (over >= 0) return over;
    prepare();
    run();
    return errors_total ? 1 : 0;
}
