/* One function per type of a plain value: text in, a member of struct config out, or a message that says what was
 * expected. The value itself is not repeated: its place is known, and it might be a secret in the wrong line. */
#include "value.h"

#include <arpa/inet.h>
#include <assert.h>
#include <stdio.h>

#include "address.h"
#include "conf/config.h"
#include "units.h"

struct storing {
    const struct value *value;
    const struct key *key;
    struct arena *arena;
    struct conf_errors *errors;
};
typedef bool store_fn(const struct storing *s, void *out);

static struct conf_text text_keep(const struct storing *s, struct slice text) {
    return (struct conf_text){arena_copy(s->arena, text), s->value->at};
}

static bool store_text(const struct storing *s, void *out) {
    if (!value_keeps_rule(s->value, s->key->rule, s->key->words, "the value", s->errors)) return false;
    *(struct conf_text *)out = text_keep(s, s->value->text);
    return true;
}

static bool store_path(const struct storing *s, void *out) {
    struct slice text = s->value->text;
    const char *directory = s->value->source->directory;
    bool word = s->key->words != NULL && words_find(s->key->words, text) >= 0;
    struct conf_text *path = out;
    *path = text_keep(s, text);
    if (word || text.p[0] == '/' || directory == NULL || strcmp(directory, ".") == 0) return true;
    size_t n = strlen(directory);
    char *joined = arena_alloc(s->arena, n + 1 + text.n + 1);
    bool root = directory[n - 1] == '/';
    int length = snprintf(joined, n + text.n + 2, "%s%s%s", directory, root ? "" : "/", text.p);
    path->text = (struct slice){joined, (size_t)length};
    return true;
}

static bool store_url(const struct storing *s, void *out) {
    struct slice url = s->value->text;
    const char *fault = address_url_fault(url);
    if (fault != NULL) {
        conf_error_add(s->errors, s->value->at, "%s", fault);
        return false;
    }
    while (url.p[url.n - 1] == '/') url.n--;
    *(struct conf_text *)out = text_keep(s, url);
    return true;
}

static bool store_address(const struct storing *s, void *out) {
    struct conf_address *a = out;
    *a = (struct conf_address){.text = arena_copy(s->arena, s->value->text), .at = s->value->at};
    const char *fault = address_split(a);
    if (fault == NULL) {
        a->host = arena_copy(s->arena, a->host); /* both had no NUL behind them within the text */
        a->port = arena_copy(s->arena, a->port);
        return true;
    }
    conf_error_add(s->errors, s->value->at, "%s", fault);
    *a = (struct conf_address){0};
    return false;
}

static bool store_bool(const struct storing *s, void *out) {
    if (units_bool(s->value->text, out)) return true;
    conf_error_add(s->errors, s->value->at, "expected true or false (or on, off)");
    return false;
}

static const struct number {
    bool (*read)(struct slice s, uint64_t *value);
    const char *expected;
} numbers[KEY_TYPE_COUNT] = {
    [KEY_DURATION] = {units_duration, "a duration, such as 250ms, 30s, 5m, 12h or 30d"},
    [KEY_SIZE] = {units_size, "a size, such as 512B, 64KiB, 32MiB or 4GiB"},
    [KEY_RATE] = {units_rate, "a rate, such as 1KiB/s"},
    [KEY_COUNT] = {units_count, "a whole number, such as 600, 200k or 3M"},
    [KEY_MONEY] = {units_money, "an amount in dollars, such as 25 or 0.50"},
    [KEY_PERCENT] = {units_percent, "a share, such as 5%"},
};

static void bound_text(const struct key *k, uint64_t bound, char out[UNITS_TEXT_BYTES]) {
    if (k->type == KEY_DURATION)
        units_duration_text(bound, out);
    else if (k->type == KEY_SIZE || k->type == KEY_RATE)
        units_size_text(bound, out);
    else if (k->type == KEY_MONEY)
        snprintf(out, UNITS_TEXT_BYTES, "%.6f", (double)bound / 1e12);
    else if (k->type == KEY_PERCENT)
        snprintf(out, UNITS_TEXT_BYTES, "%llu%%", (unsigned long long)bound);
    else
        snprintf(out, UNITS_TEXT_BYTES, "%llu", (unsigned long long)bound);
}

