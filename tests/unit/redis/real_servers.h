/* real_servers.h: redis-server processes of a test's own, on free loopback ports, with nothing on disk but a directory
 * that is removed again. */
#pragma once
#include <dirent.h>
#include <spawn.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "redis_fixture.h"

extern char **environ;

enum { SERVERS_MAX = 4 };
static struct server {
    pid_t pid;
    unsigned port, bus;
    char id[41];
} servers[SERVERS_MAX];
static char servers_dir[64];

/* Below the ports that the kernel gives to outgoing connections, so that none of these takes it before its server does;
 * each process walks through ports of its own. */
static inline unsigned free_port(void) {
    enum { FIRST = 10000, COUNT = 22000 };
    static unsigned steps;
    for (int tries = 0; tries < COUNT; tries++) {
        unsigned port = FIRST + ((unsigned)getpid() * 1009 + steps++) * 7 % COUNT;
        struct sockaddr_in at = {
            .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        bool taken = bind(fd, (struct sockaddr *)&at, sizeof at) != 0;
        close(fd);
        if (!taken) return port;
    }
    fail_msg("no port is free");
    return 0;
}

/* One command as a line on a connection of its own; what came within the time, NUL-terminated. False: refused. */
static inline bool say(unsigned port, const char *line, char *out, size_t out_bytes) {
    struct sockaddr_in at = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons((uint16_t)port)};
    struct timeval patience = {2, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bool good = connect(fd, (struct sockaddr *)&at, sizeof at) == 0;
    if (good) {
        char text[512];
        int n = snprintf(text, sizeof text, "%s\r\n", line);
        assert_int_equal(send(fd, text, (size_t)n, MSG_NOSIGNAL), n);
        ssize_t got = recv(fd, out, out_bytes - 1, 0);
        out[got > 0 ? got : 0] = '\0';
        good = got > 0;
    }
    close(fd);
    return good;
}

static inline void command(unsigned port, const char *line) {
    char out[4096];
    assert_true(say(port, line, out, sizeof out));
    if (out[0] == '-') fail_msg("%s: %s", line, out);
}

static inline void server_wait(struct server *s) {
    char out[64];
    uint64_t until_ns = clock_now_ns() + PATIENCE_NS;
    while (!say(s->port, "PING", out, sizeof out) || strncmp(out, "+PONG", 5) != 0) {
        bool ended = waitpid(s->pid, NULL, WNOHANG) == s->pid;
        if (ended) s->pid = 0;
        if (ended || clock_now_ns() > until_ns) fail_msg("redis-server %s", ended ? "ended" : "does not answer");
        pause_ms(5);
    }
}

static inline void server_start(struct server *s, bool cluster) {
    char port[8], bus[8], nodes[32], *argv[32];
    int n = 0;
    if (s->port == 0) s->port = free_port();
    if (s->bus == 0) s->bus = free_port();
    snprintf(port, sizeof port, "%u", s->port);
    snprintf(bus, sizeof bus, "%u", s->bus);
    snprintf(nodes, sizeof nodes, "nodes-%u.conf", s->port);
    const char *base[] = {"redis-server",
                          "--port",
                          port,
                          "--bind",
                          "127.0.0.1",
                          "--save",
                          "",
                          "--appendonly",
                          "no",
                          "--dir",
                          servers_dir,
                          "--repl-diskless-sync-delay",
                          "0",
                          "--enable-debug-command",
                          "yes",
                          "--logfile",
                          "log"};
    const char *more[] = {"--cluster-enabled",     "yes", "--cluster-port",         bus,
                          "--cluster-config-file", nodes, "--cluster-node-timeout", "2000"};
    for (size_t i = 0; i < sizeof base / sizeof base[0]; i++) argv[n++] = (char *)(uintptr_t)base[i];
    for (size_t i = 0; cluster && i < sizeof more / sizeof more[0]; i++) argv[n++] = (char *)(uintptr_t)more[i];
    argv[n] = NULL;
    if (posix_spawnp(&s->pid, "redis-server", NULL, NULL, argv, environ) != 0) fail_msg("no redis-server");
    server_wait(s);
}

static inline void server_kill(struct server *s) {
    if (s->pid <= 0) return;
    kill(s->pid, SIGKILL);
    waitpid(s->pid, NULL, 0);
    s->pid = 0;
}

static inline void servers_begin(void) {
    memset(servers, 0, sizeof servers);
    const char *base = getenv("TMPDIR");
    snprintf(servers_dir, sizeof servers_dir, "%s/weir-redis-XXXXXX", base != NULL ? base : "/tmp");
    assert_non_null(mkdtemp(servers_dir));
}

/* Also of a test that failed in the middle: may be called twice. */
static inline void servers_end(void) {
    for (int i = 0; i < SERVERS_MAX; i++) server_kill(&servers[i]);
    DIR *dir = servers_dir[0] != '\0' ? opendir(servers_dir) : NULL;
    for (const struct dirent *e; dir != NULL && (e = readdir(dir)) != NULL;) unlinkat(dirfd(dir), e->d_name, 0);
    if (dir != NULL) closedir(dir);
    rmdir(servers_dir);
    servers_dir[0] = '\0';
}

static inline int servers_teardown(void **state) {
    (void)state;
    servers_end();
    return 0;
}
#define REAL_TEST(test) cmocka_unit_test_teardown(test, servers_teardown)

/* Until every one of the first `count` servers knows all of them and that every slot is served. */
static inline void cluster_wait(int count) {
    char known[32], out[4096];
    snprintf(known, sizeof known, "cluster_known_nodes:%d", count);
    uint64_t until_ns = clock_now_ns() + 3 * PATIENCE_NS;
    for (int i = 0; i < count;) {
        assert_true(say(servers[i].port, "CLUSTER INFO", out, sizeof out));
        if (strstr(out, "cluster_state:ok") != NULL && strstr(out, known) != NULL)
            i++;
        else if (clock_now_ns() > until_ns)
            fail_msg("no cluster: %s", out);
        else
            pause_ms(20);
    }
}

/* Three masters that share the slots. */
static inline void cluster_start(void) {
    static const int edges[] = {0, 5461, 10922, 16384};
    char line[128], out[4096];
    for (int i = 0; i < 3; i++) {
        server_start(&servers[i], true);
        assert_true(say(servers[i].port, "CLUSTER MYID", out, sizeof out));
        memcpy(servers[i].id, out + 5, 40); /* $40\r\n */
        snprintf(line, sizeof line, "CLUSTER SET-CONFIG-EPOCH %d", i + 1);
        command(servers[i].port, line);
        snprintf(line, sizeof line, "CLUSTER ADDSLOTSRANGE %d %d", edges[i], edges[i + 1] - 1);
        command(servers[i].port, line);
    }
    for (int i = 1; i < 3; i++) {
        snprintf(line, sizeof line, "CLUSTER MEET 127.0.0.1 %u %u", servers[i].port, servers[i].bus);
        command(servers[0].port, line);
    }
    cluster_wait(3);
}

/* Until the fourth server has all keys of the one it is a replica of. */
static inline void replica_wait(const struct server *of) {
    char here[64], there[64];
    uint64_t until_ns = clock_now_ns() + PATIENCE_NS;
    do {
        if (clock_now_ns() > until_ns) fail_msg("the replica lags: %s", here);
        pause_ms(5);
        assert_true(say(servers[3].port, "DBSIZE", here, sizeof here) && say(of->port, "DBSIZE", there, sizeof there));
    } while (strcmp(here, there) != 0);
}

/* The fourth server, as a replica of one of the three that has all its keys. */
static inline void replica_start(const struct server *of) {
    char line[128], out[4096];
    struct server *s = &servers[3];
    server_start(s, true);
    snprintf(line, sizeof line, "CLUSTER MEET 127.0.0.1 %u %u", servers[0].port, servers[0].bus);
    command(s->port, line);
    cluster_wait(4);
    snprintf(line, sizeof line, "CLUSTER REPLICATE %s", of->id);
    command(s->port, line);
    uint64_t until_ns = clock_now_ns() + 3 * PATIENCE_NS;
    do {
        if (clock_now_ns() > until_ns) fail_msg("no replica: %s", out);
        pause_ms(20);
        assert_true(say(s->port, "INFO replication", out, sizeof out));
    } while (strstr(out, "master_link_status:up") == NULL);
}
