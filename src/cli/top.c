/* weir top: what a running gateway does right now, as a table that is drawn anew each second. It asks GET /api/live; a
 * gateway that does not answer is said to be gone, and asked again. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "admin_client.h"
#include "base/clock.h"
#include "cli/commands.h"
#include "cli/usage.h"
#include "terminal.h"
#include "top_table.h"

static const char help[] =
    "usage: weir top [--by LIST] [--window TIME] [--sort COLUMN] [--once] [--json] [--url URL]\n\n"
    "What each model does right now: requests a second, in flight, errors, time to first token (TTFT), time per "
    "output\n"
    "token (TPOT) and total as p50, p95 and p99, tokens a second, the prompt cache's share, cost, and what weir "
    "itself\n"
    "takes. A narrow screen shows fewer columns.\n\n"
    "  --by LIST      rows by these: tenant provider model workload (default provider,model)\n"
    "  --window TIME  over how long: 10s to 15m (default 60s)\n"
    "  --sort COLUMN  %s (default rps)\n"
    "  --once         print one table and exit; also when the output is no terminal\n"
    "  --json         print the numbers as JSON: one line each second, or one with --once\n"
    "  --url URL      the gateway's admin port; else WEIR_ADMIN_URL, else http://127.0.0.1:9347\n\n"
    "A token that the admin port wants is taken from WEIR_ADMIN_TOKEN.\n"
    "Keys: q quits; n r f e t p l k h c o sort by a column, the same once more or i inverts; w the next window, b the\n"
    "next grouping.\n\n"
    "examples:\n"
    "  weir top\n"
    "  weir top --by tenant --sort cost\n"
    "  weir top --once --json | jq '.rows[] | {model, p95: .ttft_ms.p95}'\n";

enum { ASK_MS = 3000, EVERY_MS = 1000, PRINTED_WIDTH = 160 };

static const char *const windows[] = {"10s", "60s", "5m", "15m"};
static const char *const groupings[] = {"provider,model", "tenant", "tenant,model", "workload", "provider"};
#define COUNT(array) (sizeof(array) / sizeof *(array))

struct top {
    struct admin_client client;
    const char *by, *window;
    unsigned next_by, next_window;
    bool once, json;
    struct top_view view;
    json_t *live; /* the last answer; NULL: none yet */
    char message[400];
};

/* ---- asking ---- */

/* A list of names as it stands in a query: all else is escaped. */
static void query_put(struct buf *out, const char *value) {
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789,._-";
    for (; *value != '\0'; value++)
        if (strchr(plain, *value) != NULL)
            buf_append(out, value, 1);
        else
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)*value);
}

static bool ask(struct top *t, struct buf *body) {
    struct buf target = {0};
    buf_append_text(&target, "/api/live?window=");
    query_put(&target, t->window);
    buf_append_text(&target, "&by=");
    query_put(&target, t->by);
    buf_append(&target, "", 1);
    bool good = admin_get(&t->client, target.data + target.start, ASK_MS, body, t->message, sizeof t->message);
    buf_clear(&target);
    return good;
}

static bool refresh(struct top *t) {
    struct buf body = {0};
    json_t *live = NULL;
    bool good = ask(t, &body);
    if (good) {
        live = document_parse(buf_slice(&body));
        good = json_is_array(json_object_get(live, "rows"));
        if (!good) snprintf(t->message, sizeof t->message, "%s: that is no answer of weir's", t->client.shown);
    }
    buf_clear(&body);
    if (good) {
        json_decref(t->live);
        t->live = live;
    } else {
        json_decref(live);
    }
    t->view.message = good ? NULL : t->message;
    return good;
}

/* ---- printing ---- */

/* What the gateway does not understand of the question, the command line has asked. */
static int exit_status(const struct top *t) {
    return t->client.status == 400 ? 2 : 1;
}

static int print_json(struct top *t) {
    for (;;) {
        struct buf body = {0};
        bool good = ask(t, &body);
        struct slice text = buf_slice(&body);
        if (good)
            good = fwrite(text.p, 1, text.n, stdout) == text.n && putchar('\n') != EOF && fflush(stdout) == 0;
        else
            fprintf(stderr, "weir top: %s\n", t->message);
        buf_clear(&body);
        if (!good || t->once) return good ? 0 : exit_status(t);
        usleep(EVERY_MS * 1000);
    }
}

