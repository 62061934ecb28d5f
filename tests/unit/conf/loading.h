/* loading.h: loading a text or files and looking at the messages. */
#pragma once
#include "unit.h"

#include <stdio.h>
#include <string.h>

#include "conf/config.h"

struct loading {
    struct config *config;
    char *messages, *printed; /* free with loading_end() */
    size_t error_count, warning_count;
};

static inline char *text_take(struct buf *b) {
    char *text = strndup(b->data ? b->data + b->start : "", buf_length(b));
    buf_clear(b);
    return text;
}

static inline struct loading loading_finish(struct config *c, struct conf_errors *errors, struct buf *print) {
    struct buf messages = {0};
    conf_errors_write(errors, &messages);
    struct loading l = {c, text_take(&messages), text_take(print), errors->error_count, errors->warning_count};
    conf_errors_clear(errors);
    return l;
}

static inline struct loading load_slice(struct slice text) {
    struct conf_errors errors = {0};
    struct buf print = {0};
    struct config *c = config_load_text("t", text, &errors, &print);
    return loading_finish(c, &errors, &print);
}

static inline struct loading load(const char *text) {
    return load_slice(slice_of(text));
}

static inline struct loading load_file(const char *path) {
    struct conf_errors errors = {0};
    struct buf print = {0};
    struct config *c = config_load(path, &errors, &print);
    return loading_finish(c, &errors, &print);
}

static inline void loading_end(struct loading *l) {
    config_free(l->config);
    free(l->messages);
    free(l->printed);
}

/* The text must be refused (or, for a warning, taken) with exactly these messages. */
static inline void expect_messages(const char *text, const char *expected) {
    struct loading l = load(text);
    if (strcmp(l.messages, expected) != 0) fail_msg("%s\n-- gave:\n%s-- not:\n%s", text, l.messages, expected);
    assert_int_equal(l.config == NULL, l.error_count > 0);
    loading_end(&l);
}

/* A provider and what a test adds to it. */
#define PROVIDER(more) "providers: {p: {dialect: openai, base_url: \"https://h/v1\", api_key: k" more "}}\n"
#define DIGEST_A "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
#define DIGEST_B "60303ae22b998861bce3b28f33eec1be758a213c86c93c076dbe9f558c11c752"
