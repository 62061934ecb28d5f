/* files.h: a configuration file and what it includes, merged into one tree. */
#pragma once
#include "tree.h"

/* Sources (names, directories) go to `keep`, which lives as long as the configuration; nodes to `trees`. NULL when any
 * file could not be read or is not YAML: what there is would only lead to follow-up errors. */
struct node *files_load(struct arena *keep, struct arena *trees, const char *path, struct conf_errors *errors);
/* The same for a text in memory, which may not include anything. */
struct node *files_load_text(struct arena *keep, struct arena *trees, const char *name, struct slice text,
                             struct conf_errors *errors);
