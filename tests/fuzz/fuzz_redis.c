/* The client of Redis against servers that say anything at any time, without sockets: the input is a list of steps
 * (calls, cancellations, answers proper and not, ends, time). Whatever happens, a call that was taken is told exactly
 * once, one that was cancelled never, and a call that ended OK got an answer to itself: numbers are answered in order.
 */
/* fuzz-sources: src/redis/client.c src/redis/link.c src/redis/breaker.c src/redis/cluster.c src/redis/reader.c */
/* fuzz-sources: src/redis/reply.c src/redis/command.c src/redis/key.c src/redis/script.c src/redis/redis.c */
/* fuzz-sources: src/net/loop.c src/net/wheel.c src/crypto/digest.c src/crypto/random.c src/telemetry/histogram.c */
/* fuzz-sources: src/base/arena.c src/base/buf.c src/base/mem.c src/base/slice.c src/base/hash.c src/base/random.c */
/* fuzz-sources: src/base/clock.c src/base/log.c src/base/json_text.c */
#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/conn.h"
#include "redis/client.h"

/* ---- the world ---- */

static uint64_t now_ns = NS_PER_S;

uint64_t clock_now_ns(void) {
    return now_ns;
}
int64_t clock_real_ns(void) {
    return (int64_t)now_ns;
}

enum { CONNS_MAX = 256, CALLS_MAX = 512 };
static struct fake { /* a connection and what the client wrote into it */
    struct conn conn;
    struct buf wrote;
    bool ready;
} * conns[CONNS_MAX];
static unsigned conn_count;

struct conn *conn_connect(struct loop *l, const struct sockaddr *address, socklen_t length, struct tls_context *tls,
                          const char *host, const struct conn_ops *ops, void *owner) {
    (void)address, (void)length, (void)tls, (void)host;
    if (conn_count == CONNS_MAX) return NULL;
    struct fake *f = mem_zalloc(sizeof *f);
    f->conn.loop = l;
    f->conn.ops = ops;
    f->conn.owner = owner;
    conns[conn_count++] = f;
    return &f->conn;
}
void conn_owner_set(struct conn *c, const struct conn_ops *ops, void *owner) {
    c->ops = ops;
    c->owner = owner;
}
void conn_close(struct conn *c) {
    assert(!c->closing);
    c->closing = true;
}
enum send_result conn_send_slice(struct conn *c, struct slice s) {
    struct fake *f = (struct fake *)c;
    assert(!c->closing && f->ready);
    buf_append_slice(&f->wrote, s);
    return SEND_DONE;
}
void conn_error_text(const struct conn *c, char *out, size_t out_bytes) {
    (void)c;
    snprintf(out, out_bytes, "reset");
}
void loop_conns_reap(struct loop *l) {
    (void)l;
}
void loop_conns_close(struct loop *l) {
    (void)l;
}
struct tls_context *tls_client_new(const char *ca, bool verify, char *error, size_t error_bytes) {
    (void)ca, (void)verify, (void)error, (void)error_bytes;
    abort();
}
void tls_context_unref(struct tls_context *t) {
    (void)t;
    abort();
}
bool resolver_ask(struct resolver *x, struct resolve *r) {
    (void)x;
    struct sockaddr_in *at = (struct sockaddr_in *)&r->answer.list[0];
    at->sin_family = AF_INET;
    r->answer.count = 1;
    r->answer.lengths[0] = sizeof *at;
    return true;
}

/* ---- calls ---- */

static struct redis_client *client;
static struct call {
    struct redis_handle handle;
    bool taken, told, cancelled;
} calls[CALLS_MAX];
static unsigned call_count;
static bool downward;

static void told(void *context, const struct redis_result *r) {
    struct call *call = context;
    assert(!downward && call->taken && !call->told && !call->cancelled);
    assert((r->reply != NULL) == (r->failure == REDIS_OK || r->failure == REDIS_REFUSED));
    assert(r->failure != REDIS_OK || r->reply->type != REDIS_ERROR_TEXT);
    assert(r->failure != REDIS_REFUSED || r->error != REDIS_ERROR_NONE);
    call->told = true;
}

static void call_make(unsigned what) {
    static struct redis_script script;
    if (script.name.p == NULL) redis_script_init(&script, SLICE("s"), SLICE("return 1"));
    if (call_count == CALLS_MAX) return;
    struct call *call = &calls[call_count++];
    char key[16];
    snprintf(key, sizeof key, "{k%u}", what % 7);
    struct slice words[] = {SLICE("GET"), slice_of(key), SLICE("arg")};
    struct redis_call c = {.words = words, .word_count = 2, .key_count = 1, .done = told, .context = call};
    if (what & 8)
        c = (struct redis_call){
            .script = &script, .words = words + 1, .word_count = 2, .key_count = 1, .done = told, .context = call};
    if (what & 16) c.timeout_ns = 5 * NS_PER_MS;
    if (what & 32) c.done = NULL;
    downward = true;
    call->taken = redis_call(client, &c, &call->handle) && c.done != NULL;
    downward = false;
}

