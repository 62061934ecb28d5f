/* telemetry/exemplars.h: of each group of exchanges and each measure a few recent ones by name, so that a slow bucket
 * on a dashboard leads to a trace. One thread adds (the recorder, from what comes through the rings), any thread reads;
 * one lock, held for well under a microsecond. Memory is bounded: at most EXEMPLAR_GROUPS_MAX groups are kept, the
 * first that come, about 5 KiB each. */
#pragma once
#include "telemetry/traffic.h"

enum { EXEMPLAR_GROUPS_MAX = 512, EXEMPLARS_PER_MEASURE = 8 };

struct exemplar {
    uint8_t trace_id[16];
    uint64_t value;  /* as the measure has it: nanoseconds or tokens */
    int64_t unix_ns; /* when the exchange began */
};

struct exemplars;
struct exemplars *exemplars_new(void);
void exemplars_free(struct exemplars *e);
void exemplars_add(struct exemplars *e, const struct record *r);
/* Those of the group's measure, in no order: the newest of each octave of the value. Returns how many; 0 for a group
 * that is not kept. */
unsigned exemplars_read(struct exemplars *e, const struct traffic_group *g, enum measure m,
                        struct exemplar out[EXEMPLARS_PER_MEASURE]);
