/* redis_url.h: taking the URL of a Redis apart. */
#pragma once
#include "conf/config.h"

/* redis[s]://[user][:password]@host[:port][/database]; user and password may be percent-encoded. Fills *out with copies
 * in `arena` (NUL-terminated); NULL, or what is wrong, in words that hold nothing of the URL. */
const char *redis_url_split(struct arena *arena, struct slice url, struct config_redis_target *out);
