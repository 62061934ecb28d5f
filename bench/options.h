/* bench/options.h: the load generator's flags, and the one request it sends, built from them. */
#pragma once
#include <getopt.h>
#include <netdb.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "answer.h"
#include "watch.h"

struct options {
    const char *host, *port, *path, *method, *until;
    bool tls, sse, announce;
    unsigned connections;
    int cpu;
    double rate, duration_s, warmup_s, ramp_s, timeout_s;
    uint64_t count, expect_events, expect_body_min;
    unsigned expect_status;
    int watch[WATCH_MAX], watch_count;
};

static struct options opt = {.method = "POST",
                             .connections = 32,
                             .cpu = -1,
                             .duration_s = 5,
                             .timeout_s = 30,
                             .expect_status = 200,
                             .count = UINT64_MAX,
                             .until = "data: [DONE]"};
static char *request_bytes;
static size_t request_length;
static struct sockaddr_storage peer;
static socklen_t peer_length;

static const char usage[] =
    "usage: loadgen [options] http[s]://HOST:PORT/PATH\n"
    "  --connections N     open connections (32)\n"
    "  --rate R            open loop: R requests a second in all; without it a closed loop\n"
    "  --duration S        measured seconds (5)      --warmup S   seconds before them (0)\n"
    "  --count N           stop after N answers      --ramp S     spread opening the connections (0)\n"
    "  --timeout S         for one answer (30)       --cpu N      pin to this processor\n"
    "  --method M          (POST)                    --header 'NAME: VALUE'   may be repeated\n"
    "  --body-text TEXT    the request's body        --body-file FILE\n"
    "  --pad N             spaces put before the body's last byte until it has N bytes\n"
    "  --sse               count events, each answer must end with --until LINE ('data: [DONE]', at most 15 bytes)\n"
    "  --expect-status N (200)  --expect-events N  --expect-body N (at least)\n"
    "  --watch PID         report the CPU time of its threads over the measured window; may be repeated\n"
    "  --announce          print a line when every connection has received its first event\n"
    "examples:\n"
    "  loadgen --connections 32 --body-text '{\"model\":\"m\",\"messages\":[]}' "
    "http://127.0.0.1:8080/v1/chat/completions\n"
    "  loadgen --rate 5000 --duration 10 --watch 4711 http://127.0.0.1:8080/v1/models --method GET\n";

static _Noreturn void die(const char *what) {
    fprintf(stderr, "loadgen: %s\n", what);
    exit(2);
}

struct text {
    char *p;
    size_t n;
};
static void text_add(struct text *t, const void *p, size_t n) {
    t->p = realloc(t->p, t->n + n + 1);
    if (!t->p) abort();
    memcpy(t->p + t->n, p, n);
    t->n += n;
    t->p[t->n] = 0;
}

static void read_file(struct text *t, const char *path) {
    FILE *f = fopen(path, "rb");
    char part[65536];
    if (!f) die("cannot open the body file");
    for (size_t n; (n = fread(part, 1, sizeof part, f)) > 0;) text_add(t, part, n);
    fclose(f);
}

static void parse_url(char *url) {
    opt.tls = strncmp(url, "https://", 8) == 0;
    if (!opt.tls && strncmp(url, "http://", 7) != 0) die("the address must begin with http:// or https://");
    char *host = url + (opt.tls ? 8 : 7), *slash = strchr(host, '/'), *colon = strchr(host, ':');
    opt.path = slash ? strdup(slash) : "/";
    if (slash) *slash = 0;
    if (!colon) die("the address must name a port");
    *colon = 0;
    opt.host = host;
    opt.port = colon + 1;
    struct addrinfo *found, hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICHOST | AI_NUMERICSERV};
    if (getaddrinfo(opt.host, opt.port, &hints, &found) != 0) die("the address must be a literal one");
    memcpy(&peer, found->ai_addr, found->ai_addrlen);
    peer_length = found->ai_addrlen;
    freeaddrinfo(found);
}

static void build_request(const struct text *headers, struct text *body, size_t pad) {
    struct text all = {0};
    char part[1024];
    if (body->n && pad > body->n) {
        char last = body->p[body->n - 1];
        body->p = realloc(body->p, pad + 1);
        if (!body->p) abort();
        memset(body->p + body->n - 1, ' ', pad - body->n);
        body->p[pad - 1] = last;
        body->n = pad;
    }
    int n = snprintf(part, sizeof part, "%s %s HTTP/1.1\r\nHost: %s:%s\r\n", opt.method, opt.path, opt.host, opt.port);
    if (n >= (int)sizeof part) die("the path is too long");
    text_add(&all, part, (size_t)n);
    if (headers->n) text_add(&all, headers->p, headers->n);
    if (body->n) {
        n = snprintf(part, sizeof part, "Content-Type: application/json\r\nContent-Length: %zu\r\n", body->n);
        text_add(&all, part, (size_t)n);
    }
    text_add(&all, "\r\n", 2);
    if (body->n) text_add(&all, body->p, body->n);
    request_bytes = all.p;
    request_length = all.n;
}

