/* The table of weir top. Columns are rows of one table; a narrow screen leaves out those of the highest rank first.
 * Names come from clients and configurations: what could move a terminal's cursor is shown as a question mark. */
#include "top_table.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/utf8.h"

enum kind { KIND_NAME, KIND_NUMBER, KIND_SHARE, KIND_ERRORS, KIND_USD, KIND_MS };

static const struct column {
    const char *word; /* for --sort; NULL: not to be sorted by */
    char key;
    const char *group, *head; /* two lines of heading */
    unsigned width, rank;
    enum kind kind;
    const char *member, *part;
} columns[] = {
    {"name", 'n', "", "", 0, 0, KIND_NAME, NULL, NULL},
    {"rps", 'r', "", "REQ/S", 8, 1, KIND_NUMBER, "rps", NULL},
    {"in_flight", 'f', "IN", "FLIGHT", 7, 2, KIND_NUMBER, "in_flight", NULL},
    {"errors", 'e', "", "ERR%", 6, 1, KIND_ERRORS, NULL, NULL},
    {NULL, 0, "TTFT ms", "p50", 9, 3, KIND_MS, "ttft_ms", "p50"},
    {"ttft", 't', "TTFT ms", "p95", 9, 1, KIND_MS, "ttft_ms", "p95"},
    {NULL, 0, "TTFT ms", "p99", 9, 5, KIND_MS, "ttft_ms", "p99"},
    {NULL, 0, "TPOT ms", "p50", 9, 4, KIND_MS, "tpot_ms", "p50"},
    {"tpot", 'p', "TPOT ms", "p95", 9, 2, KIND_MS, "tpot_ms", "p95"},
    {NULL, 0, "TPOT ms", "p99", 9, 5, KIND_MS, "tpot_ms", "p99"},
    {NULL, 0, "TOTAL ms", "p50", 9, 4, KIND_MS, "total_ms", "p50"},
    {"total", 'l', "TOTAL ms", "p95", 9, 1, KIND_MS, "total_ms", "p95"},
    {NULL, 0, "TOTAL ms", "p99", 9, 5, KIND_MS, "total_ms", "p99"},
    {"tokens", 'k', "OUT", "TOK/S", 8, 2, KIND_NUMBER, "output_tokens_per_s", NULL},
    {"cache", 'h', "PROMPT", "CACHE%", 7, 3, KIND_SHARE, "prompt_cache_share", NULL},
    {"cost", 'c', "", "$/H", 9, 2, KIND_USD, "usd_per_h", NULL},
    {"overhead", 'o', "OVERHD", "p95 ms", 8, 3, KIND_MS, "overhead_ms", "p95"},
};
enum { COLUMNS = sizeof columns / sizeof *columns, NAME_MIN = 16, NAME_MAX = 60, RANK_MAX = 5 };
_Static_assert((int)COLUMNS <= (int)TOP_COLUMNS_MAX, "room for every column");

unsigned top_column_of(const char *name) {
    for (unsigned i = 0; i < COLUMNS; i++)
        if (columns[i].word != NULL && strcmp(columns[i].word, name) == 0) return i;
    return TOP_COLUMNS_MAX;
}

unsigned top_column_of_key(char key) {
    for (unsigned i = 0; i < COLUMNS; i++)
        if (columns[i].key == key && key != 0) return i;
    return TOP_COLUMNS_MAX;
}

const char *top_column_words(void) {
    static char words[256];
    if (words[0] != '\0') return words;
    for (unsigned i = 0, n = 0; i < COLUMNS; i++)
        if (columns[i].word != NULL)
            n += (unsigned)snprintf(words + n, sizeof words - n, "%s%s", n > 0 ? " " : "", columns[i].word);
    return words;
}

/* ---- cells ---- */

static double value_of(const struct column *c, const json_t *row) {
    double requests = document_number(row, "requests", 0);
    switch (c->kind) {
    case KIND_NAME:
        return 0;
    case KIND_ERRORS:
        return requests > 0 ? 100 * document_number(row, "errors", 0) / requests : NAN;
    case KIND_SHARE:
        return 100 * document_number(row, c->member, NAN);
    case KIND_MS:
        return document_number(json_object_get(row, c->member), c->part, NAN);
    case KIND_NUMBER:
    case KIND_USD:
        break;
    }
    return document_number(row, c->member, NAN);
}

/* Three digits that matter, in at most seven characters. */
static void number_text(char *out, size_t bytes, double v, enum kind kind) {
    bool whole = v == floor(v) && v < 100000 && kind != KIND_USD;
    if (isnan(v))
        snprintf(out, bytes, "-");
    else if (v >= 1e9)
        snprintf(out, bytes, "%.3gG", v / 1e9);
    else if (v >= 1e6)
        snprintf(out, bytes, "%.4gM", v / 1e6);
    else if (v >= 100000)
        snprintf(out, bytes, "%.0fk", v / 1000);
    else if (whole)
        snprintf(out, bytes, "%.0f", v);
    else
        snprintf(out, bytes, "%.*f", kind == KIND_USD || v < 10 ? 2 : v < 1000 ? 1 : 0, v);
}

