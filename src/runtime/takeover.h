/* runtime/takeover.h: a process that is started to take over from a running one: gets its listening sockets and the
 * counts of its limits, and says when it serves. */
#pragma once
#include <stdbool.h>

#define TAKEOVER_VARIABLE "WEIR_TAKEOVER" /* in the environment: the descriptor to talk over */

struct gateway;
struct takeover;
/* NULL: this process was started by itself. Before anything listens. */
struct takeover *takeover_begin(void);
/* The socket that listens there, from then on the caller's; -1: there is none. t may be NULL. */
int takeover_socket(struct takeover *t, const char *kind, const char *address);
/* All has started but accepting. Gets the counts; the old process accepts no more. False: it does not want to be taken
 * over from any more. */
bool takeover_counts(struct takeover *t, struct gateway *g);
void takeover_serving(struct takeover *t, struct gateway *g); /* accepts: the old one may end */
void takeover_free(struct takeover *t);
