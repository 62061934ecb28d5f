/* print.h: the effective configuration, one line a value: `providers.openai.timeouts.idle: 60s  # weir.yaml:12:30`. */
#pragma once
#include "base/buf.h"
#include "conf/config.h"
#include "value.h"

struct printer {
    struct buf *out; /* NULL: nothing is printed */
    struct buf path; /* of the value at hand */
};

size_t print_enter(struct printer *p, struct slice name); /* goes down into `.name`; returns the mark to leave with */
size_t print_enter_index(struct printer *p, struct slice index); /* goes down into `[0]` */
void print_leave(struct printer *p, size_t mark);
void print_value(struct printer *p, const struct key *k, const struct value *v);
void print_texts(struct printer *p, const struct conf_texts *list, struct conf_position at);
void print_unset(struct printer *p, const struct key *k); /* tells what happens without it */
void print_end(struct printer *p);                        /* frees */
