/* A small HTTP client for the admin port: one request, one connection, one deadline. Plain HTTP only: the admin port
 * speaks nothing else. */
#include "admin_client.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "http/head.h"
#include "json/document.h"

static const char default_url[] = "http://127.0.0.1:9347";

struct call {
    struct admin_client *client;
    char host[200], port[8];
    uint64_t due_ns;
    int fd;
    char *message;
    size_t message_bytes;
};

static bool fail(const struct call *c, const char *what) {
    snprintf(c->message, c->message_bytes, "%s: %s", c->client->shown, what);
    return false;
}

static bool port_is_good(const char *port) {
    uint64_t number;
    return slice_to_u64(slice_of(port), &number) && number > 0 && number < 65536;
}

/* http://HOST, http://HOST:PORT or http://[IPV6]:PORT, with or without a slash behind. */
static bool url_split(struct call *c) {
    static const char scheme[] = "http://";
    const char *url = c->client->shown, *host, *end, *port = "80";
    if (strncmp(url, scheme, sizeof scheme - 1) != 0) return fail(c, "an admin URL is http://HOST:PORT");
    host = url + sizeof scheme - 1;
    size_t n = strcspn(host, "/");
    if (host[n] == '/' && host[n + 1] != '\0') return fail(c, "an admin URL has no path");
    if (host[0] == '[') {
        host++;
        end = strchr(host, ']');
    } else {
        end = host + strcspn(host, ":/");
    }
    if (end == NULL || end == host || (size_t)(end - host) >= sizeof c->host) return fail(c, "no host in it");
    memcpy(c->host, host, (size_t)(end - host));
    c->host[end - host] = '\0';
    if (*end == ']') end++;
    if (*end == ':') port = end + 1;
    n = strcspn(port, "/");
    snprintf(c->port, sizeof c->port, "%.*s", (int)(n < sizeof c->port ? n : 0), port);
    return port_is_good(c->port) || fail(c, "no port in it");
}

static bool wait_for(const struct call *c, short what) {
    for (;;) {
        uint64_t now = clock_now_ns();
        if (now >= c->due_ns) return fail(c, "no answer in time");
        struct pollfd p = {.fd = c->fd, .events = what};
        int ready = poll(&p, 1, (int)((c->due_ns - now) / NS_PER_MS) + 1);
        if (ready > 0) return true;
        if (ready < 0 && errno != EINTR) return fail(c, "waiting failed");
    }
}

static bool connect_one(struct call *c, const struct addrinfo *a, int *error) {
    socklen_t size = sizeof *error;
    c->fd = socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    *error = errno;
    if (c->fd < 0) return false;
    *error = connect(c->fd, a->ai_addr, a->ai_addrlen) == 0 ? 0 : errno;
    if (*error == EINPROGRESS && wait_for(c, POLLOUT)) getsockopt(c->fd, SOL_SOCKET, SO_ERROR, error, &size);
    if (*error == 0) return true;
    close(c->fd);
    c->fd = -1;
    return false;
}