/* ---- names ---- */

/* One character that is safe on a terminal; returns how many bytes of `at` it was. */
static size_t char_put(struct buf *out, const char *at, size_t n) {
    const unsigned char *c = (const unsigned char *)at;
    size_t length = utf8_length(c, n);
    bool control = length == 0 || *c < 0x20 || *c == 0x7f || (length == 2 && c[0] == 0xc2 && c[1] < 0xa0);
    if (control)
        buf_append(out, "?", 1);
    else
        buf_append(out, at, length);
    return length == 0 ? 1 : length;
}

/* In exactly `width` places, cut with a tilde. */
static void text_put(struct buf *out, const char *text, unsigned width) {
    size_t n = strlen(text), at = 0;
    unsigned used = 0;
    while (at < n && used + 1 < width) at += char_put(out, text + at, n - at), used++;
    if (at < n) {
        size_t mark = out->end;
        at += char_put(out, text + at, n - at);
        if (at < n) {
            out->end = mark;
            buf_append(out, "~", 1);
        }
        used++;
    }
    while (used++ < width) buf_append(out, " ", 1);
}

static void name_of_row(const json_t *live, const json_t *row, char *out, size_t bytes) {
    const json_t *by = json_object_get(live, "by");
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(by) && n < bytes; i++) {
        const char *value = document_text(row, json_string_value(json_array_get(by, i)), "-");
        n += (size_t)snprintf(out + n, bytes - n, "%s%s", i > 0 ? " " : "", value);
    }
    if (n == 0) snprintf(out, bytes, "all");
}

/* ---- order ---- */

struct line {
    const json_t *row;
    char name[200];
    double value;
};

static const struct top_view *sorting; /* qsort() takes no context */

static int lines_compare(const void *a, const void *b) {
    const struct line *left = a, *right = b;
    int order = 0;
    if (sorting->sort != 0) {
        double l = isnan(left->value) ? -1 : left->value, r = isnan(right->value) ? -1 : right->value;
        order = (l < r) - (l > r);
    }
    if (order == 0) order = strcmp(left->name, right->name);
    return sorting->reversed ? -order : order;
}

static struct line *lines_make(const json_t *live, const struct top_view *v, size_t *count) {
    const json_t *rows = json_object_get(live, "rows");
    *count = json_array_size(rows);
    struct line *lines = mem_zalloc((*count + 1) * sizeof *lines);
    for (size_t i = 0; i < *count; i++) {
        lines[i].row = json_array_get(rows, i);
        name_of_row(live, lines[i].row, lines[i].name, sizeof lines[i].name);
        lines[i].value = value_of(&columns[v->sort], lines[i].row);
    }
    sorting = v;
    if (*count > 1) qsort(lines, *count, sizeof *lines, lines_compare);
    return lines;
}

/* ---- the screen ---- */

struct screen {
    struct buf *out;
    const struct top_view *view;
    unsigned rank_max, columns_end, name_width, left; /* left: lines that still fit */
};

static unsigned width_of(unsigned rank) {
    unsigned width = 0;
    for (unsigned i = 1; i < COLUMNS; i++)
        if (columns[i].rank <= rank) width += columns[i].width;
    return width;
}

static bool is_shown(const struct screen *s, unsigned column) {
    return columns[column].rank <= s->rank_max && column < s->columns_end;
}

/* The name gets what is left over; where not even the first columns fit beside one character of it, fewer are shown. */
static void screen_fit(struct screen *s) {
    unsigned used = 0, width = s->view->width;
    s->rank_max = RANK_MAX;
    s->columns_end = COLUMNS;
    while (s->rank_max > 1 && width_of(s->rank_max) + NAME_MIN > width) s->rank_max--;
    for (unsigned i = 1; i < s->columns_end; i++) {
        if (!is_shown(s, i)) continue;
        if (used + columns[i].width >= width)
            s->columns_end = i;
        else
            used += columns[i].width;
    }
    s->name_width = width - used > NAME_MAX ? NAME_MAX : width - used;
}

/* The last line of a screen is the footer's. */
static bool has_room(const struct screen *s) {
    return s->view->height == 0 || s->left > 1;
}

static void style(struct screen *s, const char *code) {
    if (s->view->colour) buf_append_text(s->out, code);
}

#define BOLD "\x1b[1m"
#define REVERSE "\x1b[7m"
#define RED "\x1b[31m"
#define PLAIN "\x1b[0m"

static void line_end(struct screen *s) {
    if (s->view->height > 0) buf_append_text(s->out, "\x1b[K\r");
    buf_append(s->out, "\n", 1);
    if (s->left > 0) s->left--;
}

/* One that begins the line below; cut to the width. */
static void text_line(struct screen *s, const char *text, const char *code) {
    size_t n = strlen(text), at = 0;
    if (!has_room(s)) return;
    style(s, code);
    for (unsigned used = 0; at < n && used < s->view->width; used++) at += char_put(s->out, text + at, n - at);
    style(s, PLAIN);
    line_end(s);
}

