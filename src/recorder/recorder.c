/* The recorder's thread. The hard part is waking it cheaply: a write to an eventfd for every batch would cost the
 * workers a system call a turn, so it polls every 5 ms while there is traffic and asks to be woken only before it
 * sleeps for longer, never for more than a second: a wake-up may be missed between a worker's two memory accesses.
 * The log's file is written without blocking anybody: where it takes no more, whole lines are dropped and counted,
 * and a line that is half out is finished before the next. */
#include "recorder/recorder.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "recorder/access_log.h"

enum { POLL_MS = 5, IDLE_MS = 200, SLEEP_MS = 1000, WRITE_BYTES = 65536, WRITE_WAIT_MS = 1000 };

struct log_place { /* where the log is to go */
    bool access;
    char *file;
    int fd;
};

struct recorder {
    struct recorder_options options;
    char *access_file, *replica;
    struct ring *rings[RECORDER_RINGS_MAX];
    pthread_t thread;
    int log_fd, wake_fd;
    bool log_is_socket;
    _Atomic bool asleep, stopping, reopen;
    struct log_place *_Atomic moves_to;
    _Atomic uint64_t log_dropped;
    struct buf out; /* whole lines, but for the first when `torn` */
    bool torn;      /* `out` begins with what a line lacks whose beginning is in the file */
    bool stalled;   /* the last write waited in vain */
    struct changes changes;
    uint64_t look_due_ns;
};

