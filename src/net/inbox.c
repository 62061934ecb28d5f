/* A bounded queue into a loop. The eventfd is written only when the queue was empty, under the lock, so that a post can
 * never race with the inbox's end. The loop takes the whole queue at once and runs it without the lock. */
#include "net/inbox.h"

#include <assert.h>
#include <sys/eventfd.h>
#include <unistd.h>

static void queue_reset(struct inbox *b) {
    b->first = NULL;
    b->tail = &b->first;
    b->count = 0;
}

static struct message *take_all(struct inbox *b) {
    uint64_t posted;
    pthread_mutex_lock(&b->lock);
    ssize_t n = read(b->event_fd, &posted, sizeof posted);
    (void)n;
    struct message *first = b->first;
    queue_reset(b);
    pthread_mutex_unlock(&b->lock);
    return first;
}

static void on_posted(evutil_socket_t fd, short what, void *context) {
    (void)fd, (void)what;
    struct inbox *b = context;
    struct loop *l = b->loop;
    loop_callback_begin(l);
    for (struct message *m = take_all(b), *next; m != NULL; m = next) {
        next = m->next;
        m->run(m, b->context);
        loop_callback_end(l);
    }
}

void inbox_init(struct inbox *b, struct loop *l, size_t capacity, void *context) {
    *b = (struct inbox){.loop = l, .capacity = capacity, .context = context};
    pthread_mutex_init(&b->lock, NULL);
    queue_reset(b);
    b->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    assert(b->event_fd >= 0);
    event_assign(&b->event, l->base, b->event_fd, EV_READ | EV_PERSIST, on_posted, b);
    event_add(&b->event, NULL);
}

void inbox_clear(struct inbox *b) {
    event_del(&b->event);
    pthread_mutex_lock(&b->lock);
    b->closed = true;
    queue_reset(b);
    close(b->event_fd);
    pthread_mutex_unlock(&b->lock);
}

bool inbox_post(struct inbox *b, struct message *m) {
    pthread_mutex_lock(&b->lock);
    bool accepted = !b->closed && b->count < b->capacity;
    if (accepted) {
        m->next = NULL;
        *b->tail = m;
        b->tail = &m->next;
        if (b->count++ == 0) {
            uint64_t one = 1;
            ssize_t n = write(b->event_fd, &one, sizeof one);
            assert(n == (ssize_t)sizeof one);
        }
    }
    pthread_mutex_unlock(&b->lock);
    return accepted;
}
