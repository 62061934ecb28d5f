/* Reading scenarios: lines, names and times; what the words after the actor mean is play.c's business. */
#include "script.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/mem.h"

enum { LETS_MAX = 128 };

struct reader {
    const char *path;
    unsigned line;
    struct script *script;
    struct scenario *now;
    uint64_t at_ns;
    struct {
        struct slice name, text;
    } lets[LETS_MAX];
    size_t let_count;
};

static void complain(const struct reader *r, const char *what) {
    fprintf(stderr, "%s:%u: %s\n", r->path, r->line, what);
    exit(2);
}

static char *dup_slice(struct slice s) {
    return mem_strndup(s.p, s.n);
}

static struct slice word(struct slice *rest) {
    struct slice s = slice_trim(*rest);
    size_t n = 0;
    while (n < s.n && s.p[n] != ' ') n++;
    *rest = slice_trim((struct slice){s.p + n, s.n - n});
    return (struct slice){s.p, n};
}

bool time_read(const char *text, size_t n, uint64_t *ns) {
    static const struct {
        const char *unit;
        uint64_t ns;
    } units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}, {"", 0}};
    uint64_t whole = 0, fraction = 0, place = 1;
    size_t i = 0;
    for (; i < n && text[i] >= '0' && text[i] <= '9'; i++) whole = whole * 10 + (uint64_t)(text[i] - '0');
    if (i == 0) return false;
    if (i < n && text[i] == '.')
        for (i++; i < n && text[i] >= '0' && text[i] <= '9'; i++, place *= 10)
            fraction = fraction * 10 + (uint64_t)(text[i] - '0');
    for (size_t u = 0; u < sizeof units / sizeof *units; u++) {
        if (!slice_equal((struct slice){text + i, n - i}, slice_of(units[u].unit))) continue;
        *ns = whole * units[u].ns + fraction * units[u].ns / place;
        return units[u].ns != 0 || whole == 0;
    }
    return false;
}

static bool is_name(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
}

/* Replaces $name, also in what it stands for. */
static void expand(const struct reader *r, struct slice s, struct buf *out) {
    for (size_t i = 0; i < s.n; i++) {
        size_t n = 0;
        while (s.p[i] == '$' && i + 1 + n < s.n && is_name(s.p[i + 1 + n])) n++;
        if (n == 0) {
            buf_append(out, s.p + i, 1);
            continue;
        }
        struct slice name = {s.p + i + 1, n};
        size_t at = 0;
        while (at < r->let_count && !slice_equal(r->lets[at].name, name)) at++;
        if (at == r->let_count) complain(r, "an unknown $ name");
        expand(r, r->lets[at].text, out);
        i += n;
    }
}

static void let_add(struct reader *r, struct slice rest) {
    if (r->let_count == LETS_MAX) complain(r, "too many names");
    struct slice name = word(&rest);
    r->lets[r->let_count].name = (struct slice){dup_slice(name), name.n};
    r->lets[r->let_count++].text = (struct slice){dup_slice(rest), rest.n};
}

static void scenario_begin(struct reader *r, struct slice name) {
    r->script->items = realloc(r->script->items, (r->script->count + 1) * sizeof *r->now);
    r->now = &r->script->items[r->script->count++];
    *r->now = (struct scenario){.file = r->path, .line = r->line, .name = dup_slice(name)};
    r->at_ns = 0;
}

/* `with provider KEY: VALUE` is a line of every provider, `with KEY: VALUE` one of the whole configuration. */
static void setting_add(struct reader *r, struct slice rest) {
    bool provider = slice_starts(rest, SLICE("provider "));
    char **into = provider ? &r->now->provider_settings : &r->now->settings;
    struct buf text = {0}, line = {0};
    if (provider) word(&rest);
    expand(r, rest, &line);
    buf_append_text(&text, *into != NULL ? *into : "");
    buf_printf(&text, "%s%.*s\n", provider ? "    " : "", (int)buf_length(&line), line.data);
    mem_free(*into);
    *into = dup_slice(buf_slice(&text));
    buf_clear(&text);
    buf_clear(&line);
}