/* Standard output may be a pipe that others write to as well: opened anew, it can be made non-blocking for us alone. */
static int stdout_open(void) {
    struct stat s;
    int fd = -1;
    if (fstat(STDOUT_FILENO, &s) == 0 && (S_ISFIFO(s.st_mode) || S_ISCHR(s.st_mode)))
        fd = open("/proc/self/fd/1", O_WRONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    return fd >= 0 ? fd : STDOUT_FILENO;
}

int recorder_log_open(const char *file, char *error, size_t error_bytes) {
    const int flags = O_WRONLY | O_APPEND | O_CREAT | O_NONBLOCK | O_CLOEXEC | O_NOCTTY;
    int fd = file != NULL ? open(file, flags, 0640) : stdout_open();
    if (fd < 0) snprintf(error, error_bytes, "%s: %s", file, strerror(errno));
    return fd;
}

static void log_use(struct recorder *r, int fd) {
    struct stat s;
    if (r->log_fd > STDERR_FILENO) close(r->log_fd);
    r->log_fd = fd;
    r->log_is_socket = fd >= 0 && fstat(fd, &s) == 0 && S_ISSOCK(s.st_mode);
}

static bool log_open(struct recorder *r, char *error, size_t error_bytes) {
    if (!r->options.access) return true;
    int fd = recorder_log_open(r->access_file, error, error_bytes);
    if (fd >= 0) log_use(r, fd);
    return fd >= 0;
}

static size_t lines_count(struct slice s) {
    size_t lines = 0;
    for (const char *at = s.p, *end = s.p + s.n; (at = memchr(at, '\n', (size_t)(end - at))) != NULL; at++) lines++;
    return lines;
}

/* Drops what could not be written, but for the rest of a line that is half out. */
static void lines_lost(struct recorder *r, struct slice left) {
    static _Atomic uint64_t gate;
    if (log_once_a_minute(&gate)) log_warn("access log: lines are being dropped: %s", strerror(errno));
    if (left.p > r->out.data + r->out.start) r->torn = left.p[-1] != '\n';
    size_t kept = r->torn ? (size_t)((const char *)memchr(left.p, '\n', left.n) - left.p) + 1 : 0;
    atomic_fetch_add(&r->log_dropped, lines_count((struct slice){left.p + kept, left.n - kept}));
    memmove(r->out.data, left.p, kept);
    r->out.start = 0;
    r->out.end = kept;
}

/* A pipe nobody reads is waited for a second (the rings hold much more); when stopping, once. */
static bool log_takes_more(struct recorder *r) {
    struct pollfd ready = {.fd = r->log_fd, .events = POLLOUT};
    int wait_ms = r->stalled && atomic_load(&r->stopping) ? 0 : WRITE_WAIT_MS;
    r->stalled = poll(&ready, 1, wait_ms) != 1;
    if (r->stalled) errno = EAGAIN;
    return !r->stalled;
}

/* A socket cannot be opened anew, and others may share it: each write asks for itself not to wait. */
static ssize_t part_write(const struct recorder *r, struct slice s) {
    return r->log_is_socket ? send(r->log_fd, s.p, s.n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(r->log_fd, s.p, s.n);
}

static void batch_write(struct recorder *r) {
    struct slice left = buf_slice(&r->out);
    while (left.n > 0) {
        ssize_t n = part_write(r, left);
        if (n > 0) {
            left.p += n;
            left.n -= (size_t)n;
        } else if (n == 0 || (errno != EINTR && (errno != EAGAIN || !log_takes_more(r)))) {
            lines_lost(r, left);
            return;
        }
    }
    r->torn = r->stalled = false;
    r->out.start = r->out.end = 0; /* keeps the memory for the next batch */
}

static void record_give(const struct recorder *r, const struct record *record) {
    for (int i = 0; i < RECORDER_SINKS_MAX; i++)
        if (r->options.sinks[i].record != NULL) r->options.sinks[i].record(r->options.sinks[i].context, record);
}

static bool ring_drain(struct recorder *r, struct ring *ring) {
    size_t n;
    bool any = false;
    for (const struct record *record; (record = ring_peek(ring, &n)) != NULL; any = true) {
        if (r->options.access) access_log_line(&r->out, record, slice_of(r->replica));
        if (r->options.exemplars != NULL) exemplars_add(r->options.exemplars, record);
        record_give(r, record);
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

/* What a torn line lacks has its beginning in the old file: the new one begins with a whole line. */
static void torn_drop(struct recorder *r) {
    if (!r->torn) return;
    buf_consume(&r->out, (size_t)((char *)memchr(r->out.data, '\n', r->out.end) - r->out.data) + 1);
    atomic_fetch_add(&r->log_dropped, 1);
    r->torn = false;
}

static void reopen_if_asked(struct recorder *r) {
    char message[256];
    if (!atomic_exchange(&r->reopen, false)) return;
    if (log_open(r, message, sizeof message))
        torn_drop(r);
    else
        log_error("access log: %s; the old file stays open", message);
}

static void place_free(struct log_place *p) {
    if (p == NULL) return;
    if (p->fd > STDERR_FILENO) close(p->fd);
    mem_free(p->file);
    mem_free(p);
}

static void move_if_asked(struct recorder *r) {
    struct log_place *p = atomic_exchange(&r->moves_to, NULL);
    if (p == NULL) return;
    torn_drop(r);
    log_use(r, p->fd);
    p->fd = -1;
    r->options.access = p->access;
    mem_free(r->access_file);
    r->access_file = p->file;
    p->file = NULL;
    place_free(p);
}

/* At each second of the wall clock, so that a minute's numbers are told from the next one's. */
static void look(struct recorder *r, uint64_t now_ns) {
    int64_t unix_ns = clock_wall_ns(now_ns);
    r->look_due_ns = now_ns + NS_PER_S - (uint64_t)unix_ns % NS_PER_S;
    changes_read(&r->changes, now_ns, unix_ns);
    for (int i = 0; i < RECORDER_SINKS_MAX; i++)
        if (r->options.sinks[i].take != NULL) r->options.sinks[i].take(r->options.sinks[i].context, &r->changes);
}

static void look_if_due(struct recorder *r) {
    uint64_t now_ns = clock_now_ns();
    if (now_ns >= r->look_due_ns) look(r, now_ns);
}

static int sleep_ms(const struct recorder *r) {
    uint64_t now_ns = clock_now_ns();
    uint64_t left_ms = r->look_due_ns > now_ns ? (r->look_due_ns - now_ns) / NS_PER_MS + 1 : 0;
    return left_ms < SLEEP_MS ? (int)left_ms : SLEEP_MS;
}

static void sleep_until_woken(struct recorder *r) {
    uint64_t count;
    atomic_store(&r->asleep, true);
    if (rings_drain(r) || atomic_load(&r->stopping) || atomic_load(&r->reopen) || atomic_load(&r->moves_to) != NULL) {
        atomic_store(&r->asleep, false);
        return;
    }
    struct pollfd woken = {.fd = r->wake_fd, .events = POLLIN};
    if (poll(&woken, 1, sleep_ms(r)) == 1) {
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
        move_if_asked(r);
        reopen_if_asked(r);
        look_if_due(r);
        idle_polls = rings_drain(r) ? 0 : idle_polls + 1;
        if (idle_polls > IDLE_MS / POLL_MS) {
            sleep_until_woken(r);
            idle_polls = 0;
        } else {
            poll(NULL, 0, POLL_MS);
        }
    }
    rings_drain(r);
    look(r, clock_now_ns()); /* the workers have ended: now nothing is missing */
    return NULL;
}

static void recorder_free(struct recorder *r) {
    for (unsigned i = 0; i < r->options.rings; i++) ring_free(r->rings[i]);
    if (r->log_fd > STDERR_FILENO) close(r->log_fd);
    if (r->wake_fd >= 0) close(r->wake_fd);
    buf_clear(&r->out);
    place_free(atomic_load(&r->moves_to));
    changes_clear(&r->changes);
    mem_free(r->access_file);
    mem_free(r->replica);
    mem_free(r);
}

struct recorder *recorder_start(const struct recorder_options *o, char *error, size_t error_bytes) {
    struct recorder *r = mem_zalloc(sizeof *r);
    r->options = *o;
    r->replica = mem_strndup(o->replica.p, o->replica.n);
    r->access_file = o->access_file != NULL ? mem_strndup(o->access_file, strlen(o->access_file)) : NULL;
    r->log_fd = -1;
    changes_init(&r->changes);
    r->wake_fd = eventfd(0, EFD_CLOEXEC);
    int failed = r->wake_fd < 0 ? errno : 0;
    for (unsigned i = 0; i < o->rings; i++) r->rings[i] = ring_new(RECORDER_RING_BYTES);
    if (log_open(r, error, error_bytes)) {
        if (failed == 0) failed = pthread_create(&r->thread, NULL, recorder_run, r);
        if (failed == 0) return r;
        snprintf(error, error_bytes, "recorder: %s", strerror(failed));
    }
    recorder_free(r);
    return NULL;
}

struct ring *recorder_ring(struct recorder *r, unsigned worker) {
    return r->rings[worker];
}

void recorder_watch(struct recorder *r, const struct traffic *t) {
    changes_watch(&r->changes, t);
}

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

void recorder_log_move(struct recorder *r, bool access, const char *file, int fd) {
    struct log_place *p = mem_zalloc(sizeof *p);
    *p = (struct log_place){access, file != NULL ? mem_strndup(file, strlen(file)) : NULL, fd};
    place_free(atomic_exchange(&r->moves_to, p));
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
    recorder_free(r);
}
