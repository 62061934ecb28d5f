/* src/cli/mock.c: `weir mock`: runs the mock provider until it is told to stop. Every knob is a flag; the flags come
 * from the knobs' own table. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/commands.h"
#include "mock/mock.h"

#define ADDRESS_MAX 256

static const char intro[] =
    "usage: weir mock [--listen ADDRESS] [--NAME VALUE]...\n"
    "\n"
    "A provider that speaks the OpenAI, Anthropic and Gemini dialects, for demos, tests and benches.\n"
    "\n"
    "  --listen HOST:PORT       where to listen (127.0.0.1:9355; port 0 takes a free one); the address is printed\n"
    "  --key KEY                the only key taken (any)\n"
    "  --tls-certificate FILE   with --tls-key FILE: speak TLS\n"
    "  --seconds N              stop after so long\n"
    "\n"
    "Knobs. Each is a flag here, a header on a request (x-mock-gap-ms: 20), and a name in the query\n"
    "(?mock=gap_ms:20,tokens:100):\n";
static const char examples[] =
    "\n"
    "Statistics: GET /mock/stats.\n"
    "\n"
    "examples:\n"
    "  weir mock --ttft-ms 300 --gap-ms 20 --tokens 200\n"
    "  weir mock --listen 127.0.0.1:0 --error 429 --retry-after 3\n"
    "  curl http://127.0.0.1:9355/v1/chat/completions -H 'authorization: Bearer any' -H 'x-mock-fault: reset' \\\n"
    "       -d "
    "'{\"model\":\"gpt-4o-mini\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"hello\"}]}'\n";

static void print_help(void) {
    fputs(intro, stdout);
    for (int i = 0; i < MOCK_KNOB_COUNT; i++) {
        const struct mock_knob_row *row = mock_knob_row((enum mock_knob)i);
        char name[32];
        snprintf(name, sizeof name, "--%s", row->name);
        for (char *c = name; *c; c++)
            if (*c == '_') *c = '-';
        printf("  %-22s %s", name, row->help);
        if (row->choices)
            printf(" (%s)\n", row->choices);
        else
            printf(" (%llu)\n", (unsigned long long)row->initial);
    }
    fputs(examples, stdout);
}

struct plan {
    struct mock_options options;
    char host[ADDRESS_MAX];
    unsigned long seconds; /* 0: until a signal */
};

static bool take_listen(struct plan *p, const char *value) {
    const char *colon = strrchr(value, ':');
    if (!colon || colon == value || !colon[1] || (size_t)(colon - value) >= sizeof p->host) return false;
    bool bracketed = value[0] == '[' && colon[-1] == ']';
    snprintf(p->host, sizeof p->host, "%.*s", (int)(colon - value) - 2 * bracketed, value + bracketed);
    p->options.host = p->host;
    p->options.port = colon + 1;
    return true;
}

static bool take_flag(struct plan *p, const char *name, const char *value) {
    struct mock_options *o = &p->options;
    if (strcmp(name, "listen") == 0) return take_listen(p, value);
    if (strcmp(name, "key") == 0)
        o->key = value;
    else if (strcmp(name, "tls-certificate") == 0)
        o->certificate_file = value;
    else if (strcmp(name, "tls-key") == 0)
        o->key_file = value;
    else if (strcmp(name, "seconds") == 0) {
        char *end;
        p->seconds = strtoul(value, &end, 10);
        return *value && !*end;
    } else
        return mock_knob_set(&o->knobs, slice_of(name), slice_of(value));
    return true;
}

/* Returns -1 to go on, or what to exit with. */
static int take_flags(struct plan *p, int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0) {
            print_help();
            return 0;
        }
        char name[64];
        const char *equals = strchr(argv[i], '=');
        const char *value = equals ? equals + 1 : i + 1 < argc ? argv[i + 1] : NULL;
        size_t n = equals ? (size_t)(equals - argv[i]) : strlen(argv[i]);
        bool flag = strncmp(argv[i], "--", 2) == 0 && n > 2 && n - 2 < sizeof name;
        if (flag) snprintf(name, sizeof name, "%.*s", (int)(n - 2), argv[i] + 2);
        if (!flag || !value || !take_flag(p, name, value)) {
            fprintf(stderr, "weir mock: %s: unknown, or its value is missing or wrong (see weir mock --help)\n",
                    argv[i]);
            return 2;
        }
        i += !equals;
    }
    return -1;
}

int cli_mock(int argc, char **argv) {
    struct plan plan = {.options = {.host = "127.0.0.1", .port = "9355"}};
    mock_knobs_init(&plan.options.knobs);
    int over = take_flags(&plan, argc, argv);
    if (over >= 0) return over;
    if (!plan.options.certificate_file != !plan.options.key_file) {
        fputs("weir mock: --tls-certificate and --tls-key belong together\n", stderr);
        return 2;
    }
    sigset_t ending;
    sigemptyset(&ending);
    sigaddset(&ending, SIGTERM);
    sigaddset(&ending, SIGINT);
    sigprocmask(SIG_BLOCK, &ending, NULL);
    signal(SIGPIPE, SIG_IGN);
    char error[256] = "";
    struct mock *m = mock_start(&plan.options, error, sizeof error);
    if (!m) {
        fprintf(stderr, "weir mock: --listen: %s\n", error);
        return 1;
    }
    bool six = strchr(plan.options.host, ':') != NULL;
    printf("listening on %s://%s%s%s:%u\n", plan.options.key_file ? "https" : "http", six ? "[" : "", plan.options.host,
           six ? "]" : "", mock_port(m));
    fflush(stdout);
    if (plan.seconds) {
        struct timespec most = {.tv_sec = (time_t)plan.seconds};
        while (sigtimedwait(&ending, NULL, &most) < 0 && errno == EINTR) {
        }
    } else {
        while (sigwaitinfo(&ending, NULL) < 0 && errno == EINTR) {
        }
    }
    mock_stop(m);
    return 0;
}
