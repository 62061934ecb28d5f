/* bench/watch.h: CPU time of other processes, thread by thread, from the scheduler's own nanosecond account. */
#pragma once
#include <dirent.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WATCH_MAX 8
#define THREADS_MAX 64

struct thread_time {
    int pid, tid;
    char name[20];
    uint64_t begin_ns, end_ns;
};

static struct thread_time threads[THREADS_MAX];
static size_t thread_count;

/* CPU time so far of every thread of the watched processes, by the scheduler's own nanosecond account. */
static void read_thread(int pid, int tid, bool begin) {
    char path[96], text[64];
    unsigned long long ns = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%d/schedstat", pid, tid);
    FILE *f = fopen(path, "r");
    if (!f) return;
    if (fgets(text, sizeof text, f)) ns = strtoull(text, NULL, 10);
    fclose(f);
    size_t i = 0;
    while (i < thread_count && threads[i].tid != tid) i++;
    if (i == THREADS_MAX) return;
    struct thread_time *t = &threads[i];
    if (i == thread_count) {
        thread_count++;
        *t = (struct thread_time){.pid = pid, .tid = tid}; /* born in the window: it began at zero */
        snprintf(path, sizeof path, "/proc/%d/task/%d/comm", pid, tid);
        if ((f = fopen(path, "r"))) {
            if (fgets(t->name, sizeof t->name, f)) t->name[strcspn(t->name, "\n\"\\")] = 0;
            fclose(f);
        }
    }
    *(begin ? &t->begin_ns : &t->end_ns) = ns;
}

static void read_threads(const int *pids, int count, bool begin) {
    for (int w = 0; w < count; w++) {
        char path[64];
        snprintf(path, sizeof path, "/proc/%d/task", pids[w]);
        DIR *d = opendir(path);
        for (struct dirent *e = d ? readdir(d) : NULL; e; e = readdir(d))
            if (e->d_name[0] != '.') read_thread(pids[w], (int)strtol(e->d_name, NULL, 10), begin);
        if (d) closedir(d);
    }
}
