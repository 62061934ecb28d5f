/* One datagram to the service manager, and the file of our process id. Both tell who serves now, which an upgrade
 * changes. */
#include "notify.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/slice.h"

void notify_manager(const char *text) {
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    if (path == NULL || (path[0] != '/' && path[0] != '@') || strlen(path) >= sizeof to.sun_path) return;
    memcpy(to.sun_path, path, strlen(path));
    if (path[0] == '@') to.sun_path[0] = '\0'; /* the abstract namespace, unix(7) */
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    socklen_t bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    ssize_t ignored = sendto(fd, text, strlen(text), MSG_NOSIGNAL | MSG_DONTWAIT, (struct sockaddr *)&to, bytes);
    (void)ignored;
    close(fd);
}

bool pid_file_write(const char *path) {
    char next[4096], text[32];
    if ((size_t)snprintf(next, sizeof next, "%s.%d", path, (int)getpid()) >= sizeof next) return false;
    int length = snprintf(text, sizeof text, "%d\n", (int)getpid());
    int fd = open(next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return false;
    bool written = write(fd, text, (size_t)length) == length;
    close(fd);
    return written && rename(next, path) == 0;
}

void pid_file_remove(const char *path) {
    char text[32];
    uint64_t pid;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    ssize_t n = read(fd, text, sizeof text);
    close(fd);
    if (n <= 0 || !slice_to_u64(slice_trim((struct slice){text, (size_t)n}), &pid)) return;
    if (pid == (uint64_t)getpid()) unlink(path);
}
