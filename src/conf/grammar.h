/* grammar.h: one row per configuration key. Parsing, defaults, `--print`, suggestions and the tests of the
 * documentation all read this table and nothing else. */
#pragma once
#include "base/slice.h"

enum key_type {
    KEY_SECTION,  /* a map with fixed keys; with an offset: a struct conf_position gets its place */
    KEY_LIST,     /* a list of sections: struct {T *items; size_t count;}, T begins with a conf_position */
    KEY_NAMED,    /* a map from names to sections: as KEY_LIST, T begins with a conf_text for the name */
    KEY_INCLUDE,  /* read by files.c before anything else */
    KEY_TEXT,     /* struct conf_text */
    KEY_PATH,     /* struct conf_text; resolved against the directory of its file */
    KEY_URL,      /* struct conf_text; http or https */
    KEY_ADDRESS,  /* struct conf_address */
    KEY_BOOL,     /* bool */
    KEY_DURATION, /* uint64_t nanoseconds */
    KEY_SIZE,     /* uint64_t bytes */
    KEY_RATE,     /* uint64_t bytes a second */
    KEY_COUNT,    /* uint64_t */
    KEY_MONEY,    /* uint64_t pico-dollars */
    KEY_PERCENT,  /* uint64_t whole percent */
    KEY_CHOICE,   /* an enum: the index in `words` */
    KEY_DATE,     /* int64_t Unix seconds */
    KEY_DIGEST,   /* uint8_t[CONF_DIGEST_BYTES] */
    KEY_TEXTS,    /* struct conf_texts */
    KEY_PAIRS,    /* struct conf_pairs */
    KEY_TYPE_COUNT
};

enum text_rule { /* what a text, each item of a list, or a name in a map may consist of */
                 RULE_ANY,
                 RULE_NAME,        /* a letter or digit, then letters, digits, `.`, `_`, `-`; CONF_NAME_BYTES */
                 RULE_MODEL,       /* also `/`, `:`, `@`, `+`; CONF_MODEL_BYTES */
                 RULE_PATTERN,     /* printable, no spaces; `*` matches any run */
                 RULE_URL_PATH,    /* a pattern that begins with `/` */
                 RULE_METHOD,      /* one of the row's words */
                 RULE_SIGNAL,      /* one of the row's words */
                 RULE_RETRY_CAUSE, /* one of the row's words, 429 or a status from 500 to 599 */
                 RULE_HEADER,      /* an HTTP field name */
                 RULE_TAG,         /* as RULE_NAME */
                 RULE_SECRET,      /* printable, no spaces */
                 RULE_COUNT
};

enum {                     /* flags */
       KEY_REQUIRED = 1,   /* missing is an error */
       KEY_SECRET = 2,     /* never shown */
       KEY_NOT_BUILT = 4,  /* checked, but nothing acts on it yet: one warning says so */
       KEY_OFF = 8,        /* `off` is allowed: CONF_NEVER for a duration, 0 otherwise */
       KEY_AUTO = 16,      /* `auto` is allowed: 0 */
       KEY_P95 = 64,       /* `p95` is allowed: CONF_P95 */
       KEY_INHERITED = 32, /* a number that is CONF_NEVER while it is not set; config_finish() resolves it */
};

struct key {
    const char *path; /* as in the documentation: `listen[].address`, `providers.NAME.base_url` */
    enum key_type type;
    unsigned flags;
    enum text_rule rule;
    size_t offset;          /* in the innermost item (or in struct config) */
    size_t item_bytes;      /* KEY_LIST, KEY_NAMED */
    const char *fallback;   /* the default as it would be written; NULL: none */
    const char *unset;      /* what happens without it, where there is no fallback */
    const char *words;      /* KEY_CHOICE: in the order of the enum; KEY_PATH: words that are no path */
    const char *short_form; /* KEY_LIST: the key that an item given as a plain text sets */
    uint64_t min, max;      /* of a number, or of a list's length; max 0: none but the type's */
};

extern const struct key grammar[];
extern const size_t grammar_count;

/* The next row (from *cursor, which starts at 0) that stands directly below `prefix` (""; "http."; "listen[]."), with
 * the key's bare name; NULL at the end. */
const struct key *grammar_next(const char *prefix, size_t *cursor, struct slice *name);
