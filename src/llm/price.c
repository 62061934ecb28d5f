/* Prices and what an exchange cost. The hard part is being exact: a price in dollars per million tokens, times a
 * million, is a whole number of pico-dollars a token for every price with at most six decimals, and all sums are
 * integers from there on. Which tier holds is decided once for the whole request, on all input tokens, as providers
 * bill it.
 *
 * It knows nothing of batch, priority or tool fees: weir sees no bill, only tokens. */
#include "llm/price.h"

#include <assert.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "price_table.h"

#define TIERS_MAX 4
#define UNITS_PER_DOLLAR 1000000 /* pico-dollars a token for a dollar per million tokens */
#define DOLLARS_MAX 1000000.0    /* per million tokens; more is a mistake in the file */

enum rate { RATE_INPUT, RATE_OUTPUT, RATE_CACHE_READ, RATE_CACHE_WRITE, RATE_CACHE_WRITE_1H, RATE_REASONING, RATES };
#define NO_RATE (-1)

static const char *const rate_names[RATES] = {
    [RATE_INPUT] = "input",
    [RATE_OUTPUT] = "output",
    [RATE_CACHE_READ] = "cache_read",
    [RATE_CACHE_WRITE] = "cache_write",
    [RATE_CACHE_WRITE_1H] = "cache_write_1h",
    [RATE_REASONING] = "reasoning_output",
};

struct tier {
    uint64_t from;        /* the least total of input tokens that is billed so; 0 for the base */
    int64_t rates[RATES]; /* pico-dollars a token */
};

struct price {
    char *provider, *model;
    unsigned tier_count;
    struct tier tiers[1 + TIERS_MAX]; /* the base first, then by rising `from` */
};

struct price_table {
    struct price *rows; /* sorted by model, then provider */
    size_t count, capacity;
};

struct complaint { /* where to write what is wrong */
    char *text;
    size_t bytes;
    const char *file;
    size_t row;
};

static bool complain(const struct complaint *c, const char *field, const char *problem) {
    snprintf(c->text, c->bytes, "%s: row %zu: %s: %s", c->file, c->row + 1, field, problem);
    return false;
}

static bool read_rate(const json_t *value, int64_t *rate, const char **problem) {
    *rate = NO_RATE;
    if (value == NULL || json_is_null(value)) return true;
    double dollars = json_number_value(value);
    *problem = "not a price in dollars per million tokens";
    if (!json_is_number(value) || !(dollars >= 0 && dollars <= DOLLARS_MAX)) return false;
    double exact = dollars * UNITS_PER_DOLLAR;
    *rate = llround(exact);
    *problem = "more than six decimals";
    return fabs(exact - (double)*rate) < 1e-3; /* a seventh decimal would be at least a tenth off */
}

static bool read_rates(const json_t *object, int64_t rates[RATES], const struct complaint *c) {
    const char *problem;
    for (int i = 0; i < RATES; i++)
        if (!read_rate(json_object_get(object, rate_names[i]), &rates[i], &problem))
            return complain(c, rate_names[i], problem);
    if (rates[RATE_INPUT] == NO_RATE) return complain(c, "input", "missing");
    if (rates[RATE_OUTPUT] == NO_RATE) return complain(c, "output", "missing");
    return true;
}

/* Fills in what a row leaves open; a tier takes the base's own cache prices where it has none. */
static void derive_rates(int64_t rates[RATES], const int64_t *base, bool anthropic) {
    for (int i = RATE_CACHE_READ; base != NULL && i <= RATE_CACHE_WRITE; i++)
        if (rates[i] == NO_RATE) rates[i] = base[i];
    if (rates[RATE_CACHE_READ] == NO_RATE) rates[RATE_CACHE_READ] = rates[RATE_INPUT];
    if (rates[RATE_CACHE_WRITE] == NO_RATE) rates[RATE_CACHE_WRITE] = rates[RATE_INPUT];
    if (rates[RATE_CACHE_WRITE_1H] == NO_RATE)
        rates[RATE_CACHE_WRITE_1H] = anthropic ? 2 * rates[RATE_INPUT] : rates[RATE_CACHE_WRITE];
    if (rates[RATE_REASONING] == NO_RATE) rates[RATE_REASONING] = rates[RATE_OUTPUT];
}

static int by_threshold(const void *a, const void *b) {
    uint64_t x = ((const struct tier *)a)->from, y = ((const struct tier *)b)->from;
    return x < y ? -1 : x > y;
}