enum flag {
    FLAG_CONNECTIONS,
    FLAG_RATE,
    FLAG_DURATION,
    FLAG_WARMUP,
    FLAG_COUNT,
    FLAG_RAMP,
    FLAG_TIMEOUT,
    FLAG_CPU,
    FLAG_METHOD,
    FLAG_HEADER,
    FLAG_BODY_TEXT,
    FLAG_BODY_FILE,
    FLAG_PAD,
    FLAG_SSE,
    FLAG_UNTIL,
    FLAG_STATUS,
    FLAG_EVENTS,
    FLAG_BODY,
    FLAG_WATCH,
    FLAG_ANNOUNCE,
    FLAG_HELP
};
static const struct option flags[] = {{"connections", 1, 0, FLAG_CONNECTIONS},
                                      {"rate", 1, 0, FLAG_RATE},
                                      {"duration", 1, 0, FLAG_DURATION},
                                      {"warmup", 1, 0, FLAG_WARMUP},
                                      {"count", 1, 0, FLAG_COUNT},
                                      {"ramp", 1, 0, FLAG_RAMP},
                                      {"timeout", 1, 0, FLAG_TIMEOUT},
                                      {"cpu", 1, 0, FLAG_CPU},
                                      {"method", 1, 0, FLAG_METHOD},
                                      {"header", 1, 0, FLAG_HEADER},
                                      {"body-text", 1, 0, FLAG_BODY_TEXT},
                                      {"body-file", 1, 0, FLAG_BODY_FILE},
                                      {"pad", 1, 0, FLAG_PAD},
                                      {"sse", 0, 0, FLAG_SSE},
                                      {"until", 1, 0, FLAG_UNTIL},
                                      {"expect-status", 1, 0, FLAG_STATUS},
                                      {"expect-events", 1, 0, FLAG_EVENTS},
                                      {"expect-body", 1, 0, FLAG_BODY},
                                      {"watch", 1, 0, FLAG_WATCH},
                                      {"announce", 0, 0, FLAG_ANNOUNCE},
                                      {"help", 0, 0, FLAG_HELP},
                                      {0}};

static void take_flag(int flag, const char *value, struct text *headers, struct text *body, size_t *pad) {
    switch ((enum flag)flag) {
    case FLAG_CONNECTIONS:
        opt.connections = (unsigned)strtoul(value, NULL, 10);
        break;
    case FLAG_RATE:
        opt.rate = strtod(value, NULL);
        break;
    case FLAG_DURATION:
        opt.duration_s = strtod(value, NULL);
        break;
    case FLAG_WARMUP:
        opt.warmup_s = strtod(value, NULL);
        break;
    case FLAG_COUNT:
        opt.count = strtoull(value, NULL, 10);
        break;
    case FLAG_RAMP:
        opt.ramp_s = strtod(value, NULL);
        break;
    case FLAG_TIMEOUT:
        opt.timeout_s = strtod(value, NULL);
        break;
    case FLAG_CPU:
        opt.cpu = (int)strtol(value, NULL, 10);
        break;
    case FLAG_METHOD:
        opt.method = value;
        break;
    case FLAG_HEADER:
        text_add(headers, value, strlen(value));
        text_add(headers, "\r\n", 2);
        break;
    case FLAG_BODY_TEXT:
        text_add(body, value, strlen(value));
        break;
    case FLAG_BODY_FILE:
        read_file(body, value);
        break;
    case FLAG_PAD:
        *pad = strtoull(value, NULL, 10);
        break;
    case FLAG_SSE:
        opt.sse = true;
        break;
    case FLAG_UNTIL:
        opt.until = value;
        break;
    case FLAG_STATUS:
        opt.expect_status = (unsigned)strtoul(value, NULL, 10);
        break;
    case FLAG_EVENTS:
        opt.expect_events = strtoull(value, NULL, 10);
        break;
    case FLAG_BODY:
        opt.expect_body_min = strtoull(value, NULL, 10);
        break;
    case FLAG_WATCH:
        if (opt.watch_count == WATCH_MAX) die("too many processes to watch");
        opt.watch[opt.watch_count++] = (int)strtol(value, NULL, 10);
        break;
    case FLAG_ANNOUNCE:
        opt.announce = true;
        break;
    case FLAG_HELP:
        fputs(usage, stdout);
        exit(0);
    }
}

/* Fills `opt`, the request and the peer. Returns -1 to go on, or what to exit with. */
static int options_take(int argc, char **argv) {
    struct text headers = {0}, body = {0};
    size_t pad = 0;
    for (int flag; (flag = getopt_long(argc, argv, "", flags, NULL)) >= 0;) {
        if (flag == '?') return 2;
        take_flag(flag, optarg, &headers, &body, &pad);
    }
    bool sound = optind == argc - 1 && opt.connections > 0 && opt.duration_s > 0;
    if (!sound || strlen(opt.until) >= sizeof((struct answer *)0)->last_line) {
        fputs(usage, stderr);
        return 2;
    }
    parse_url(argv[optind]);
    build_request(&headers, &body, pad);
    return -1;
}