static void call_cancel(unsigned i) {
    if (call_count == 0) return;
    struct call *call = &calls[i % call_count];
    downward = true;
    redis_cancel(client, call->handle);
    downward = false;
    call->cancelled = !call->told;
}

/* ---- servers ---- */

static const struct slice answers[] = {
    SLICE_INIT("*2\r\n$1\r\n1\r\n$1\r\n2\r\n"),
    SLICE_INIT("+OK\r\n"),
    SLICE_INIT(":1\r\n"),
    SLICE_INIT("$3\r\nabc\r\n"),
    SLICE_INIT("$-1\r\n"),
    SLICE_INIT("-NOSCRIPT no\r\n"),
    SLICE_INIT("-MOVED 7 127.0.0.1:7001\r\n"),
    SLICE_INIT("-MOVED 12000 :7002\r\n"),
    SLICE_INIT("-ASK 7 127.0.0.1:7003\r\n"),
    SLICE_INIT("-READONLY x\r\n"),
    SLICE_INIT("-OOM x\r\n"),
    SLICE_INIT("-ERR x\r\n"),
    SLICE_INIT("+PONG\r\n"),
    SLICE_INIT(
        "*2\r\n*3\r\n:0\r\n:8000\r\n*2\r\n$9\r\n127.0.0.1\r\n:7001\r\n*3\r\n:8001\r\n:16383\r\n*2\r\n$-1\r\n:7002\r\n"),
    SLICE_INIT("*1\r\n*2\r\n:0\r\n:16384\r\n"),
    SLICE_INIT("*0\r\n"),
};

static struct fake *conn_of(unsigned i) {
    for (unsigned n = 0; n < conn_count; n++) {
        struct fake *f = conns[(i + n) % conn_count];
        if (!f->conn.closing) return f;
    }
    return NULL;
}

static void conn_says(struct fake *f, struct slice s) {
    if (f == NULL || !f->ready || f->conn.closing || s.n == 0) return;
    size_t n = f->conn.ops->on_bytes(&f->conn, s.p, s.n);
    assert(n == s.n);
}

static void conn_ends(struct fake *f, bool eof) {
    if (f == NULL) return;
    if (eof && f->ready) {
        f->conn.ops->on_eof(&f->conn);
        return;
    }
    f->conn.closing = true;
    f->conn.ops->on_close(&f->conn, f->ready ? CLOSE_RESET : CLOSE_CONNECT_FAILED);
}

static void conn_gets_ready(struct fake *f) {
    if (f == NULL || f->ready) return;
    f->ready = true;
    f->conn.ops->on_ready(&f->conn);
}

/* ---- steps ---- */

enum { STEP_CALL, STEP_CANCEL, STEP_READY, STEP_ANSWER, STEP_BYTES, STEP_EOF, STEP_RESET, STEP_TURN, STEP_TIME, STEPS };

static const uint8_t *step(struct loop *l, const uint8_t *p, const uint8_t *end) {
    unsigned what = p[0] % STEPS, more = p[1], which = more & 3;
    p += 2;
    loop_callback_begin(l);
    switch (what) {
    case STEP_CALL:
        call_make(more);
        break;
    case STEP_CANCEL:
        call_cancel(more);
        break;
    case STEP_READY:
        conn_gets_ready(conn_of(which));
        break;
    case STEP_ANSWER:
        conn_says(conn_of(which), answers[(more >> 2) % (sizeof answers / sizeof answers[0])]);
        break;
    case STEP_BYTES: {
        size_t n = more >> 2;
        if (n > (size_t)(end - p)) n = (size_t)(end - p);
        conn_says(conn_of(which), (struct slice){(const char *)p, n});
        p += n;
        break;
    }
    case STEP_EOF:
    case STEP_RESET:
        conn_ends(conn_of(which), what == STEP_EOF);
        break;
    case STEP_TIME:
        now_ns += more * more * NS_PER_MS / 4;
        break;
    default:
        break;
    }
    loop_callback_end(l);
    if (what >= STEP_TURN) loop_turn(l);
    return p;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    char error[64];
    log_level_set(LOG_LEVEL_ERROR);
    memset(calls, 0, sizeof calls);
    call_count = conn_count = 0;
    struct redis_options o = {.host = SLICE("127.0.0.1"), .port = SLICE("7000"), .timeout_ns = 50 * NS_PER_MS};
    struct loop *l = loop_new();
    struct redis *r = redis_new(&o, error, sizeof error);
    client = redis_client_new(r, l, NULL, NULL);
    loop_turn(l);
    const uint8_t *end = data + size;
    for (const uint8_t *p = data; end - p >= 2;) p = step(l, p, end);
    now_ns += NS_PER_S; /* whatever happened: when its time is over, every call has been told */
    for (int i = 0; i < 4; i++) loop_turn(l);
    for (unsigned i = 0; i < call_count; i++) assert(!calls[i].taken || calls[i].told || calls[i].cancelled);
    redis_client_free(client);
    redis_free(r);
    loop_free(l);
    for (unsigned i = 0; i < conn_count; i++) {
        buf_clear(&conns[i]->wrote);
        mem_free(conns[i]);
    }
    return 0;
}
