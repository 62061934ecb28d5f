/* otlp/sender.h: one signal on its way to one collector: its queue, its connection, its retries. Everything runs on the
 * export thread's loop. At most one request is under way; what may be retried (429, 502, 503, 504, and a connection
 * that fails) is, with growing pauses, everything else is dropped and counted. */
#pragma once
#include <stdatomic.h>

#include "crypto/tls_context.h"
#include "gzip.h"
#include "net/conn.h"
#include "net/resolver.h"
#include "queue.h"

enum signal { SIGNAL_TRACES, SIGNAL_METRICS, SIGNAL_LOGS, SIGNAL_COUNT };
const char *signal_name(enum signal s);  /* "traces" … as in the configuration and in paths */
const char *signal_items(enum signal s); /* what it counts: "spans" … */

struct destination { /* where a sender sends; owned by it */
    char *host, *port;
    struct slice authority, path; /* owned texts */
    struct slice fields;          /* configured header lines, each with its CRLF: secret, wiped at the end; owned */
    struct tls_context *tls;      /* NULL: plain; owned */
    bool gzip;
    uint64_t timeout_ns; /* of one request, from connecting to the end of the answer */
};

void destination_clear(struct destination *d); /* wipes its fields */

struct sender_shared { /* the export thread's, borrowed */
    struct loop *loop;
    struct inbox *inbox;
    struct resolver *resolver;
    struct gzip *gzip;
    struct buf resource, scope; /* encoded Resource, and InstrumentationScope fields */
    uint64_t stop_ns;           /* from when on nothing is tried any more; UINT64_MAX while running */
    bool stopping;
};

struct sender_counts { /* this thread writes, any reads */
    _Atomic uint64_t sent, dropped, rejected, requests, failures;
};

struct sender;
struct sender *sender_new(struct sender_shared *shared, enum signal signal, struct destination *d); /* takes *d over */
void sender_free(struct sender *s); /* what is still there is lost, and counted */
struct queue *sender_queue(struct sender *s);
enum signal sender_signal(const struct sender *s);
const struct destination *sender_destination(const struct sender *s);
struct sender_counts *sender_counts_of(struct sender *s);
/* Adds encoded items; counts them as dropped when the queue is full. */
void sender_add(struct sender *s, struct slice items, unsigned count);
void sender_kick(struct sender *s);       /* sends what is due, or sets the timer for it */
void sender_hurry(struct sender *s);      /* … and waits for nothing any more */
bool sender_idle(const struct sender *s); /* nothing waits, nothing is under way */
