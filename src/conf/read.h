/* read.h: a tree into a struct config, by the grammar. */
#pragma once
#include "conf/config.h"
#include "tree.h"

/* Fills `c` from the tree, and from defaults where it says nothing. `trees` holds what is needed only while reading.
 * `print` as in config_load(). Errors are added; what they concern is left zero. */
void config_read(struct config *c, struct node *root, struct arena *trees, struct conf_errors *errors,
                 struct buf *print);
