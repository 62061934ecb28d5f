/* The recorder's thread. The hard part is waking it cheaply: a write to an eventfd for every batch would cost the workers
 * a system call a turn, so it polls every 20 ms while there is traffic and asks to be woken only before it sleeps for
 * longer, never for more than a second: a wake-up may be missed between a worker's two memory accesses. The log's file is written without blocking anybody: a full pipe means that lines are dropped and counted. */
#include "recorder/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "recorder/access_log.h"

enum { POLL_MS = 20, SLEEP_MS = 1000, WRITE_BYTES = 65536, WRITE_WAIT_MS = 1000 };

struct recorder {
    struct recorder_options options;
    char *access_file, *replica;
    struct ring *rings[RECORDER_RINGS_MAX];
    pthread_t thread;
    int log_fd, wake_fd;
    _Atomic bool asleep, stopping, reopen;
    _Atomic uint64_t log_dropped;
    struct buf out;
    unsigned lines;
};

static bool log_open(struct recorder *r, char *error, size_t error_bytes) {
    if (!r->options.access) return true;
    if (r->access_file == NULL) {
        r->log_fd = STDOUT_FILENO;
        return true;
    }
    int fd = open(r->access_file, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOCTTY, 0640);
    if (fd < 0) {
        snprintf(error, error_bytes, "%s: %s", r->access_file, strerror(errno));
        return false;
    }
    if (r->log_fd > STDOUT_FILENO) close(r->log_fd);
    r->log_fd = fd;
    return true;
}

static void lines_lost(struct recorder *r) {
    static _Atomic uint64_t gate;
    atomic_fetch_add(&r->log_dropped, r->lines);
    if (log_once_a_minute(&gate)) log_warn("access log: lines are being dropped: %s", strerror(errno));
}

/* Writes the batch. A regular file takes it; a pipe nobody reads is waited for a second (the rings hold much more). */
static void batch_write(struct recorder *r) {
    struct slice left = buf_slice(&r->out);
    while (left.n > 0) {
        ssize_t n = write(r->log_fd, left.p, left.n);
        if (n > 0) {
            left.p += n;
            left.n -= (size_t)n;
            continue;
        }
        if (n < 0 && errno == EINTR) continue;
        struct pollfd ready = {.fd = r->log_fd, .events = POLLOUT};
        if (n < 0 && errno == EAGAIN && poll(&ready, 1, WRITE_WAIT_MS) == 1) continue;
        lines_lost(r);
        break;
    }
    r->out.start = r->out.end = 0; /* keeps the memory for the next batch */
    r->lines = 0;
}

static bool ring_drain(struct recorder *r, struct ring *ring) {
    size_t n;
    bool any = false;
    for (const struct record *record; (record = ring_peek(ring, &n)) != NULL; any = true) {
        if (r->options.access) {
            access_log_line(&r->out, record, slice_of(r->replica));
            r->lines++;
        }
        ring_release(ring);
        if (buf_length(&r->out) >= WRITE_BYTES) batch_write(r);
    }
    return any;
}

static bool rings_drain(struct recorder *r) {
    bool any = false;
    for (unsigned i = 0; i < r->options.rings; i++) any |= ring_drain(r, r->rings[i]);
    if (buf_length(&r->out) > 0) batch_write(r);
    return any;
}

static void reopen_if_asked(struct recorder *r) {
    char message[256];
    if (!atomic_exchange(&r->reopen, false)) return;
    if (!log_open(r, message, sizeof message)) log_error("access log: %s; the old file stays open", message);
}

static void sleep_until_woken(struct recorder *r) {
    uint64_t count;
    atomic_store(&r->asleep, true);
    if (rings_drain(r) || atomic_load(&r->stopping) || atomic_load(&r->reopen)) {
        atomic_store(&r->asleep, false);
        return;
    }
    struct pollfd woken = {.fd = r->wake_fd, .events = POLLIN};
    if (poll(&woken, 1, SLEEP_MS) == 1) {
        ssize_t ignored = read(r->wake_fd, &count, sizeof count);
        (void)ignored;
    }
    atomic_store(&r->asleep, false);
}

static void *recorder_run(void *context) {
    struct recorder *r = context;
    pthread_setname_np(pthread_self(), "recorder");
    unsigned idle_polls = 0;
    while (!atomic_load(&r->stopping)) {
        reopen_if_asked(r);
        idle_polls = rings_drain(r) ? 0 : idle_polls + 1;
        if (idle_polls > 10) {
            sleep_until_woken(r);
            idle_polls = 0;
        } else {
            poll(NULL, 0, POLL_MS);
        }
    }
    rings_drain(r);
    return NULL;
}

struct recorder *recorder_start(const struct recorder_options *o, char *error, size_t error_bytes) {
    struct recorder *r = mem_zalloc(sizeof *r);
    r->options = *o;
    r->replica = mem_strndup(o->replica.p, o->replica.n);
    r->access_file = o->access_file != NULL ? mem_strndup(o->access_file, strlen(o->access_file)) : NULL;
    r->log_fd = -1;
    r->wake_fd = eventfd(0, EFD_CLOEXEC);
    for (unsigned i = 0; i < o->rings; i++) r->rings[i] = ring_new(RECORDER_RING_BYTES);
    if (!log_open(r, error, error_bytes) || r->wake_fd < 0 || pthread_create(&r->thread, NULL, recorder_run, r) != 0) {
        if (r->wake_fd < 0) snprintf(error, error_bytes, "eventfd: %s", strerror(errno));
        for (unsigned i = 0; i < o->rings; i++) ring_free(r->rings[i]);
        mem_free(r->access_file);
        mem_free(r->replica);
        mem_free(r);
        return NULL;
    }
    return r;
}

struct ring *recorder_ring(struct recorder *r, unsigned worker) { return r->rings[worker]; }

static void wake_write(struct recorder *r) {
    ssize_t ignored = write(r->wake_fd, &(uint64_t){1}, sizeof(uint64_t));
    (void)ignored;
}

void recorder_wake(void *recorder) {
    struct recorder *r = recorder;
    if (atomic_load_explicit(&r->asleep, memory_order_seq_cst) && atomic_exchange(&r->asleep, false)) wake_write(r);
}

void recorder_reopen(struct recorder *r) {
    atomic_store(&r->reopen, true);
    wake_write(r);
}

uint64_t recorder_log_dropped(const struct recorder *r) {
    uint64_t dropped = atomic_load_explicit(&r->log_dropped, memory_order_relaxed);
    for (unsigned i = 0; i < r->options.rings; i++) dropped += ring_dropped(r->rings[i]);
    return dropped;
}

void recorder_stop(struct recorder *r) {
    if (r == NULL) return;
    atomic_store(&r->stopping, true);
    wake_write(r);
    pthread_join(r->thread, NULL);
    for (unsigned i = 0; i < r->options.rings; i++) ring_free(r->rings[i]);
    if (r->log_fd > STDERR_FILENO) close(r->log_fd);
    close(r->wake_fd);
    buf_clear(&r->out);
    mem_free(r->access_file);
    mem_free(r->replica);
    mem_free(r);
}
