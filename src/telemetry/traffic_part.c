/* What a group of traffic is told apart by: names for those who ask, and the part of a key that each of them means. */
#include "telemetry/traffic.h"

#define PART_NAME(name) SLICE_INIT(#name),
static const struct slice part_names[] = {TRAFFIC_PARTS(PART_NAME)};
#undef PART_NAME

struct slice traffic_part_name(enum traffic_part part) {
    return part_names[part];
}

bool traffic_part_find(struct slice name, enum traffic_part *part) {
    for (int i = 0; i < TRAFFIC_PART_COUNT; i++) {
        if (!slice_equal(name, part_names[i])) continue;
        *part = (enum traffic_part)i;
        return true;
    }
    return false;
}

uint32_t traffic_part_of(const struct traffic_key *key, enum traffic_part part) {
#define PART_OF(name) key->name,
    const uint32_t parts[] = {TRAFFIC_PARTS(PART_OF)};
#undef PART_OF
    return parts[part];
}
