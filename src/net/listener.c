/* Listening sockets. The hard part is a process out of descriptors: the backlog keeps the socket readable, so accepting
 * pauses for a while instead of turning the loop as fast as it can. */
#include "net/listener.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "conn_private.h"

enum { LISTEN_BACKLOG = 4096, ACCEPTS_PER_TURN = 64 };
#define STARVED_PAUSE_NS (100 * NS_PER_MS)

struct listener {
    struct event event;
    struct timer starved; /* accepting begins again when it fires */
    struct loop *loop;
    accept_fn *on_accept;
    void *context;
    int fd;
    bool armed, paused, in_accept, freed;
};

static int listen_on(const struct addrinfo *address) {
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return -1;
    int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, address->ai_addr, address->ai_addrlen) == 0 && listen(fd, LISTEN_BACKLOG) == 0) return fd;
    int error = errno;
    close(fd);
    errno = error;
    return -1;
}

int listen_open(const char *host, const char *port, char *error, size_t error_bytes) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    int code = getaddrinfo(host, port, &hints, &found);
    if (code != 0) {
        snprintf(error, error_bytes, "cannot listen on %s:%s: %s", host, port, gai_strerror(code));
        return -1;
    }
    int fd = -1;
    for (const struct addrinfo *a = found; a != NULL && fd < 0; a = a->ai_next) fd = listen_on(a);
    char text[128];
    if (fd < 0)
        snprintf(error, error_bytes, "cannot listen on %s:%s: %s", host, port, strerror_r(errno, text, sizeof text));
    freeaddrinfo(found);
    return fd;
}

unsigned short listen_port(int fd) {
    struct sockaddr_storage own = {0};
    socklen_t size = sizeof own;
    char port[8];
    if (getsockname(fd, (struct sockaddr *)&own, &size) != 0) return 0;
    if (getnameinfo((struct sockaddr *)&own, size, NULL, 0, port, sizeof port, NI_NUMERICSERV) != 0) return 0;
    uint64_t number = 0;
    return slice_to_u64(slice_of(port), &number) ? (unsigned short)number : 0;
}

static void arm(struct listener *x) {
    bool wanted = !x->paused && !x->freed && x->starved.link == NULL;
    if (wanted == x->armed) return;
    x->armed = wanted;
    if (wanted)
        event_add(&x->event, NULL);
    else
        event_del(&x->event);
}

static void starved_over(struct timer *t) {
    arm(CONTAINER_OF(t, struct listener, starved));
}

static void starve(struct listener *x, int error) {
    static _Atomic uint64_t gate;
    char text[128];
    if (log_once_a_minute(&gate))
        log_warn("accepting pauses for 100 ms at a time: %s", strerror_r(error, text, sizeof text));
    timer_set(&x->loop->wheel, &x->starved, loop_stamp(x->loop) + STARVED_PAUSE_NS);
    arm(x);
}

static bool accept_one(struct listener *x) {
    struct sockaddr_storage peer;
    socklen_t size = sizeof peer;
    int fd = accept4(x->fd, (struct sockaddr *)&peer, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) x->on_accept(x->context, fd, (struct sockaddr *)&peer, x->loop->wake_ns);
    return fd >= 0;
}

void listener_accept_all(struct listener *x) {
    for (int i = 0; i < LISTEN_BACKLOG && accept_one(x); i++) continue;
}

static void accept_some(struct listener *x) {
    for (int i = 0; i < ACCEPTS_PER_TURN && x->armed; i++) {
        if (accept_one(x)) continue;
        if (errno == EAGAIN) return;
        if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) starve(x, errno);
        /* anything else is about that one connection (accept(2): pending network errors) */
    }
}

static void on_incoming(evutil_socket_t fd, short what, void *context) {
    (void)fd, (void)what;
    struct listener *x = context;
    struct loop *l = x->loop;
    loop_callback_begin(l);
    x->in_accept = true;
    accept_some(x);
    x->in_accept = false;
    if (x->freed) mem_free(x);
    loop_callback_end(l);
}

struct listener *listener_new(struct loop *l, int fd, accept_fn *on_accept, void *context) {
    struct listener *x = mem_zalloc(sizeof *x);
    *x = (struct listener){.loop = l, .fd = fd, .on_accept = on_accept, .context = context};
    x->starved.fire = starved_over;
    event_assign(&x->event, l->base, fd, EV_READ | EV_PERSIST, on_incoming, x);
    arm(x);
    return x;
}

void listener_pause(struct listener *x) {
    x->paused = true;
    arm(x);
}

void listener_resume(struct listener *x) {
    x->paused = false;
    arm(x);
}

void listener_free(struct listener *x) {
    if (x == NULL) return;
    timer_cancel(&x->loop->wheel, &x->starved);
    x->freed = true;
    arm(x);
    if (!x->in_accept) mem_free(x);
}