static bool store_word(const struct storing *s, void *out) {
    struct slice text = s->value->text;
    if ((s->key->flags & KEY_P95) && slice_equal(text, SLICE("p95"))) {
        *(uint64_t *)out = CONF_P95;
        return true;
    }
    bool off = (s->key->flags & KEY_OFF) && slice_equal(text, SLICE("off"));
    if (!off && !((s->key->flags & KEY_AUTO) && slice_equal(text, SLICE("auto")))) return false;
    *(uint64_t *)out = off && s->key->type == KEY_DURATION ? CONF_NEVER : 0;
    return true;
}

static bool store_number(const struct storing *s, void *out) {
    const struct key *k = s->key;
    if (store_word(s, out)) return true;
    const char *word = k->flags & KEY_OFF    ? ", or off"
                       : k->flags & KEY_AUTO ? ", or auto"
                       : k->flags & KEY_P95  ? ", or p95"
                                             : "";
    uint64_t value;
    if (!numbers[k->type].read(s->value->text, &value)) {
        conf_error_add(s->errors, s->value->at, "expected %s%s", numbers[k->type].expected, word);
        return false;
    }
    if (value >= k->min && (k->max == 0 || value <= k->max)) {
        *(uint64_t *)out = value;
        return true;
    }
    char min[UNITS_TEXT_BYTES], max[UNITS_TEXT_BYTES];
    bound_text(k, k->min, min);
    bound_text(k, k->max, max);
    conf_error_add(s->errors, s->value->at, "out of range: from %s to %s%s", min, max, word);
    return false;
}

enum { WORDS_MAX = 16 };

static bool store_choice(const struct storing *s, void *out) {
    int index = words_find(s->key->words, s->value->text);
    if (index >= 0) {
        *(int *)out = index;
        return true;
    }
    struct slice words[WORDS_MAX], rest = slice_of(s->key->words);
    size_t count = 0;
    while (count < WORDS_MAX && slice_cut(&rest, ' ', &words[count])) count++;
    struct slice near = conf_nearest(s->value->text, words, count);
    if (near.n > 0)
        conf_error_add(s->errors, s->value->at, "not one of: %s; did you mean %.*s?", s->key->words, (int)near.n,
                       near.p);
    else
        conf_error_add(s->errors, s->value->at, "not one of: %s", s->key->words);
    return false;
}

static bool store_date(const struct storing *s, void *out) {
    if (units_date(s->value->text, out)) return true;
    conf_error_add(s->errors, s->value->at, "expected a date, such as 2027-01-31 or 2027-01-31T12:00:00Z (UTC)");
    return false;
}

static bool store_digest(const struct storing *s, void *out) {
    struct slice hex = s->value->text;
    if (slice_starts(hex, SLICE("sha256:"))) hex = (struct slice){hex.p + 7, hex.n - 7};
    if (hex_decode(hex, out, CONF_DIGEST_BYTES)) return true;
    memset(out, 0, CONF_DIGEST_BYTES);
    if (slice_starts(hex, SLICE("sk-")))
        conf_error_add(s->errors, s->value->at, "this looks like a key; write its digest: `weir key hash` makes one");
    else
        conf_error_add(s->errors, s->value->at, "expected a SHA-256: 64 hex digits, as `weir key new` prints them");
    return false;
}

static store_fn *const stores[KEY_TYPE_COUNT] = {
    [KEY_TEXT] = store_text,       [KEY_PATH] = store_path,      [KEY_URL] = store_url,
    [KEY_ADDRESS] = store_address, [KEY_BOOL] = store_bool,      [KEY_DURATION] = store_number,
    [KEY_SIZE] = store_number,     [KEY_RATE] = store_number,    [KEY_COUNT] = store_number,
    [KEY_MONEY] = store_number,    [KEY_PERCENT] = store_number, [KEY_CHOICE] = store_choice,
    [KEY_DATE] = store_date,       [KEY_DIGEST] = store_digest,
};

bool value_store(const struct value *v, const struct key *k, struct arena *arena, struct conf_errors *errors,
                 void *out) {
    struct storing s = {v, k, arena, errors};
    assert(stores[k->type] != NULL);
    return stores[k->type](&s, out);
}