static int print_table(struct top *t) {
    struct buf out = {0};
    unsigned height;
    if (!refresh(t)) {
        fprintf(stderr, "weir top: %s\n", t->message);
        return exit_status(t);
    }
    t->view.width = PRINTED_WIDTH;
    if (isatty(STDOUT_FILENO)) terminal_size(&t->view.width, &height);
    top_write(&out, t->live, &t->view);
    struct slice text = buf_slice(&out);
    bool good = fwrite(text.p, 1, text.n, stdout) == text.n && fflush(stdout) == 0;
    buf_clear(&out);
    return good ? 0 : 1;
}

/* ---- the screen ---- */

static void draw(struct top *t) {
    struct buf out = {0};
    terminal_size(&t->view.width, &t->view.height);
    buf_append_text(&out, "\x1b[H");
    if (t->live != NULL) {
        top_write(&out, t->live, &t->view);
    } else {
        buf_append_text(&out, "\x1b[J");
        buf_append_text(&out, t->message);
        buf_append_text(&out, "\r\n\r\nIt is asked again each second. q quits.");
    }
    struct slice text = buf_slice(&out);
    fwrite(text.p, 1, text.n, stdout);
    fflush(stdout);
    buf_clear(&out);
}

static void sort_by(struct top *t, unsigned column) {
    t->view.reversed = t->view.sort == column && !t->view.reversed;
    t->view.sort = column;
}

/* True: the numbers have to be asked for anew. */
static bool key_take(struct top *t, char key) {
    unsigned column = top_column_of_key(key);
    if (column < TOP_COLUMNS_MAX) sort_by(t, column);
    if (key == 'i') t->view.reversed = !t->view.reversed;
    if (key == 'w') t->window = windows[++t->next_window % COUNT(windows)];
    if (key == 'b') t->by = groupings[++t->next_by % COUNT(groupings)];
    return key == 'w' || key == 'b';
}

static void screen_run(struct top *t) {
    uint64_t due_ns = 0;
    for (;;) {
        char key = 0;
        uint64_t now = clock_now_ns();
        if (now >= due_ns) {
            refresh(t);
            due_ns = clock_now_ns() + EVERY_MS * NS_PER_MS;
        }
        draw(t);
        now = clock_now_ns();
        int left_ms = now < due_ns ? (int)((due_ns - now) / NS_PER_MS) + 1 : 0;
        enum terminal_event e = terminal_wait(left_ms, &key);
        if (e == TERMINAL_QUIT || (e == TERMINAL_KEY && (key == 'q' || key == 'Q'))) return;
        if (e == TERMINAL_KEY && key_take(t, key)) due_ns = 0;
    }
}

/* ---- the command ---- */

static const char **text_option(struct top *t, const char *name, const char **sort) {
    if (strcmp(name, "--by") == 0) return &t->by;
    if (strcmp(name, "--window") == 0) return &t->window;
    if (strcmp(name, "--url") == 0) return &t->client.url;
    return strcmp(name, "--sort") == 0 ? sort : NULL;
}

/* NULL, or the argument that it cannot be called with. */
static const char *options_read(int argc, char **argv, struct top *t) {
    const char *sort = "rps";
    for (int i = 1; i < argc; i++) {
        const char **text = text_option(t, argv[i], &sort);
        if (strcmp(argv[i], "--once") == 0)
            t->once = true;
        else if (strcmp(argv[i], "--json") == 0)
            t->json = true;
        else if (text != NULL && i + 1 < argc)
            *text = argv[++i];
        else
            return argv[i];
    }
    t->view.sort = top_column_of(sort);
    return t->view.sort < TOP_COLUMNS_MAX ? NULL : sort;
}

int cli_top(int argc, char **argv) {
    struct top t = {.by = groupings[0], .window = windows[1], .next_window = 1};
    char text[sizeof help + 512];
    snprintf(text, sizeof text, help, top_column_words());
    if (cli_help_asked(argc, argv)) {
        fputs(text, stdout);
        return 0;
    }
    const char *bad = options_read(argc, argv, &t);
    if (bad != NULL) {
        const char *wrong = t.view.sort == TOP_COLUMNS_MAX ? "there is no such column to sort by" : NULL;
        return cli_bad_usage("top", bad, wrong, text);
    }
    int status = 0;
    const char *no_colour = getenv("NO_COLOR");
    t.view.colour = isatty(STDOUT_FILENO) && (no_colour == NULL || no_colour[0] == '\0');
    if (t.json) {
        status = print_json(&t);
    } else if (t.once || !terminal_open()) {
        status = print_table(&t);
    } else {
        screen_run(&t);
        terminal_close();
    }
    json_decref(t.live);
    return status;
}
