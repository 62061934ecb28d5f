/* tests/replay/kernel.h: is anything on its way inside the kernel? */
#pragma once
#include "world.h"

/* Bytes, an end or a connection that one side has sent and the other has not got. */
bool kernel_is_moving(const struct world *w);
unsigned short kernel_port(int fd, bool own); /* this socket's, or its peer's; 0 unknown */
