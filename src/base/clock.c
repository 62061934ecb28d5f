/* Wall time, anchored to monotonic time, and as text. The anchor is renewed at most once a second, by whichever thread
 * asks: the offset is one atomic word, so readers never see half of a change. */
#include "base/clock.h"

#include <stdatomic.h>
#include <string.h>
#include <time.h>

int64_t clock_wall_ns(uint64_t mono_ns) {
    static _Atomic int64_t offset_ns;
    static _Atomic uint64_t anchored_ns;
    uint64_t anchored = atomic_load_explicit(&anchored_ns, memory_order_relaxed);
    if (anchored == 0 || mono_ns > anchored + NS_PER_S) {
        uint64_t now = clock_now_ns();
        atomic_store_explicit(&offset_ns, clock_real_ns() - (int64_t)now, memory_order_relaxed);
        atomic_store_explicit(&anchored_ns, now, memory_order_relaxed);
    }
    return (int64_t)mono_ns + atomic_load_explicit(&offset_ns, memory_order_relaxed);
}

static void put_digits(char *out, unsigned value, int width) {
    while (width-- > 0) {
        out[width] = (char)('0' + value % 10);
        value /= 10;
    }
}

void clock_format_rfc3339(int64_t unix_ns, char out[CLOCK_RFC3339_BYTES]) {
    time_t seconds = (time_t)(unix_ns / (int64_t)NS_PER_S);
    struct tm t;
    gmtime_r(&seconds, &t);
    memcpy(out, "0000-00-00T00:00:00.000000Z", CLOCK_RFC3339_BYTES);
    put_digits(out, (unsigned)t.tm_year + 1900, 4);
    put_digits(out + 5, (unsigned)t.tm_mon + 1, 2);
    put_digits(out + 8, (unsigned)t.tm_mday, 2);
    put_digits(out + 11, (unsigned)t.tm_hour, 2);
    put_digits(out + 14, (unsigned)t.tm_min, 2);
    put_digits(out + 17, (unsigned)t.tm_sec, 2);
    put_digits(out + 20, (unsigned)(unix_ns % (int64_t)NS_PER_S / 1000), 6);
}
