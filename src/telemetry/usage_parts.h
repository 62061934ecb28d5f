/* telemetry/usage_parts.h (private): what usage is kept in. */
#pragma once
#include <pthread.h>

#include "telemetry/usage.h"

struct usage_slot {
    int64_t start_s;
    struct row_table rows;
    size_t unsent; /* rows that have changed since they were sent */
};

struct usage_slots { /* of one kind, ascending */
    struct usage_slot *slots;
    size_t count, capacity;
    bool dropped; /* some that were older */
};

struct usage_book {
    int64_t begin_unix_ns;
    /* History: all kinds; held by who writes. Sums: theirs alone, taken second, so that readers of them wait less. */
    pthread_mutex_t history_lock, sums_lock;
    struct usage_slots kinds[USAGE_KIND_COUNT];
    size_t row_count; /* of all levels */
    uint64_t takes;
};
