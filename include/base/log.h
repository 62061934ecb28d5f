/* base/log.h: the operational log: one line of text each on stderr, for the person who runs weir. Never called per
 * request (that is the access log's job). Callers pass no secret; the writer cannot tell. Any thread. */
#pragma once
#include <stdbool.h>
#include <stdint.h>

enum log_level { LOG_LEVEL_DEBUG, LOG_LEVEL_INFO, LOG_LEVEL_WARN, LOG_LEVEL_ERROR };

void log_level_set(enum log_level lowest);
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)

/* For what may repeat quickly: true at most once a minute per `gate` (a static, zero-initialised variable). */
bool log_once_a_minute(_Atomic uint64_t *gate);
