/* redis_fixture.h: a client of Redis on a loop that is turned by hand, and what is needed to play the server in the
 * same thread, byte by byte, or to start a real one. */
#pragma once
#include "unit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "redis/client.h"

#define PATIENCE_NS (10 * NS_PER_S) /* a test that waits longer has failed */
#define LONG_NS (15 * NS_PER_S)     /* a timeout that no test reaches */

static struct loop *loop;
static struct inbox inbox;
static struct resolver *resolver;
static struct redis *site;
static struct redis_client *client;

static inline void pause_ms(long ms) {
    struct timespec t = {ms / 1000, (ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static inline void turn(void) {
    if (!loop_turn(loop)) {
        struct timespec t = {0, 300000};
        nanosleep(&t, NULL);
    }
}

#define UNTIL(condition)                                                                                               \
    do {                                                                                                               \
        uint64_t until_ns = clock_now_ns() + PATIENCE_NS;                                                              \
        while (!(condition)) {                                                                                         \
            if (clock_now_ns() > until_ns) fail_msg("never came: %s", #condition);                                     \
            turn();                                                                                                    \
        }                                                                                                              \
    } while (0)

static inline void turns_for_ms(unsigned ms) {
    uint64_t until_ns = clock_now_ns() + ms * NS_PER_MS;
    while (clock_now_ns() < until_ns) turn();
}

static inline void fd_close(int *fd) {
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static int listener = -1, peer = -1;
static unsigned listener_port;
static struct buf heard; /* what the client sent and nobody looked at yet */

static inline void world_begin(void) {
    fd_close(&peer); /* of a test that failed */
    fd_close(&listener);
    buf_clear(&heard);
    signal(SIGPIPE, SIG_IGN);
    log_level_set(LOG_LEVEL_ERROR);
    loop = loop_new();
    inbox_init(&inbox, loop, 1000, NULL);
    resolver = resolver_new(1, NS_PER_S);
}

/* Host 127.0.0.1 unless the options say otherwise. */
static inline void client_begin(struct redis_options o, unsigned port) {
    char digits[8], error[256];
    snprintf(digits, sizeof digits, "%u", port);
    if (o.host.n == 0) o.host = SLICE("127.0.0.1");
    if (o.port.n == 0) o.port = slice_of(digits);
    if (o.timeout_ns == 0) o.timeout_ns = LONG_NS;
    site = redis_new(&o, error, sizeof error);
    if (site == NULL) fail_msg("%s", error);
    client = redis_client_new(site, loop, &inbox, resolver);
}

static inline void client_end(void) {
    redis_client_free(client);
    client = NULL;
}

static inline void world_end(void) {
    resolver_free(resolver);
    client_end();
    redis_free(site);
    inbox_clear(&inbox);
    loop_free(loop);
    site = NULL;
}

static inline struct redis_stats stats(void) {
    struct redis_stats s;
    redis_stats_read(site, &s);
    return s;
}

/* ---- calls ---- */

struct answer { /* what a call was told */
    unsigned count;
    struct redis_result result; /* its reply is gone */
    enum redis_type type;
    int64_t integer;
    size_t items;
    char text[256];
    struct redis_handle handle;
    bool again; /* for a test's own callback */
};

static inline void answered(void *context, const struct redis_result *r) {
    struct answer *a = context;
    a->count++;
    a->result = *r;
    a->text[0] = '\0';
    if (r->reply == NULL) return;
    assert_true(r->failure == REDIS_OK || r->failure == REDIS_REFUSED);
    a->type = r->reply->type;
    a->integer = r->reply->integer;
    a->items = r->reply->count;
    if (r->reply->text.n > 0) snprintf(a->text, sizeof a->text, "%.*s", (int)r->reply->text.n, r->reply->text.p);
}

/* The words end with NULL; the second is the key when there is one. */
static inline bool ask(struct answer *a, const struct redis_script *script, unsigned keys, const char *const *words) {
    struct slice slices[16];
    unsigned n = 0;
    for (; words[n] != NULL; n++) slices[n] = slice_of(words[n]);
    struct redis_call call = {
        .script = script, .words = slices, .word_count = n, .key_count = keys, .done = answered, .context = a};
    return redis_call(client, &call, &a->handle);
}
#define WORDS(...) ((const char *const[]){__VA_ARGS__, NULL})

/* ---- the server, played ---- */

static inline void server_listen(unsigned port) {
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    socklen_t length = sizeof at;
    listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int on = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    assert_int_equal(bind(listener, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(listener, 16), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&at, &length), 0);
    listener_port = ntohs(at.sin_port);
}

static inline bool server_accepts(void) {
    if (peer < 0) peer = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    return peer >= 0;
}

/* Whether what the client sent begins with `text` by now; takes it then. */
static inline bool server_hears(const char *text) {
    char bytes[65536];
    ssize_t n = recv(peer, bytes, sizeof bytes, 0);
    if (n > 0) buf_append(&heard, bytes, (size_t)n);
    size_t length = strlen(text), have = buf_length(&heard);
    if (have > 0) assert_memory_equal(heard.data + heard.start, text, have < length ? have : length);
    if (have < length) return false;
    buf_consume(&heard, length);
    return true;
}

static inline void server_says_bytes(const char *p, size_t n) {
    assert_int_equal(send(peer, p, n, MSG_NOSIGNAL), (ssize_t)n);
}
static inline void server_says(const char *text) {
    server_says_bytes(text, strlen(text));
}

static inline const char *probe_command(void) {
    static char text[1024];
    struct slice source = redis_script(REDIS_SCRIPT_probe)->source;
    snprintf(text, sizeof text, "*3\r\n$4\r\nEVAL\r\n$%zu\r\n%.*s\r\n$1\r\n0\r\n", source.n, (int)source.n, source.p);
    return text;
}
#define PROBE_ANSWER "*2\r\n$10\r\n1700000000\r\n$1\r\n5\r\n"

static inline void server_logs_in(void) {
    UNTIL(server_accepts());
    UNTIL(server_hears(probe_command()));
    server_says(PROBE_ANSWER);
    UNTIL(redis_client_is_up(client));
}

static inline void played_begin(uint64_t timeout_ns) {
    world_begin();
    server_listen(0);
    client_begin((struct redis_options){.timeout_ns = timeout_ns}, listener_port);
    server_logs_in();
}

static inline void played_end(void) {
    world_end();
    fd_close(&peer);
    fd_close(&listener);
    buf_clear(&heard);
}
