/* src/mock/mock.c: the mock's thread: a loop, a listener, and a way to be told to stop. It takes no signals: those are
 * the process's, whose SIGPIPE must be ignored. */
#include "mock/mock.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/mem.h"
#include "crypto/tls_context.h"
#include "net/inbox.h"
#include "net/listener.h"
#include "server.h"

struct mock {
    struct mock_server server;
    struct mock_knobs knobs;
    char *key;
    int fd;
    struct listener *listener;
    struct inbox inbox;
    struct message stop;
    pthread_t thread;
};

static void accept_one(void *context, int fd, const struct sockaddr *from, uint64_t accepted_ns) {
    struct mock *m = context;
    (void)from;
    (void)accepted_ns;
    server_accept(&m->server, fd);
}

static void stop_now(struct message *message, void *context) {
    struct mock *m = context;
    (void)message;
    server_close(&m->server);
    loop_stop(m->server.loop);
}

static void *run(void *context) {
    struct mock *m = context;
    prctl(PR_SET_NAME, "mock");
    loop_run(m->server.loop);
    listener_free(m->listener);
    inbox_clear(&m->inbox);
    loop_free(m->server.loop);
    return NULL;
}

static void mock_free(struct mock *m) {
    if (m->fd >= 0) close(m->fd);
    if (m->server.tls) tls_context_unref(m->server.tls);
    mem_free(m->key);
    mem_free(m);
}

static bool start_thread(struct mock *m) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&m->thread, NULL, run, m);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return failed == 0;
}

struct mock *mock_start(const struct mock_options *o, char *error, size_t error_bytes) {
    struct mock *m = mem_zalloc(sizeof *m);
    m->knobs = o->knobs;
    m->server.knobs = &m->knobs;
    m->fd = -1;
    if (o->key) m->server.key = m->key = mem_strndup(o->key, strlen(o->key));
    if (o->certificate_file && o->key_file) {
        m->server.tls = tls_server_new(o->certificate_file, o->key_file, error, error_bytes);
        if (!m->server.tls) goto failed;
    }
    m->fd = listen_open(o->host, o->port, error, error_bytes);
    if (m->fd < 0) goto failed;
    m->server.loop = loop_new_precise(); /* tokens that come at their own times, not in bunches of 4 ms */
    inbox_init(&m->inbox, m->server.loop, 1, m);
    m->listener = listener_new(m->server.loop, m->fd, accept_one, m);
    if (!start_thread(m)) {
        snprintf(error, error_bytes, "no thread could be started");
        listener_free(m->listener);
        inbox_clear(&m->inbox);
        loop_free(m->server.loop);
        goto failed;
    }
    return m;
failed:
    mock_free(m);
    return NULL;
}

unsigned short mock_port(const struct mock *m) {
    return listen_port(m->fd);
}

void mock_stop(struct mock *m) {
    m->stop.run = stop_now;
    while (!inbox_post(&m->inbox, &m->stop)) usleep(1000);
    pthread_join(m->thread, NULL);
    mock_free(m);
}
