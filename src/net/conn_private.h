/* conn_private.h: what the files of a connection share: its events, its ends, its TLS side. */
#pragma once
#include <stddef.h>

#include "net/conn.h"

#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))
#define HANDSHAKES_PER_TURN 4

/* conn.c */
void conn_fail(struct conn *c, enum close_reason why); /* closes, then on_close; from the loop only, nothing after it */
void conn_break(struct conn *c, int error); /* the socket failed outside a place that may call back: tells later */
void conn_ready(struct conn *c, uint64_t ready_ns); /* arms reading, calls on_ready */
void conn_flush(struct conn *c);                    /* from the loop: sends queued bytes, may call on_drained */
size_t conn_write_out(struct conn *c);              /* one send of queued bytes; returns how many went */

/* conn_events.c: which of the two events is armed for what. Arming what is armed is harmless. */
void conn_events_init(struct conn *c);
void conn_events_stop(struct conn *c);
void conn_read_arm(struct conn *c);
void conn_write_arm(struct conn *c);
void conn_write_disarm(struct conn *c);
void conn_watch_arm(struct conn *c); /* stops reading; notices that the peer leaves */

/* conn_read.c */
void conn_read_event(struct conn *c);  /* one recv and what follows from it */
void conn_watch_event(struct conn *c); /* the peer may have left while nothing is read */
void conn_redrive(struct loop_task *task);
void conn_give(struct conn *c, const char *p, size_t n);
void conn_eof(struct conn *c); /* the peer's orderly end was read */

/* conn_tls.c */
void conn_tls_step(struct conn *c);               /* handshaking and nothing received yet: begins it */
void conn_tls_received(struct conn *c, size_t n); /* n bytes of ciphertext are in loop->scratch */
enum send_result conn_tls_send(struct conn *c, const struct iovec *pieces, int count);
void conn_tls_farewell(struct conn *c); /* queues a close_notify when that is still allowed */

/* for loop.c */
void loop_conns_reap(struct loop *l);
void loop_conns_close(struct loop *l);
