/* The two libevent events of a connection and what they are armed for. Three states matter: reading (level-triggered),
 * writing (level-triggered, only while output is queued), and watching: nothing is read, yet a peer that leaves must be
 * seen. The hard part is that libevent 2.1 reports an epoll error to EV_READ and EV_WRITE events only: an event armed
 * for EV_CLOSED alone would never run on a reset while epoll returns at once for ever. So the watch is armed for
 * EV_WRITE | EV_CLOSED, edge-triggered, which costs one idle wake-up. libevent refuses mixing edges and levels on one
 * descriptor, hence the two modes exclude each other. */
#include "conn_private.h"

static void on_readable(evutil_socket_t fd, short what, void *context) {
    (void)fd, (void)what;
    struct conn *c = context;
    loop_callback_begin(c->loop);
    conn_read_event(c);
    loop_callback_end(c->loop);
}

static void on_writable(evutil_socket_t fd, short what, void *context) {
    (void)fd, (void)what;
    struct conn *c = context;
    loop_callback_begin(c->loop);
    conn_flush(c);
    loop_callback_end(c->loop);
}

static void on_watch(evutil_socket_t fd, short what, void *context) {
    (void)fd, (void)what;
    struct conn *c = context;
    loop_callback_begin(c->loop);
    conn_flush(c);
    if (!c->closing && !c->broken) conn_watch_event(c);
    loop_callback_end(c->loop);
}

void conn_events_init(struct conn *c) {
    event_assign(&c->rd, c->loop->base, c->fd, EV_READ | EV_PERSIST, on_readable, c);
    event_assign(&c->wr, c->loop->base, c->fd, EV_WRITE | EV_PERSIST, on_writable, c);
}

void conn_events_stop(struct conn *c) {
    if (c->read_armed) event_del(&c->rd);
    if (c->writing || c->watching) event_del(&c->wr);
    c->read_armed = c->writing = c->watching = false;
}

static void watch_disarm(struct conn *c) {
    event_del(&c->wr);
    event_assign(&c->wr, c->loop->base, c->fd, EV_WRITE | EV_PERSIST, on_writable, c);
    c->watching = false;
    if (buf_length(&c->out) > 0) conn_write_arm(c);
}

void conn_read_arm(struct conn *c) {
    if (c->read_armed || c->eof_seen || c->broken || c->connecting) return;
    if (c->watching) watch_disarm(c);
    event_add(&c->rd, NULL);
    c->read_armed = true;
}

void conn_write_arm(struct conn *c) {
    if (c->writing || c->watching) return;
    event_add(&c->wr, NULL);
    c->writing = true;
}

void conn_write_disarm(struct conn *c) {
    if (!c->writing) return;
    event_del(&c->wr);
    c->writing = false;
}

void conn_watch_arm(struct conn *c) {
    if (c->watching) return;
    if (c->read_armed) event_del(&c->rd);
    if (c->writing) event_del(&c->wr);
    c->read_armed = c->writing = false;
    event_assign(&c->wr, c->loop->base, c->fd, EV_WRITE | EV_CLOSED | EV_ET | EV_PERSIST, on_watch, c);
    event_add(&c->wr, NULL);
    c->watching = true;
}
