/* net/inbox.h: how other threads hand messages to a loop: a bounded queue and an eventfd. */
#pragma once
#include <pthread.h>

#include "net/loop.h"

struct message { /* embedded by its sender's struct; intrusive */
    struct message *next;
    void (*run)(struct message *m, void *context); /* in the loop's thread; owns m from here on */
};

struct inbox {
    pthread_mutex_t lock;
    struct message *first, **tail;
    size_t count, capacity;
    int event_fd;
    struct event event;
    struct loop *loop;
    void *context;
    bool closed;
};

void inbox_init(struct inbox *b, struct loop *l, size_t capacity, void *context);
void inbox_clear(struct inbox *b);                   /* this loop's thread, after the loop ended; runs nothing: queued
                                                        messages stay their senders' loss; later posts return false */
bool inbox_post(struct inbox *b, struct message *m); /* any thread; false when full or closed: the caller keeps m */
