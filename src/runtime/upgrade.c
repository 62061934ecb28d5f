/* The old process's side of an upgrade: starts the program anew, hands it the listening sockets, and, once it is up,
 * the counts of limits; when it serves, drains. Until then nothing has happened that could not be taken back: whatever
 * goes wrong with the new process, the old one goes on. The hard part is that no connection may fall between the two:
 * both hold the same sockets, so what neither has accepted yet waits in the kernel's queue. */
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "frames.h"
#include "limit/handover.h"
#include "parts.h"
#include "takeover.h"

enum { CHILD_FD = 3, SEND_MS = 10000 };
#define PATIENCE_NS (60 * NS_PER_S)
#define GONE_NS (2 * NS_PER_S)
#define NOTES_NS (50 * NS_PER_MS)

struct upgrade {
    struct gateway *gateway;
    pid_t child;
    int fd;
    struct event event;
    struct timer timer; /* patience; later, when to send notes again */
    struct buf in;
    enum { UPGRADE_STARTING, UPGRADE_HANDED_OVER, UPGRADE_SERVING } state;
};

static void upgrade_free(struct upgrade *u) {
    timer_cancel(&u->gateway->loop->wheel, &u->timer);
    if (u->fd >= 0) {
        event_del(&u->event);
        close(u->fd);
    }
    buf_clear(&u->in);
    mem_free(u);
}

static void give_up(struct upgrade *u, const char *why) {
    struct gateway *g = u->gateway;
    if (u->state == UPGRADE_SERVING) return;
    log_error("upgrade: %s: %s", why, g->draining ? "there will be none" : "this process goes on");
    if (u->child > 0) kill(u->child, SIGKILL);
    limiter_export_end(g->limiter);
    accept_resume(g);
    g->upgrade = NULL;
    upgrade_free(u);
}

/* ---- starting it ---- */

/* Ours and one more variable; not setenv(), because other threads may read the environment meanwhile. */
static char **environment_make(char *more) {
    size_t count = 0, kept = 0;
    while (environ[count] != NULL) count++;
    char **copy = mem_zalloc((count + 2) * sizeof *copy);
    for (size_t i = 0; i < count; i++) copy[kept++] = environ[i];
    copy[kept] = more;
    return copy;
}

static bool child_start(struct upgrade *u, int its_end) {
    struct gateway *g = u->gateway;
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    char variable[64];
    sigemptyset(&none);
    snprintf(variable, sizeof variable, TAKEOVER_VARIABLE "=%d", CHILD_FD);
    char **environment = environment_make(variable);
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_adddup2(&files, its_end, CHILD_FD);
    posix_spawnattr_init(&attributes);
    posix_spawnattr_setsigmask(&attributes, &none);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    errno = posix_spawn(&u->child, g->program, &files, &attributes, (char *const *)g->arguments, environment);
    bool started = errno == 0;
    posix_spawnattr_destroy(&attributes);
    posix_spawn_file_actions_destroy(&files);
    mem_free(environment);
    return started;
}

static bool ports_send(struct upgrade *u) {
    struct gateway *g = u->gateway;
    struct buf lines = {0};
    int fds[FRAME_FDS_MAX];
    unsigned count = 0;
    for (size_t i = 0; i < g->ports.count; i++) {
        ports_line_put(&lines, "listen", g->ports.items[i]->address);
        fds[count++] = g->ports.items[i]->fd;
    }
    if (g->admin_fd >= 0) {
        ports_line_put(&lines, "admin", g->admin_address);
        fds[count++] = g->admin_fd;
    }
    bool sent = frame_send(u->fd, FRAME_PORTS, buf_slice(&lines), fds, count, SEND_MS);
    buf_clear(&lines);
    return sent;
}

/* ---- what it says ---- */

/* From here on this process accepts nothing, until the new one does or has failed. */
static bool counts_send(struct upgrade *u) {
    struct gateway *g = u->gateway;
    struct buf counts = {0};
    accept_pause(g);
    u->state = UPGRADE_HANDED_OVER;
    limiter_export(g->limiter, &counts);
    bool sent = frame_send(u->fd, FRAME_LIMITS, buf_slice(&counts), NULL, 0, SEND_MS);
    buf_clear(&counts);
    return sent;
}

static void serving(struct upgrade *u) {
    struct gateway *g = u->gateway;
    u->state = UPGRADE_SERVING;
    log_info("upgrade: process %d has taken over", (int)u->child);
    timer_set(&g->loop->wheel, &u->timer, g->loop->now_ns + NOTES_NS);
    if (g->admin != NULL) { /* who asks there means the new process */
        admin_leave(g->admin);
        g->admin_fd = -1;
    }
    drain_leave(g);
}

