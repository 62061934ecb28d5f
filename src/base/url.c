/* Splitting URLs. A colon belongs to the port only behind the bracket of an IPv6 address. */
#include "base/url.h"

bool url_split(struct slice text, struct url *out) {
    struct slice http = SLICE("http://"), https = SLICE("https://");
    *out = (struct url){.tls = slice_starts(text, https)};
    if (!out->tls && !slice_starts(text, http)) return false;
    size_t begin = out->tls ? https.n : http.n, end = begin;
    while (end < text.n && text.p[end] != '/' && text.p[end] != '?' && text.p[end] != '#') end++;
    out->origin = (struct slice){text.p, end};
    out->authority = out->host = (struct slice){text.p + begin, end - begin};
    out->path = (struct slice){text.p + end, text.n - end};
    out->port = out->tls ? SLICE("443") : SLICE("80");
    struct slice *host = &out->host;
    const char *bracket = host->n > 0 && host->p[0] == '[' ? memchr(host->p, ']', host->n) : NULL;
    const char *from = bracket != NULL ? bracket : host->p, *host_end = host->p + host->n;
    const char *colon = host->n > 0 ? memchr(from, ':', (size_t)(host_end - from)) : NULL;
    if (colon != NULL) {
        out->port = (struct slice){colon + 1, (size_t)(host_end - colon - 1)};
        host->n = (size_t)(colon - host->p);
    }
    if (bracket != NULL) *host = (struct slice){host->p + 1, (size_t)(bracket - host->p) - 1};
    return true;
}