static void headings_put(struct screen *s, bool group) {
    if (!has_room(s)) return;
    text_put(s->out, "", s->name_width);
    for (unsigned i = 1; i < COLUMNS; i++) {
        if (!is_shown(s, i)) continue;
        bool sorted = !group && i == s->view->sort;
        const char *text = group ? columns[i].group : columns[i].head;
        buf_printf(s->out, "%*s", (int)(columns[i].width - strlen(text)), "");
        style(s, sorted ? REVERSE : BOLD);
        buf_append_text(s->out, text);
        style(s, PLAIN);
    }
    line_end(s);
}

static void row_put(struct screen *s, const char *name, const json_t *row) {
    char text[32];
    if (!has_room(s)) return;
    text_put(s->out, name, s->name_width);
    for (unsigned i = 1; i < COLUMNS; i++) {
        if (!is_shown(s, i)) continue;
        double v = value_of(&columns[i], row);
        bool alarming = columns[i].kind == KIND_ERRORS && v >= 1;
        number_text(text, sizeof text, v, columns[i].kind);
        if (alarming) style(s, RED);
        buf_printf(s->out, "%*s", (int)columns[i].width, text);
        if (alarming) style(s, PLAIN);
    }
    line_end(s);
}

static void names_join(const json_t *list, char *out, size_t bytes) {
    size_t n = 0;
    out[0] = '\0';
    for (size_t i = 0; i < json_array_size(list) && n < bytes; i++)
        n += (size_t)snprintf(out + n, bytes - n, "%s%s", i > 0 ? "," : "", json_string_value(json_array_get(list, i)));
}

static void title_put(struct screen *s, const json_t *live) {
    char by[80], replicas[160], missing[160], line[600], clock[16];
    names_join(json_object_get(live, "by"), by, sizeof by);
    names_join(json_object_get(live, "replicas"), replicas, sizeof replicas);
    names_join(json_object_get(live, "missing_replicas"), missing, sizeof missing);
    const char *time = document_text(live, "time", "");
    snprintf(clock, sizeof clock, "%.8s", strlen(time) > 19 ? time + 11 : "");
    snprintf(line, sizeof line, "weir top  %s (%s)%s%s  %s UTC  last %.0f s  by %s", replicas,
             document_text(live, "scope", "?"), missing[0] != '\0' ? "  MISSING " : "", missing, clock,
             document_number(live, "window_s", 0), by[0] != '\0' ? by : "nothing");
    text_line(s, line, BOLD);
}

static void summary_put(struct screen *s, const json_t *live) {
    const json_t *total = json_object_get(live, "total"), *dropped = json_object_get(live, "dropped");
    const json_t *lag = json_object_get(live, "loop_lag_ms");
    char line[400];
    bool redis_down = json_is_false(json_object_get(live, "redis_up"));
    snprintf(
        line, sizeof line,
        "%.1f req/s  %.0f in flight  %.0f queued  %.0f errors  %.0f refused  %.0f left  $%.2f/h  loop lag p99 %.2f ms  "
        "dropped %.0f records, %.0f spans%s",
        document_number(total, "rps", 0), document_number(total, "in_flight", 0), document_number(total, "queued", 0),
        document_number(total, "errors", 0), document_number(total, "refused", 0),
        document_number(total, "abandoned", 0), document_number(total, "usd_per_h", 0), document_number(lag, "p99", 0),
        document_number(dropped, "records", 0), document_number(dropped, "spans", 0),
        redis_down ? "  REDIS IS DOWN" : "");
    text_line(s, line, "");
}

static void rows_put(struct screen *s, const json_t *live) {
    size_t count, shown = 0;
    struct line *lines = lines_make(live, s->view, &count);
    const json_t *other = json_object_get(live, "other");
    unsigned kept = 2 + json_is_object(other); /* lines that stand below */
    for (; shown < count && (s->view->height == 0 || s->left > kept); shown++)
        row_put(s, lines[shown].name, lines[shown].row);
    mem_free(lines);
    if (json_is_object(other)) row_put(s, "_other", other);
    char name[64];
    snprintf(name, sizeof name, shown < count ? "TOTAL (%zu more)" : "TOTAL", count - shown);
    style(s, BOLD);
    row_put(s, name, json_object_get(live, "total"));
    style(s, PLAIN);
}

void top_write(struct buf *out, const json_t *live, const struct top_view *view) {
    struct screen s = {.out = out, .view = view, .left = view->height};
    screen_fit(&s);
    title_put(&s, live);
    summary_put(&s, live);
    headings_put(&s, true);
    headings_put(&s, false);
    rows_put(&s, live);
    if (view->height == 0) return;
    buf_append_text(out, "\x1b[J");
    while (s.left > 1) line_end(&s);
    style(&s, view->message != NULL ? REVERSE : "");
    text_put(out,
             view->message != NULL ? view->message : "q quit  sort: n r f e t p l k h c o  i invert  w window  b by",
             view->width);
    style(&s, PLAIN);
}
