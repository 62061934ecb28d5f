/* recorder/recorder.h: the thread on the far side of the workers' rings: takes records and writes the access log; looks
 * once a second, at the second, at what the workers have counted and hands it to those who keep sums of it. What it
 * does may be slow or fail without touching traffic; what it cannot write in time is dropped and counted. */
#pragma once
#include "base/ring.h"
#include "base/slice.h"
#include "telemetry/changes.h"
#include "telemetry/exemplars.h"

enum { RECORDER_RINGS_MAX = 256, RECORDER_SINKS_MAX = 4 };
#define RECORDER_RING_BYTES ((size_t)4 << 20)

struct recorder;
struct recorder_sink { /* called on the recorder's thread; copies what it keeps, never waits */
    void (*take)(void *context, const struct changes *c);  /* each look's changes; or NULL */
    void (*record)(void *context, const struct record *r); /* each record; or NULL */
    void *context;
};

struct recorder_options {
    struct slice replica;
    const char *access_file;                        /* NULL: stdout */
    bool access;                                    /* false: no access log */
    struct exemplars *exemplars;                    /* borrowed; NULL: none are kept */
    unsigned rings;                                 /* one per worker */
    struct recorder_sink sinks[RECORDER_SINKS_MAX]; /* all NULL: unused */
};

struct recorder *recorder_start(const struct recorder_options *o, char *error, size_t error_bytes);
struct ring *recorder_ring(struct recorder *r, unsigned worker);
/* What this worker counts is looked at from here on, until recorder_stop(). */
void recorder_watch(struct recorder *r, const struct traffic *t);
void recorder_wake(void *recorder);       /* a ring has something; from any worker, at most once a turn; cheap */
void recorder_reopen(struct recorder *r); /* the access log's file was rotated; any thread */
/* The access log's file (NULL: stdout), open for appending without blocking. -1 with a message. May take a while. */
int recorder_log_open(const char *file, char *error, size_t error_bytes);
/* From now on the log is written there. Takes fd over; -1 when `access` is false. Any thread. */
void recorder_log_move(struct recorder *r, bool access, const char *file, int fd);
uint64_t recorder_log_dropped(const struct recorder *r); /* records that did not get into the log */
void recorder_stop(
    struct recorder *r); /* writes and looks at everything that is left, joins the thread, frees; workers have ended */
