/* recorder/recorder.h: the thread on the far side of the workers' rings: takes records and writes the access log. What
 * it does may be slow or fail without touching traffic; what it cannot write in time is dropped and counted. */
#pragma once
#include "base/ring.h"
#include "base/slice.h"

enum { RECORDER_RINGS_MAX = 256 };
#define RECORDER_RING_BYTES ((size_t)4 << 20)

struct recorder;
struct recorder_options {
    struct slice replica;
    const char *access_file; /* NULL: stdout */
    bool access;             /* false: no access log */
    unsigned rings;          /* one per worker */
};

struct recorder *recorder_start(const struct recorder_options *o, char *error, size_t error_bytes);
struct ring *recorder_ring(struct recorder *r, unsigned worker);
void recorder_wake(void *recorder);       /* a ring has something; from any worker, at most once a turn; cheap */
void recorder_reopen(struct recorder *r); /* the access log's file was rotated; any thread */
uint64_t recorder_log_dropped(const struct recorder *r); /* records that did not get into the log */
void recorder_stop(
    struct recorder *r); /* writes everything that is left, joins the thread, frees; workers have ended */