static enum actor actor_read(const struct reader *r, struct slice name, unsigned *number) {
    static const char *const actors[] = {"client", "provider", "network", "worker", "record"};
    *number = 0;
    if (name.n > 1 && name.p[name.n - 1] >= '1' && name.p[name.n - 1] <= '9')
        *number = (unsigned)(name.p[--name.n] - '1');
    for (unsigned i = 0; i < sizeof actors / sizeof *actors; i++)
        if (slice_equal(name, slice_of(actors[i]))) return (enum actor)i;
    complain(r, "who is that?");
    return ACTOR_CLIENT;
}

static void step_add(struct reader *r, struct slice time, struct slice rest) {
    struct step step = {.line = r->line};
    bool relative = time.n > 0 && time.p[0] == '+';
    uint64_t ns;
    if (!time_read(time.p + relative, time.n - relative, &ns)) complain(r, "a line begins with a time");
    r->at_ns = relative ? r->at_ns + ns : ns;
    if (r->now->step_count > 0 && r->at_ns < r->now->steps[r->now->step_count - 1].at_ns) complain(r, "time runs back");
    step.at_ns = r->at_ns;
    step.actor = actor_read(r, word(&rest), &step.number);
    struct buf text = {0};
    expand(r, rest, &text);
    step.text = mem_strndup(text.data != NULL ? text.data : "", buf_length(&text));
    buf_clear(&text);
    r->now->steps = realloc(r->now->steps, (r->now->step_count + 1) * sizeof step);
    r->now->steps[r->now->step_count++] = step;
}

static void line_read(struct reader *r, struct slice line) {
    struct slice rest = slice_trim(line);
    if (rest.n == 0 || rest.p[0] == '#') return;
    struct slice first = word(&rest);
    if (slice_equal(first, SLICE("let"))) {
        let_add(r, rest);
    } else if (slice_equal(first, SLICE("scenario"))) {
        scenario_begin(r, rest);
    } else if (r->now == NULL) {
        complain(r, "no scenario has begun");
    } else if (slice_equal(first, SLICE("with"))) {
        setting_add(r, rest);
    } else if (slice_equal(first, SLICE("uncut"))) {
        r->now->whole_only = true;
    } else {
        step_add(r, first, rest);
    }
}

/* A line that ends with a backslash goes on in the next. */
static void lines_read(struct reader *r, struct slice text) {
    struct buf joined = {0};
    struct slice line;
    while (slice_cut(&text, '\n', &line)) {
        r->line++;
        bool goes_on = line.n > 0 && line.p[line.n - 1] == '\\';
        struct slice part = slice_trim((struct slice){line.p, line.n - goes_on});
        buf_append_slice(&joined, part);
        if (goes_on) {
            buf_append(&joined, " ", 1);
            continue;
        }
        line_read(r, buf_slice(&joined));
        buf_clear(&joined);
    }
    buf_clear(&joined);
}

void script_load(struct script *s, const char *path) {
    struct reader r = {.path = path, .script = s};
    struct buf text = {0};
    FILE *f = fopen(path, "r");
    if (f == NULL) complain(&r, "cannot be opened");
    for (size_t n = 1; n > 0; buf_commit(&text, n)) n = fread(buf_reserve(&text, 4096), 1, 4096, f);
    fclose(f);
    lines_read(&r, buf_slice(&text));
    buf_clear(&text);
    for (size_t i = 0; i < r.let_count; i++) {
        mem_free((void *)(uintptr_t)r.lets[i].name.p);
        mem_free((void *)(uintptr_t)r.lets[i].text.p);
    }
}

void script_clear(struct script *s) {
    for (size_t i = 0; i < s->count; i++) {
        struct scenario *x = &s->items[i];
        for (size_t k = 0; k < x->step_count; k++) mem_free(x->steps[k].text);
        free(x->steps);
        mem_free(x->name);
        mem_free(x->settings);
        mem_free(x->provider_settings);
    }
    free(s->items);
}
