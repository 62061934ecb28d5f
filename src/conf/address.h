/* address.h: taking HOST:PORT and base URLs apart. */
#pragma once
#include "conf/config.h"

/* Fills host, port, port_number and loopback from `text` (slices of it); NULL, or what is wrong. */
const char *address_split(struct conf_address *a);
/* NULL when it is http:// or https://, a host, perhaps a port and a path, and nothing else; or what is wrong. */
const char *address_url_fault(struct slice url);
/* The host[:port] part of a URL that has no fault; *loopback says whether that is this machine. */
struct slice address_url_authority(struct slice url, bool *loopback);