/* xAI's long-context price begins at the threshold, everyone else's above it. */
static bool read_tiers(const json_t *list, struct price *p, const struct complaint *c) {
    bool at_threshold = strcmp(p->provider, "xai") == 0;
    if (list == NULL || json_is_null(list)) return true;
    if (!json_is_array(list) || json_array_size(list) > TIERS_MAX)
        return complain(c, "tiers", "not a list of at most 4");
    for (size_t i = 0; i < json_array_size(list); i++) {
        const json_t *item = json_array_get(list, i), *above = json_object_get(item, "above_input_tokens");
        struct tier *tier = &p->tiers[p->tier_count];
        if (!json_is_integer(above) || json_integer_value(above) <= 0)
            return complain(c, "tiers", "above_input_tokens: not a positive whole number");
        if (!read_rates(item, tier->rates, c)) return false;
        tier->from = (uint64_t)json_integer_value(above) + (at_threshold ? 0 : 1);
        p->tier_count++;
    }
    qsort(p->tiers + 1, p->tier_count - 1, sizeof(p->tiers[0]), by_threshold);
    for (unsigned i = 2; i < p->tier_count; i++)
        if (p->tiers[i].from == p->tiers[i - 1].from) return complain(c, "tiers", "the same above_input_tokens twice");
    return true;
}

static bool read_name(const json_t *object, const char *field, char **out, const struct complaint *c) {
    const json_t *value = json_object_get(object, field);
    if (!json_is_string(value) || json_string_length(value) == 0) return complain(c, field, "not a name");
    *out = mem_strndup(json_string_value(value), json_string_length(value));
    return true;
}

static bool read_row(const json_t *object, struct price *p, const struct complaint *c) {
    if (!json_is_object(object)) return complain(c, "row", "not an object");
    if (!read_name(object, "provider", &p->provider, c) || !read_name(object, "model", &p->model, c)) return false;
    p->tier_count = 1;
    if (!read_rates(object, p->tiers[0].rates, c) || !read_tiers(json_object_get(object, "tiers"), p, c)) return false;
    bool anthropic = strcmp(p->provider, "anthropic") == 0;
    for (unsigned i = p->tier_count; i-- > 0;) /* the base last: tiers look at what it says itself */
        derive_rates(p->tiers[i].rates, i > 0 ? p->tiers[0].rates : NULL, anthropic);
    return true;
}

static int compare_text(struct slice a, struct slice b) {
    size_t shorter = a.n < b.n ? a.n : b.n;
    int order = shorter > 0 ? memcmp(a.p, b.p, shorter) : 0;
    return order != 0 ? order : a.n < b.n ? -1 : a.n > b.n;
}

static int by_model(const void *a, const void *b) {
    const struct price *x = a, *y = b;
    int order = strcmp(x->model, y->model);
    return order != 0 ? order : strcmp(x->provider, y->provider);
}

static bool read_table(struct price_table *t, const json_t *root, struct complaint *c) {
    const json_t *list = json_is_object(root) ? json_object_get(root, "prices") : root;
    if (!json_is_array(list)) {
        snprintf(c->text, c->bytes, "%s: not an array of prices", c->file);
        return false;
    }
    for (c->row = 0; c->row < json_array_size(list); c->row++) {
        t->rows = mem_array_grow(t->rows, &t->capacity, sizeof(*t->rows), t->count + 1);
        struct price *p = &t->rows[t->count++];
        *p = (struct price){0};
        if (!read_row(json_array_get(list, c->row), p, c)) return false;
    }
    if (t->count > 0) qsort(t->rows, t->count, sizeof(*t->rows), by_model);
    for (size_t i = 1; i < t->count; i++) {
        if (by_model(&t->rows[i - 1], &t->rows[i]) != 0) continue;
        snprintf(c->text, c->bytes, "%s: %s, %s: two prices", c->file, t->rows[i].provider, t->rows[i].model);
        return false;
    }
    return true;
}

struct price_table *price_table_load(const char *file, char *error, size_t error_bytes) {
    assert(error != NULL && error_bytes > 0);
    json_error_t where;
    struct slice built_in = price_table_text();
    json_t *root = file != NULL ? json_load_file(file, JSON_REJECT_DUPLICATES, &where)
                                : json_loadb(built_in.p, built_in.n, JSON_REJECT_DUPLICATES, &where);
    struct complaint c = {error, error_bytes, file != NULL ? file : "built-in prices", 0};
    if (root == NULL) {
        if (where.line > 0)
            snprintf(error, error_bytes, "%s:%d: %s", c.file, where.line, where.text);
        else /* it could not be read at all: the text names it */
            snprintf(error, error_bytes, "%s", where.text);
        return NULL;
    }
    struct price_table *t = mem_zalloc(sizeof(*t));
    bool good = read_table(t, root, &c);
    json_decref(root);
    if (good) return t;
    price_table_free(t);
    return NULL;
}

