/* The grammar, conf/weir.yaml and docs/configuration.md say the same. Runs in the project's root. */
#include "loading.h"

#include "grammar.h"
#include "units.h"

static struct buf file_text(const char *path) {
    struct buf out = {0};
    FILE *f = fopen(path, "r");
    if (f == NULL) fail_msg("%s is not there", path);
    size_t n;
    while ((n = fread(buf_reserve(&out, 4096), 1, 4096, f)) > 0) buf_commit(&out, n);
    fclose(f);
    return out;
}

/* `#` and a key is an example, `# ` and a text is a comment: takes the `#` from the former. */
static struct buf examples_uncommented(struct slice text) {
    struct buf out = {0};
    struct slice line;
    while (slice_cut(&text, '\n', &line)) {
        bool comment = line.n >= 2 && line.p[0] == '#' && line.p[1] == ' ' && (line.n == 2 || line.p[2] != ' ');
        bool example = line.n >= 2 && line.p[0] == '#' && !comment;
        buf_append(&out, line.p + example, line.n - example);
        buf_append_text(&out, "\n");
    }
    return out;
}

/* Whether a printed path (`tenants.acme.keys[0].name`) is one of the row's (`tenants.NAME.keys[].name`). */
static bool path_is_of(struct slice path, const char *row, bool with_name_behind) {
    struct slice rest = slice_of(row), want, have;
    while (slice_cut(&rest, '.', &want)) {
        if (!slice_cut(&path, '.', &have)) return false;
        const char *bracket = memchr(have.p, '[', have.n);
        size_t name = bracket ? (size_t)(bracket - have.p) : have.n;
        bool list = want.n > 2 && memcmp(want.p + want.n - 2, "[]", 2) == 0;
        if (list != (bracket != NULL)) return false;
        struct slice bare = {want.p, want.n - (list ? 2 : 0)};
        if (!slice_equal(want, SLICE("NAME")) && !slice_equal((struct slice){have.p, name}, bare)) return false;
    }
    return with_name_behind ? slice_cut(&path, '.', &have) && path.p == NULL : path.p == NULL;
}

/* The value that the file gives for a row, as printed; NULL slice when none of its lines is from a file. */
static struct slice value_of(const char *printed, const struct key *k) {
    struct slice rest = slice_of(printed), line;
    while (slice_cut(&rest, '\n', &line)) {
        const char *colon = memmem(line.p, line.n, ": ", 2), *origin = memmem(line.p, line.n, "  # ", 4);
        if (colon == NULL || origin == NULL || strncmp(origin, "  # default", 11) == 0) continue;
        if (path_is_of((struct slice){line.p, (size_t)(colon - line.p)}, k->path, k->type == KEY_PAIRS))
            return (struct slice){colon + 2, (size_t)(origin - colon) - 2};
    }
    return (struct slice){0};
}

static bool has_value(const struct key *k) {
    return k->type != KEY_SECTION && k->type != KEY_LIST && k->type != KEY_NAMED && k->type != KEY_INCLUDE;
}

static void the_example_is_what_an_empty_file_means(void **state) {
    (void)state;
    struct loading l = load_file("conf/weir.yaml"), none = load("");
    assert_non_null(l.config);
    assert_string_equal(l.messages, "");
    struct slice a = slice_of(l.printed), b = slice_of(none.printed), line_a, line_b;
    while (slice_cut(&a, '\n', &line_a) && slice_cut(&b, '\n', &line_b)) {
        const char *origin_a = memmem(line_a.p, line_a.n, "  # ", 4), *origin_b = memmem(line_b.p, line_b.n, "  # ", 4);
        if (origin_a == NULL) break; /* the end */
        if (strncmp(origin_a, "  # default", 11) == 0) continue;
        size_t n = (size_t)(origin_a - line_a.p);
        assert_non_null(origin_b);
        if (n != (size_t)(origin_b - line_b.p) || memcmp(line_a.p, line_b.p, n) != 0)
            fail_msg("%.*s is not the default", (int)line_a.n, line_a.p);
    }
    loading_end(&l);
    loading_end(&none);
}

