/* net/listener.h: a listening socket on a loop. Out of file descriptors, accepting pauses for 100 ms instead of
 * spinning. */
#pragma once
#include "net/conn.h"

struct listener;
/* From the loop; owns fd, which is non-blocking and close-on-exec. */
typedef void accept_fn(void *context, int fd, const struct sockaddr *peer, uint64_t accepted_ns);

/* Bound, listening, non-blocking, SO_REUSEADDR, backlog 4096. `host` is a literal IPv4/IPv6 address or a name (looked
 * up here and now). -1 with a message ("cannot listen on 127.0.0.1:80: Permission denied"). */
int listen_open(const char *host, const char *port, char *error, size_t error_bytes);
unsigned short listen_port(int fd); /* the port it got (for port 0) */
struct listener *listener_new(struct loop *l, int fd, accept_fn *on_accept, void *context); /* borrows fd */
void listener_pause(struct listener *x);
void listener_resume(struct listener *x);
void listener_accept_all(struct listener *x); /* what is in the kernel's queue, paused or not; calls on_accept */
void listener_free(struct listener *x);       /* does not close the fd; allowed within on_accept */