static bool connect_any(struct call *c) {
    const struct addrinfo want = {.ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int error = 0;
    if (getaddrinfo(c->host, c->port, &want, &list) != 0) return fail(c, "its host's name does not resolve");
    bool connected = false;
    for (const struct addrinfo *a = list; a != NULL && !connected; a = a->ai_next)
        connected = connect_one(c, a, &error);
    freeaddrinfo(list);
    if (connected) return true;
    if (error == EINPROGRESS) return fail(c, "no answer in time");
    snprintf(c->message, c->message_bytes, "%s: %s: is weir running there? (--url or WEIR_ADMIN_URL names another)",
             c->client->shown, strerror(error));
    return false;
}

static bool request_send(struct call *c, const char *target) {
    const char *token = getenv("WEIR_ADMIN_TOKEN");
    bool v6 = strchr(c->host, ':') != NULL;
    struct buf out = {0};
    buf_printf(&out, "GET %s HTTP/1.1\r\nhost: %s%s%s:%s\r\nconnection: close\r\n", target, v6 ? "[" : "", c->host,
               v6 ? "]" : "", c->port);
    if (token != NULL && token[0] != '\0' && strpbrk(token, "\r\n") == NULL)
        buf_printf(&out, "authorization: Bearer %s\r\n", token);
    buf_append_text(&out, "\r\n");
    bool sent = true;
    while (sent && buf_length(&out) > 0) {
        ssize_t n = send(c->fd, out.data + out.start, buf_length(&out), MSG_NOSIGNAL);
        if (n > 0)
            buf_consume(&out, (size_t)n);
        else
            sent = (errno == EAGAIN && wait_for(c, POLLOUT)) || (errno != EAGAIN && fail(c, "it hung up"));
    }
    buf_clear(&out);
    return sent;
}

/* Everything until the connection ends, which was asked for. */
static bool answer_read(struct call *c, struct buf *in) {
    for (;;) {
        char *at = buf_reserve(in, 65536);
        ssize_t n = recv(c->fd, at, 65536, 0);
        if (n == 0) return true;
        if (n > 0) buf_commit(in, (size_t)n);
        if (buf_length(in) > ADMIN_ANSWER_MAX) return fail(c, "its answer is too long");
        if (n < 0 && errno != EINTR && (errno != EAGAIN || !wait_for(c, POLLIN)))
            return errno == EAGAIN ? false : fail(c, "the connection broke");
    }
}

static bool status_judge(const struct call *c, const struct http_head *head, struct slice body) {
    if (head->status == 200) return true;
    if (head->status == 401)
        return fail(c, getenv("WEIR_ADMIN_TOKEN") != NULL ? "the token in WEIR_ADMIN_TOKEN is not the right one"
                                                          : "a token is needed: put it into WEIR_ADMIN_TOKEN");
    if (head->status == 404) return fail(c, "this weir has no such page: is it an older version?");
    json_t *answer = document_parse(body);
    const char *said = document_text(json_object_get(answer, "error"), "message", "it refused");
    snprintf(c->message, c->message_bytes, "%s: status %u: %s", c->client->shown, head->status, said);
    for (char *at = c->message; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f) *at = ' ';
    json_decref(answer);
    return false;
}

static bool answer_judge(const struct call *c, struct buf *in) {
    static const struct head_limits limits = {8192, 65536, 100};
    struct field fields[HEAD_FIELDS_MAX];
    struct http_head head;
    size_t scanned = 0, n = in->data != NULL ? head_end(in->data + in->start, buf_length(in), &scanned) : 0;
    if (n == 0 ||
        head_parse_answer(&head, (struct slice){in->data + in->start, n}, fields, &limits, false) != FAILURE_NONE)
        return fail(c, "that is no answer of weir's admin port");
    struct slice body = {in->data + in->start + n, buf_length(in) - n};
    if (head.framing != FRAMING_LENGTH || body.n != head.content_length) return fail(c, "its answer is cut");
    c->client->status = head.status;
    if (!status_judge(c, &head, body)) return false;
    in->start += n;
    return true;
}

bool admin_get(struct admin_client *client, const char *target, unsigned timeout_ms, struct buf *body, char *message,
               size_t message_bytes) {
    client->status = 0;
    const char *url = client->url != NULL ? client->url : getenv("WEIR_ADMIN_URL");
    if (url == NULL || url[0] == '\0') url = default_url;
    snprintf(client->shown, sizeof client->shown, "%s", url);
    struct call c = {.client = client,
                     .due_ns = clock_now_ns() + timeout_ms * NS_PER_MS,
                     .fd = -1,
                     .message = message,
                     .message_bytes = message_bytes};
    bool good =
        url_split(&c) && connect_any(&c) && request_send(&c, target) && answer_read(&c, body) && answer_judge(&c, body);
    if (c.fd >= 0) close(c.fd);
    return good;
}
