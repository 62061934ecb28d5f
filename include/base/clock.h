/* base/clock.h: the only source of time. Intervals come from CLOCK_MONOTONIC in nanoseconds; wall time is derived from
 * it by an anchor, so that two instants of one exchange never disagree with the interval between them. */
#pragma once
#include <stdint.h>

#define NS_PER_US UINT64_C(1000)
#define NS_PER_MS UINT64_C(1000000)
#define NS_PER_S UINT64_C(1000000000)

uint64_t clock_now_ns(void);             /* CLOCK_MONOTONIC */
int64_t clock_real_ns(void);             /* CLOCK_REALTIME, which may jump: for the anchor alone */
int64_t clock_wall_ns(uint64_t mono_ns); /* the Unix time of that instant; the anchor is renewed once a second */
#define CLOCK_RFC3339_BYTES 28           /* 2026-11-22T10:15:30.000000Z and its NUL */
void clock_format_rfc3339(int64_t unix_ns, char out[CLOCK_RFC3339_BYTES]);