/* False: it has been given up. */
static bool heard(struct upgrade *u, char kind) {
    if (kind == FRAME_UP && u->state == UPGRADE_STARTING) {
        if (counts_send(u)) return true;
        give_up(u, "the counts of limits could not be handed over");
        return false;
    }
    if (kind == FRAME_SERVING && u->state == UPGRADE_HANDED_OVER) {
        serving(u);
        return true;
    }
    give_up(u, "the new process says what is not expected");
    return false;
}

static void gone(struct upgrade *u) {
    event_del(&u->event);
    close(u->fd);
    u->fd = -1;
    if (u->state != UPGRADE_SERVING) /* how it ended will be told in a moment: upgrade_child_ended() */
        timer_set(&u->gateway->loop->wheel, &u->timer, u->gateway->loop->now_ns + GONE_NS);
}

static void child_ready(evutil_socket_t fd, short what, void *context) {
    struct upgrade *u = context;
    struct gateway *g = u->gateway;
    struct frame f;
    char bytes[4096];
    (void)what;
    loop_callback_begin(g->loop);
    ssize_t n = read((int)fd, bytes, sizeof bytes), size = 0;
    if (n > 0) buf_append(&u->in, bytes, (size_t)n);
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        gone(u);
    else
        while (buf_length(&u->in) > 0 && (size = frame_take(buf_slice(&u->in), &f)) != 0) {
            if (!heard(u, size > 0 ? f.kind : '\0')) break;
            if (size < 0) break;
            buf_consume(&u->in, (size_t)size);
        }
    loop_callback_end(g->loop);
}

/* ---- time ---- */

static void notes_send(struct upgrade *u) {
    struct buf notes = {0};
    limiter_noted(u->gateway->limiter, &notes);
    if (u->fd >= 0 && buf_length(&notes) > 0 &&
        !frame_send(u->fd, FRAME_NOTES, buf_slice(&notes), NULL, 0, SEND_MS / 10))
        log_warn("upgrade: what was settled could not be told: %s", strerror(errno));
    buf_clear(&notes);
}

static void time_passed(struct timer *t) {
    struct upgrade *u = (struct upgrade *)((char *)t - offsetof(struct upgrade, timer));
    if (u->state != UPGRADE_SERVING) {
        give_up(u, u->fd >= 0 ? "the new process was not ready in time" : "the new process hung up");
        return;
    }
    notes_send(u);
    timer_set(&u->gateway->loop->wheel, &u->timer, u->gateway->loop->now_ns + NOTES_NS);
}

/* ---- for the others ---- */

void upgrade_begin(struct gateway *g) {
    int ends[2];
    g->upgrade_asked = g->reload != NULL; /* then it is tried again when that is over */
    if (g->upgrade_asked) return;
    if (g->draining || g->upgrade != NULL || g->program == NULL) {
        log_warn("upgrade: not now: %s", g->program == NULL ? "there is no file to start"
                                         : g->draining      ? "this process is ending"
                                                            : "one is under way");
        return;
    }
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0) {
        log_error("upgrade: %s: this process goes on", strerror(errno));
        return;
    }
    struct upgrade *u = mem_zalloc(sizeof *u);
    *u = (struct upgrade){.gateway = g, .fd = ends[0], .timer.fire = time_passed};
    g->upgrade = u;
    evutil_make_socket_nonblocking(u->fd);
    event_assign(&u->event, g->loop->base, u->fd, EV_READ | EV_PERSIST, child_ready, u);
    event_add(&u->event, NULL);
    timer_set(&g->loop->wheel, &u->timer, loop_stamp(g->loop) + PATIENCE_NS);
    bool sent = ports_send(u), started = sent && child_start(u, ends[1]); /* it finds them waiting */
    int error = errno;
    close(ends[1]);
    if (started)
        log_info("upgrade: process %d has been started", (int)u->child);
    else
        give_up(u, strerror(error));
}

void upgrade_child_ended(struct gateway *g) {
    int status;
    for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG)) > 0;) {
        struct upgrade *u = g->upgrade;
        if (u == NULL || u->child != pid) continue;
        u->child = 0;
        char text[128];
        snprintf(text, sizeof text, "process %d ended with %s %d (what it said stands above)", (int)pid,
                 WIFSIGNALED(status) ? "signal" : "status",
                 WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        if (u->state == UPGRADE_SERVING) log_info("upgrade: %s", text);
        give_up(u, text);
    }
}

void upgrade_cancel(struct gateway *g) {
    g->upgrade_asked = false;
    if (g->upgrade != NULL && g->upgrade->state != UPGRADE_SERVING) give_up(g->upgrade, "this one was told to end");
}

void upgrade_stop(struct gateway *g) {
    struct upgrade *u = g->upgrade;
    if (u == NULL) return;
    if (u->state == UPGRADE_SERVING)
        notes_send(u);
    else if (u->child > 0)
        kill(u->child, SIGTERM);
    g->upgrade = NULL;
    upgrade_free(u);
}