void price_table_free(struct price_table *t) {
    if (t == NULL) return;
    for (size_t i = 0; i < t->count; i++) {
        mem_free(t->rows[i].provider);
        mem_free(t->rows[i].model);
    }
    mem_free(t->rows);
    mem_free(t);
}

bool price_next(const struct price_table *t, size_t *cursor, struct slice *provider, struct slice *model) {
    if (*cursor >= t->count) return false;
    const struct price *row = &t->rows[(*cursor)++];
    *provider = slice_of(row->provider);
    *model = slice_of(row->model);
    return true;
}

size_t price_count(const struct price_table *t) {
    return t->count;
}

static bool same_price(const struct price *a, const struct price *b) {
    if (a->tier_count != b->tier_count) return false;
    for (unsigned i = 0; i < a->tier_count; i++) {
        const struct tier *x = &a->tiers[i], *y = &b->tiers[i];
        if (x->from != y->from || memcmp(x->rates, y->rates, sizeof(x->rates)) != 0) return false;
    }
    return true;
}

struct price_run { /* the rows of one spelling of a model's name */
    const struct price *first, *end;
};

static struct price_run rows_of(const struct price_table *t, struct slice model) {
    size_t low = 0, high = t->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_text(slice_of(t->rows[middle].model), model) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    struct price_run run = {t->rows + low, t->rows + high};
    while (run.end < t->rows + t->count && slice_equal(slice_of(run.end->model), model)) run.end++;
    return run;
}

static const struct price *run_of_provider(struct price_run run, struct slice provider) {
    for (const struct price *row = run.first; row < run.end; row++)
        if (slice_equal(slice_of(row->provider), provider)) return row;
    return NULL;
}

/* Whoever serves it: when all ask the same for it. */
static const struct price *run_of_anybody(struct price_run run) {
    if (run.first == run.end) return NULL;
    for (const struct price *row = run.first + 1; row < run.end; row++)
        if (!same_price(run.first, row)) return NULL;
    return run.first;
}

/* In a pattern `9` is any digit. */
static bool strip_suffix(struct slice *model, struct slice pattern) {
    if (model->n <= pattern.n) return false;
    const char *tail = model->p + model->n - pattern.n;
    for (size_t i = 0; i < pattern.n; i++) {
        bool digit = tail[i] >= '0' && tail[i] <= '9';
        if (pattern.p[i] == '9' ? !digit : tail[i] != pattern.p[i]) return false;
    }
    model->n -= pattern.n;
    return true;
}

static struct slice without_date(struct slice model) {
    static const struct slice suffixes[] = {SLICE_INIT("-9999-99-99"), SLICE_INIT("-99999999"), SLICE_INIT("-latest")};
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
        if (strip_suffix(&model, suffixes[i])) break;
    return model;
}

const struct price *price_find(const struct price_table *t, struct slice provider, struct slice model) {
    if (t->count == 0 || model.n == 0) return NULL;
    struct slice bare = without_date(model);
    struct price_run as_said = rows_of(t, model);
    struct price_run dateless = bare.n == model.n ? as_said : rows_of(t, bare);
    const struct price *p = run_of_provider(as_said, provider);
    if (p == NULL) p = run_of_provider(dateless, provider);
    if (p == NULL) p = run_of_anybody(as_said);
    return p != NULL ? p : run_of_anybody(dateless);
}

static uint64_t at_most(uint64_t value, uint64_t limit) {
    return value < limit ? value : limit;
}

int64_t price_cost(const struct price *p, const struct usage *u) {
    const struct tier *tier = &p->tiers[p->tier_count - 1];
    while (u->input < tier->from) tier--;
    /* A part that is larger than its whole (a provider's slip) must not make the rest negative. */
    uint64_t read = at_most(u->cache_read, u->input), written = at_most(u->cache_write, u->input - read);
    uint64_t hour = at_most(u->cache_write_1h, written), reasoning = at_most(u->reasoning, u->output);
    const uint64_t tokens[RATES] = {
        [RATE_INPUT] = u->input - read - written, [RATE_OUTPUT] = u->output - reasoning, [RATE_CACHE_READ] = read,
        [RATE_CACHE_WRITE] = written - hour,      [RATE_CACHE_WRITE_1H] = hour,          [RATE_REASONING] = reasoning,
    };
    unsigned __int128 sum = 0;
    for (int i = 0; i < RATES; i++) sum += (unsigned __int128)tokens[i] * (uint64_t)tier->rates[i];
    return sum < INT64_MAX ? (int64_t)sum : INT64_MAX;
}
