/* One line of text on stderr per event: time, level, message. Control bytes are replaced, so nothing that is logged can
 * forge a line or drive a terminal. */
#include "base/log.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <unistd.h>

#include "base/clock.h"

static _Atomic enum log_level lowest_level = LOG_LEVEL_INFO;

void log_level_set(enum log_level lowest) {
    atomic_store(&lowest_level, lowest);
}

void log_write(enum log_level level, const char *format, ...) {
    static const char *const names[] = {"debug", "info", "warn", "error"};
    if (level < atomic_load_explicit(&lowest_level, memory_order_relaxed)) return;
    char line[1024], time[CLOCK_RFC3339_BYTES];
    clock_format_rfc3339(clock_wall_ns(clock_now_ns()), time);
    int prefix = snprintf(line, sizeof line, "%s %-5s ", time, names[level]);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(line + prefix, sizeof line - (size_t)prefix - 1, format, args);
    va_end(args);
    size_t length = (size_t)prefix + (size_t)(n < 0 ? 0 : n);
    if (length > sizeof line - 2) length = sizeof line - 2;
    for (size_t i = (size_t)prefix; i < length; i++)
        if ((unsigned char)line[i] < 0x20 || line[i] == 0x7f) line[i] = '?';
    line[length++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, length);
    (void)ignored;
}

bool log_once_a_minute(_Atomic uint64_t *gate) {
    uint64_t now = clock_now_ns(), last = atomic_load_explicit(gate, memory_order_relaxed);
    if (last != 0 && now - last < 60 * NS_PER_S) return false;
    return atomic_compare_exchange_strong(gate, &last, now);
}
