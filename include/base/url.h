/* base/url.h: the parts of an absolute http:// or https:// URL (RFC 3986 §3), as they stand in it. Splitting judges
 * nothing: conf/address.h says what is wrong with one that a configuration has. */
#pragma once
#include "base/slice.h"

struct url { /* borrowed from the URL's text; `port` may be a constant */
    bool tls;
    struct slice origin;     /* scheme://authority */
    struct slice authority;  /* host[:port], as a Host field says it */
    struct slice host, port; /* the host without brackets; "443" or "80" where none is named */
    struct slice path;       /* what follows the authority: begins with a slash, or is empty */
};

bool url_split(struct slice text, struct url *out); /* false: it begins with neither scheme */
