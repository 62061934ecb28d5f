/* conf/errors.h: every fault of a configuration at once, each with the place it stands at. Other folders' x_compile()
 * checks add theirs to the same collection. Messages never contain the value of a secret: callers pass none. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"

struct conf_position {
    const char *file;      /* NUL-terminated, lives as long as the configuration; NULL: a default, no place in a file */
    unsigned line, column; /* from 1; column counts characters; line 0: the file as a whole */
};

struct conf_message {
    struct conf_position at; /* `file` is a copy owned by the collection */
    const char *text;
    bool warning;
};

#define CONF_MESSAGES_MAX 200 /* later ones are counted, not kept */

struct conf_errors { /* zero-initialise; conf_errors_clear() frees */
    struct arena arena;
    struct conf_message *messages;
    size_t count, capacity;
    size_t error_count, warning_count; /* of all added, kept or not */
};

void conf_error_add(struct conf_errors *errors, struct conf_position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
void conf_warning_add(struct conf_errors *errors, struct conf_position at, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* Sorts by file (in order of first mention) and place, and writes one `FILE:LINE:COL: message` a line; warnings read
 * `FILE:LINE:COL: warning: message`. What was not kept is told in a last line. */
void conf_errors_write(struct conf_errors *errors, struct buf *out);
/* The same as JSON: an array of {"file","line","column","level","message"}; line and column are null where there is
 * none, and so is the file of a default. */
void conf_errors_write_json(const struct conf_errors *errors, struct buf *out);
void conf_errors_clear(struct conf_errors *errors);

/* The candidate that `name` was probably meant to be (few edits away), or an empty slice. */
struct slice conf_nearest(struct slice name, const struct slice *candidates, size_t count);
/* A name for an error text: at most 60 bytes, controls and invalid UTF-8 as `?`. Lives in the collection. */
const char *conf_quote(struct conf_errors *errors, struct slice name);
