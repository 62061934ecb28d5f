/* facts/names.h: append-only registry of names (tenants, keys, providers, models, workloads). Records and series hold
 * the small id, never a pointer into a configuration that a reload may free. Thread-safe; lookups take no lock. */
#pragma once
#include "base/slice.h"

#define NAME_NONE 0u  /* the empty name: null in JSON */
#define NAME_OTHER 1u /* `_other`: what a bounded registry gives once it is full */
#define NAMES_MAX 16384u
#define NAMES_FROM_CLIENTS_MAX 1024u
#define NAMES_FROM_OTHERS_MAX 4096u

uint32_t name_id(struct slice name); /* adds it when new; takes a lock; at most NAMES_MAX, then NAME_OTHER */
/* As name_id, for names that clients choose: only the first NAMES_FROM_CLIENTS_MAX new ones get an id of their own. A
 * per-thread cache keeps the lock off the hot path. */
uint32_t name_known(struct slice name);
/* As name_known, for names that other replicas told, with NAMES_FROM_OTHERS_MAX of its own. Not for the hot path. */
uint32_t name_told(struct slice name);
struct slice name_of(uint32_t id); /* valid for the life of the process */
