/* admin/fleet.h (private): the live numbers of all replicas that share a Redis. Each second a replica tells its newest
 * windows there and hears those of the others (telemetry/live.h), on the admin's thread. */
#pragma once
#include "admin/server.h"
#include "net/loop.h"

struct fleet;
/* Of options with a Redis client; all of it borrowed. */
struct fleet *fleet_start(const struct admin_options *o, struct loop *l);
void fleet_free(struct fleet *f); /* after the client: its calls have ended; NULL is allowed */
