/* What an error reply means, and reading the items of an answer. */
#include "redis/reply.h"

static const struct {
    struct slice word;
    bool trouble;
} errors[] = {
#define ERROR_ROW(id, word, trouble) [REDIS_ERROR_##id] = {SLICE_INIT(word), trouble},
    REDIS_ERRORS(ERROR_ROW)
#undef ERROR_ROW
};

static enum redis_error error_by_word(struct slice text) {
    struct slice rest = text, word;
    if (!slice_cut(&rest, ' ', &word)) return REDIS_ERROR_OTHER;
    for (enum redis_error e = REDIS_ERROR_NOSCRIPT; e < REDIS_ERROR_COUNT; e++)
        if (slice_equal(errors[e].word, word)) return e;
    return REDIS_ERROR_OTHER;
}

/* "ERR Error running script (call to f_6b1b…): @user_script:1: @user_script: 1: -OOM command not allowed …" */
static enum redis_error error_within(struct slice text) {
    for (size_t i = 0; i + 3 < text.n; i++)
        if (memcmp(text.p + i, ": -", 3) == 0) return error_by_word((struct slice){text.p + i + 3, text.n - i - 3});
    return REDIS_ERROR_OTHER;
}

enum redis_error redis_error_of(struct slice text) {
    if (slice_starts(text, SLICE("ERR Error running script"))) return error_within(text);
    if (slice_starts(text, SLICE("ERR max number of clients"))) return REDIS_ERROR_MAXCLIENTS;
    return error_by_word(text);
}

const char *redis_error_word(enum redis_error e) {
    return errors[e].word.p;
}

bool redis_error_is_trouble(enum redis_error e) {
    return errors[e].trouble;
}

static const struct redis_reply *item(const struct redis_reply *array, size_t n) {
    return array != NULL && array->type == REDIS_ARRAY && n < array->count ? &array->items[n] : NULL;
}

int64_t redis_item_integer(const struct redis_reply *array, size_t n, int64_t fallback) {
    const struct redis_reply *r = item(array, n);
    return r != NULL && r->type == REDIS_INTEGER ? r->integer : fallback;
}

struct slice redis_item_text(const struct redis_reply *array, size_t n) {
    const struct redis_reply *r = item(array, n);
    return r != NULL && (r->type == REDIS_STRING || r->type == REDIS_STATUS) ? r->text : (struct slice){NULL, 0};
}
