/* otlp/resource.h: who sends: the Resource and the InstrumentationScope of everything that is exported. */
#pragma once
#include "conf/config.h"
#include "environment.h"

void resource_put(struct buf *out, const struct config *c, const struct environment *e);
void scope_put(struct buf *out);
