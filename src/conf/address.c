/* Addresses as they are written in a configuration. Only shape is judged: names are resolved when they are used. */
#include "address.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/url.h"

static bool port_read(struct slice port, uint64_t lowest, uint64_t *number) {
    return port.n <= 5 && slice_to_u64(port, number) && *number >= lowest && *number <= 65535;
}

static bool host_is_name(struct slice host) {
    bool letters = false;
    for (size_t i = 0; i < host.n; i++) {
        char c = ascii_lower(host.p[i]);
        bool digit = c >= '0' && c <= '9', letter = (c >= 'a' && c <= 'z') || c == '_';
        if (!digit && !letter && c != '-' && c != '.') return false;
        letters = letters || letter;
    }
    return host.n > 0 && host.n <= 253 && letters && host.p[0] != '-' && host.p[0] != '.';
}

/* NULL, or what is wrong; *loopback is set when it is fine. */
static const char *host_fault(struct slice host, bool bracketed, bool *loopback) {
    char text[254];
    struct in_addr v4;
    struct in6_addr v6;
    if (host.n == 0) return "the host is missing";
    if (host.n >= sizeof text) return "the host is too long";
    snprintf(text, sizeof text, "%.*s", (int)host.n, host.p);
    if (bracketed) {
        if (inet_pton(AF_INET6, text, &v6) != 1) return "expected an IPv6 address between [ and ]";
        *loopback = IN6_IS_ADDR_LOOPBACK(&v6);
        return NULL;
    }
    if (memchr(host.p, ':', host.n) != NULL) return "put an IPv6 address in brackets: \"[::1]:8080\"";
    if (inet_pton(AF_INET, text, &v4) == 1) {
        *loopback = (ntohl(v4.s_addr) >> 24) == 127;
        return NULL;
    }
    if (!host_is_name(host)) return "expected an IPv4 address, an IPv6 address in brackets, or a host's name";
    *loopback = slice_equal_nocase(host, SLICE("localhost"));
    return NULL;
}

/* Cuts `[host]` or `host` off the front. What is left begins with `:` or is empty. */
static bool host_cut(struct slice *rest, struct slice *host, bool *bracketed) {
    *bracketed = rest->n > 0 && rest->p[0] == '[';
    const char *end;
    if (*bracketed) {
        end = memchr(rest->p, ']', rest->n);
        if (end == NULL) return false;
        *host = (struct slice){rest->p + 1, (size_t)(end - rest->p) - 1};
        end++;
    } else {
        end = memrchr(rest->p, ':', rest->n);
        if (end == NULL) end = rest->p + rest->n;
        *host = (struct slice){rest->p, (size_t)(end - rest->p)};
    }
    *rest = (struct slice){end, rest->n - (size_t)(end - rest->p)};
    return rest->n == 0 || rest->p[0] == ':';
}

const char *address_split(struct conf_address *a) {
    struct slice rest = a->text;
    bool bracketed;
    if (!host_cut(&rest, &a->host, &bracketed) || rest.n < 2)
        return "expected HOST:PORT, such as 127.0.0.1:8080 or \"[::1]:8080\"";
    a->port = (struct slice){rest.p + 1, rest.n - 1};
    const char *fault = host_fault(a->host, bracketed, &a->loopback);
    if (fault != NULL) return fault;
    return port_read(a->port, 0, &a->port_number) ? NULL : "the port must be from 0 (the system picks one) to 65535";
}

const char *address_authority_split(struct slice authority, struct slice *host, struct slice *port, bool *loopback) {
    bool bracketed;
    uint64_t number;
    *port = (struct slice){NULL, 0};
    if (!host_cut(&authority, host, &bracketed)) return "the URL's host is malformed";
    if (authority.n > 0) *port = (struct slice){authority.p + 1, authority.n - 1};
    if (authority.n > 0 && !port_read(*port, 1, &number)) return "the URL's port must be from 1 to 65535";
    return host_fault(*host, bracketed, loopback);
}

static const char *authority_fault(struct slice authority, bool *loopback) {
    struct slice host, port;
    if (authority.n > 0 && memchr(authority.p, '@', authority.n) != NULL)
        return "a URL here must not contain a user name or password";
    return address_authority_split(authority, &host, &port, loopback);
}

const char *address_url_fault(struct slice url) {
    struct url parts;
    bool loopback;
    if (!url_split(url, &parts)) return "expected a URL that begins with http:// or https://";
    for (size_t i = 0; i < url.n; i++)
        if (url.p[i] <= 0x20 || url.p[i] >= 0x7F || url.p[i] == '\\' || url.p[i] == '"')
            return "a URL here consists of printable ASCII without spaces, quotes or backslashes";
    const char *fault = authority_fault(parts.authority, &loopback);
    if (fault != NULL) return fault;
    if (memchr(url.p, '?', url.n) != NULL) return "a URL here must not have a query (?)";
    return memchr(url.p, '#', url.n) != NULL ? "a URL here must not have a fragment (#)" : NULL;
}

struct slice address_url_authority(struct slice url, bool *loopback) {
    struct url parts = {0};
    *loopback = false;
    if (url_split(url, &parts)) authority_fault(parts.authority, loopback);
    return parts.authority;
}
