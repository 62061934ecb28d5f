/* runtime/notify.h: telling the service manager (sd_notify(3)'s protocol) and a file which process serves. */
#pragma once
#include <stdbool.h>

void notify_manager(const char *text);  /* lines of NAME=VALUE; harmless when nobody asked for them (NOTIFY_SOCKET) */
bool pid_file_write(const char *path);  /* replaces it; false, with errno */
void pid_file_remove(const char *path); /* if it still names this process */
