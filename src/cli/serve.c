/* weir serve: reads the configuration and runs the gateway; --demo makes one up around an in-process mock provider. */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/keys.h"
#include "cli/commands.h"
#include "cli/usage.h"
#include "crypto/random.h"
#include "mock/mock.h"
#include "runtime/gateway.h"

static const char help[] =
    "usage: weir serve [-c FILE] [--pid-file FILE]\n"
    "       weir serve --demo\n\n"
    "Runs the gateway until SIGTERM. Without -c the configuration is ./weir.yaml, else /etc/weir/weir.yaml.\n\n"
    "  -c, --config FILE  the configuration\n"
    "  --pid-file FILE    holds the id of the process that serves, also after an upgrade\n"
    "  --demo             no file needed: a mock provider in this process, one tenant whose key is printed,\n"
    "                     everything on loopback\n\n"
    "signals: SIGTERM, SIGINT drain and stop (a second one at once); SIGHUP loads the\n"
    "configuration again; SIGUSR1 reopens the access log; SIGUSR2 starts the program anew, which takes over\n\n"
    "examples:\n"
    "  weir serve --demo\n"
    "  weir serve -c /etc/weir/weir.yaml\n";

static int serve_config(struct config *config, struct gateway_options *o, struct conf_errors *errors) {
    struct buf text = {0};
    conf_errors_write(errors, &text);
    if (buf_length(&text) > 0) fwrite(text.data, 1, buf_length(&text), stderr);
    buf_clear(&text);
    conf_errors_clear(errors);
    if (config == NULL) return 1;
    o->config = config;
    return gateway_run(o);
}

static int serve_file(struct gateway_options *o) {
    struct conf_errors errors = {0};
    if (o->path == NULL) o->path = config_default_path();
    if (o->path == NULL) {
        fputs(
            "weir serve: no configuration: there is neither ./weir.yaml nor /etc/weir/weir.yaml; name one with -c, or "
            "try --demo\n",
            stderr);
        return 1;
    }
    return serve_config(config_load(o->path, &errors, NULL), o, &errors);
}

/* ---- the demo ---- */

struct demo {
    unsigned short data_port, admin_port; /* to be asked for: 0 lets the kernel choose */
    char key[KEY_TEXT_BYTES];
};

/* The usual port, or 0 when somebody has that one: a first look should not fail because of it. */
static unsigned short port_or_any(unsigned short usual) {
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(usual), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return usual;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){1}, sizeof(int));
    bool taken = bind(fd, (const struct sockaddr *)&at, sizeof at) != 0 && errno == EADDRINUSE;
    close(fd);
    return taken ? 0 : usual;
}

static void demo_config_write(struct buf *out, const struct demo *d, unsigned short mock_port, const char *mock_key,
                              const char *digest) {
    static const struct {
        const char *name, *dialect, *path, *models;
    } providers[] = {{"openai", "openai", "/v1", "\"gpt-*\", \"o*\", \"text-embedding-*\""},
                     {"anthropic", "anthropic", "", "\"claude-*\""},
                     {"gemini", "gemini", "", "\"gemini-*\""}};
    buf_printf(out, "listen: [{address: \"127.0.0.1:%u\"}]\nadmin: {address: \"127.0.0.1:%u\"}\nproviders:\n",
               d->data_port, d->admin_port);
    for (size_t i = 0; i < sizeof providers / sizeof providers[0]; i++)
        buf_printf(out, "  %s: {dialect: %s, base_url: \"http://127.0.0.1:%u%s\", api_key: \"%s\", models: [%s]}\n",
                   providers[i].name, providers[i].dialect, mock_port, providers[i].path, mock_key,
                   providers[i].models);
    buf_append_text(out, "models:\n  fast: {targets: [{provider: openai, model: gpt-4o-mini}]}\n");
    buf_printf(out, "tenants: {demo: {keys: [{name: demo, sha256: \"%s\"}]}}\nlog: {access: stdout}\n", digest);
}

static void demo_started(void *context, unsigned short data_port, unsigned short admin_port) {
    const struct demo *d = context;
    fprintf(
        stderr,
        "\n  weir is listening on http://127.0.0.1:%u with a mock provider behind it.\n\n"
        "  Stream an answer:\n\n"
        "    curl -N http://127.0.0.1:%u/v1/chat/completions -H 'authorization: Bearer %s' \\\n"
        "      -H 'content-type: application/json' \\\n"
        "      -d '{\"model\":\"fast\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n\n"
        "  Each request leaves one line of JSON here. Metrics: http://127.0.0.1:%u/metrics. Stop with Ctrl-C.\n"
        "  Models: fast and gpt-* with OpenAI's SDK, claude-* with Anthropic's, gemini-* with Google's.\n\n",
        data_port, data_port, d->key, admin_port);
}

static int serve_demo(void) {
    struct demo d = {port_or_any(8080), port_or_any(9347), ""};
    char mock_key[KEY_TEXT_BYTES], digest[2 * DIGEST_BYTES + 1], message[256];
    key_make(d.key);
    key_make(mock_key);
    key_digest_text(slice_of(d.key), digest);
    struct mock_options o = {.host = "127.0.0.1", .port = "0", .key = mock_key};
    mock_knobs_init(&o.knobs);
    o.knobs.value[MOCK_TTFT_MS] = 300;
    o.knobs.value[MOCK_GAP_MS] = 30;
    struct mock *mock = mock_start(&o, message, sizeof message);
    if (mock == NULL) {
        fprintf(stderr, "weir serve --demo: %s\n", message);
        return 1;
    }
    struct buf text = {0};
    struct conf_errors errors = {0};
    demo_config_write(&text, &d, mock_port(mock), mock_key, digest);
    struct config *config = config_load_text("demo", buf_slice(&text), &errors, NULL);
    buf_clear(&text);
    struct gateway_options options = {.config = config, .started = demo_started, .context = &d};
    int status = config != NULL ? gateway_run(&options) : serve_config(NULL, NULL, &errors);
    conf_errors_clear(&errors);
    mock_stop(mock);
    secret_wipe(&d, sizeof d);
    return status;
}

/* The program's path as it was started by: a new version will stand there. */
static const char *program_path(void) {
    static char path[4096];
    ssize_t n = readlink("/proc/self/exe", path, sizeof path - 1);
    return n > 0 ? path : NULL;
}

/* NULL, or the argument that it cannot be called with. */
static const char *options_read(int argc, char **argv, struct gateway_options *o, bool *demo) {
    for (int i = 1; i < argc; i++) {
        bool more = i + 1 < argc;
        if (strcmp(argv[i], "--demo") == 0)
            *demo = true;
        else if ((strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) && more)
            o->path = argv[++i];
        else if (strcmp(argv[i], "--pid-file") == 0 && more)
            o->pid_file = argv[++i];
        else
            return argv[i];
    }
    return NULL;
}

int cli_serve(int argc, char **argv) {
    struct gateway_options o = {.arguments = (const char *const *)(argv - 1)}; /* the program's own: see main() */
    bool demo = false;
    if (cli_help_asked(argc, argv)) {
        fputs(help, stdout);
        return 0;
    }
    const char *bad = options_read(argc, argv, &o, &demo);
    if (bad != NULL) return cli_bad_usage("serve", bad, NULL, help);
    if (demo && (o.path != NULL || o.pid_file != NULL))
        return cli_bad_usage("serve", "--demo", "it stands alone", help);
    o.program = program_path();
    gateway_process_prepare();
    return demo ? serve_demo() : serve_file(&o);
}
