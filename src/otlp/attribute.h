/* otlp/attribute.h: KeyValue, what spans, resources, data points and log records are described with. */
#pragma once
#include "proto.h"

enum value_type { VALUE_NONE, VALUE_TEXT, VALUE_LIST /* of one text */, VALUE_INT, VALUE_DOUBLE, VALUE_BOOL };

struct value {
    enum value_type type;
    union {
        struct slice text; /* borrowed */
        int64_t number;
        double real;
        bool flag;
    };
};

/* A text that is empty is no value. */
static inline struct value value_text(struct slice s) {
    return (struct value){.type = s.n > 0 ? VALUE_TEXT : VALUE_NONE, .text = s};
}
static inline struct value value_int(uint64_t n) {
    return (struct value){.type = VALUE_INT, .number = (int64_t)n};
}
static inline struct value value_double(double d) {
    return (struct value){.type = VALUE_DOUBLE, .real = d};
}
static inline struct value value_bool(bool b) {
    return (struct value){.type = VALUE_BOOL, .flag = b};
}
static inline struct value value_none(void) {
    return (struct value){.type = VALUE_NONE};
}

/* A KeyValue as the repeated `field` of the open message; nothing for VALUE_NONE. */
void attribute_put(struct buf *out, unsigned field, struct slice key, struct value v);
static inline void attribute_text(struct buf *out, unsigned field, const char *key, struct slice s) {
    attribute_put(out, field, slice_of(key), value_text(s));
}
