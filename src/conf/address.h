/* address.h: taking HOST:PORT and base URLs apart. */
#pragma once
#include "conf/config.h"

/* Fills host, port, port_number and loopback from `text` (slices of it); NULL, or what is wrong. */
const char *address_split(struct conf_address *a);
/* NULL when it is http:// or https://, a host, perhaps a port and a path, and nothing else; or what is wrong. */
const char *address_url_fault(struct slice url);
/* The host[:port] part of a URL that has no fault; *loopback says whether that is this machine. */
struct slice address_url_authority(struct slice url, bool *loopback);
/* host[:port] of a URL: NULL, or what is wrong. `port` is empty when there is none; both are slices of `authority`. */
const char *address_authority_split(struct slice authority, struct slice *host, struct slice *port, bool *loopback);