static void the_example_has_every_key_and_its_default(void **state) {
    (void)state;
    static const char *const variables[] = {"OPENAI_API_KEY", "ANTHROPIC_API_KEY", "PHOENIX_API_KEY"};
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++) setenv(variables[i], "k", 1);
    setenv("REDIS_URL", "rediss://u:p@127.0.0.1", 1);
    setenv("WEIR_ADMIN_TOKEN", "0123456789abcdef", 1);
    struct buf written = file_text("conf/weir.yaml"), all = examples_uncommented(buf_slice(&written));
    struct slice include = SLICE("include: [\"conf.d/*.yaml\"]\n");
    char *at = memmem(all.data, all.end, include.p, include.n);
    assert_non_null(at); /* a text in memory cannot include: read everything before it */
    struct loading l = load_slice((struct slice){all.data, (size_t)(at - all.data)});
    if (l.config == NULL) fail_msg("%s", l.messages);
    for (size_t i = 0; i < grammar_count; i++) {
        const struct key *k = &grammar[i];
        if (!has_value(k)) continue;
        struct slice value = value_of(l.printed, k);
        if (value.p == NULL) fail_msg("conf/weir.yaml does not show %s", k->path);
        bool list = k->type == KEY_TEXTS; /* a list's default is written with spaces in the table */
        if (k->fallback != NULL && !list && !slice_equal(value, slice_of(k->fallback)))
            fail_msg("conf/weir.yaml shows %s: %.*s, and the default is %s", k->path, (int)value.n, value.p,
                     k->fallback);
    }
    struct slice rest = slice_of(l.messages), line;
    while (slice_cut(&rest, '\n', &line))
        if (line.n > 0 && memmem(line.p, line.n, "is not built yet", 16) == NULL) fail_msg("%.*s", (int)line.n, line.p);
    loading_end(&l);
    buf_clear(&written);
    buf_clear(&all);
}

/* The line of the documentation's tables that begins with this key. */
static struct slice row_of(struct slice document, const char *path) {
    char begin[128];
    struct slice line;
    int n = snprintf(begin, sizeof begin, "| `%s` |", path);
    while (slice_cut(&document, '\n', &line))
        if (slice_starts(line, (struct slice){begin, (size_t)n})) return line;
    return (struct slice){0};
}

static bool row_says(struct slice row, const char *text) {
    return memmem(row.p, row.n, text, strlen(text)) != NULL;
}

static void the_documentation_has_every_key_and_its_default(void **state) {
    (void)state;
    struct buf text = file_text("docs/configuration.md");
    for (size_t i = 0; i < grammar_count; i++) {
        const struct key *k = &grammar[i];
        struct slice row = row_of(buf_slice(&text), k->path);
        char fallback[128];
        if (row.p == NULL) fail_msg("docs/configuration.md does not tell of %s", k->path);
        snprintf(fallback, sizeof fallback, "| `%s` |", k->fallback ? k->fallback : "");
        if (k->fallback != NULL && !row_says(row, fallback)) fail_msg("%s: its default is %s", k->path, k->fallback);
        if ((k->flags & KEY_REQUIRED) && !row_says(row, "| required |")) fail_msg("%s is required", k->path);
        bool says_not_built = row_says(row, "**not built yet**");
        if (k->flags & KEY_NOT_BUILT && !says_not_built) fail_msg("%s is not built yet", k->path);
        if (!(k->flags & KEY_NOT_BUILT) && says_not_built) fail_msg("%s is built", k->path);
    }
    buf_clear(&text);
}

static void the_documentation_has_no_key_that_is_none(void **state) {
    (void)state;
    struct buf text = file_text("docs/configuration.md");
    struct slice rest = buf_slice(&text), line;
    while (slice_cut(&rest, '\n', &line)) {
        const char *end = line.n > 3 ? memmem(line.p + 3, line.n - 3, "` |", 3) : NULL;
        if (!slice_starts(line, SLICE("| `")) || end == NULL) continue;
        struct slice path = {line.p + 3, (size_t)(end - line.p) - 3};
        bool known = memchr(path.p, ' ', path.n) != NULL; /* the table of units */
        for (size_t i = 0; i < grammar_count && !known; i++) known = slice_equal(path, slice_of(grammar[i].path));
        bool unit = slice_equal(path, SLICE("1KiB/s"));
        if (!known && !unit) fail_msg("docs/configuration.md tells of %.*s", (int)path.n, path.p);
    }
    buf_clear(&text);
}

static void every_row_says_what_happens_without_it(void **state) {
    (void)state;
    for (size_t i = 0; i < grammar_count; i++) {
        const struct key *k = &grammar[i];
        if (k->type == KEY_SECTION || (k->flags & KEY_REQUIRED)) continue;
        if ((k->fallback == NULL) == (k->unset == NULL)) fail_msg("%s needs a default or the words for none", k->path);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_is_what_an_empty_file_means),
        cmocka_unit_test(the_example_has_every_key_and_its_default),
        cmocka_unit_test(the_documentation_has_every_key_and_its_default),
        cmocka_unit_test(the_documentation_has_no_key_that_is_none),
        cmocka_unit_test(every_row_says_what_happens_without_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
