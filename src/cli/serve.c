/* weir serve: reads the configuration and runs the gateway; --demo makes one up around an in-process mock provider. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "cli/keys.h"
#include "cli/commands.h"
#include "crypto/random.h"
#include "mock/mock.h"
#include "runtime/gateway.h"

static const char help[] =
    "usage: weir serve [-c FILE]\n"
    "       weir serve --demo\n\n"
    "Runs the gateway until SIGTERM. Without -c the configuration is ./weir.yaml, else /etc/weir/weir.yaml.\n\n"
    "  -c, --config FILE  the configuration\n"
    "  --demo             no file needed: a mock provider in this process, one tenant whose key is printed,\n"
    "                     everything on loopback\n\n"
    "signals: SIGTERM, SIGINT drain and stop (a second one at once); SIGUSR1 reopens the access log\n\n"
    "examples:\n"
    "  weir serve --demo\n"
    "  weir serve -c /etc/weir/weir.yaml\n";

static int serve_config(struct config *config, struct conf_errors *errors) {
    struct buf text = {0};
    conf_errors_write(errors, &text);
    if (buf_length(&text) > 0) fwrite(text.data, 1, buf_length(&text), stderr);
    buf_clear(&text);
    conf_errors_clear(errors);
    if (config == NULL) return 1;
    return gateway_run(&(struct gateway_options){.config = config});
}

static int serve_file(const char *path) {
    struct conf_errors errors = {0};
    if (path == NULL) path = access("weir.yaml", F_OK) == 0 ? "weir.yaml" : "/etc/weir/weir.yaml";
    return serve_config(config_load(path, &errors, NULL), &errors);
}

/* ---- the demo ---- */

static void demo_config_write(struct buf *out, unsigned short mock_port, const char *mock_key, const char *digest) {
    static const struct {
        const char *name, *dialect, *path, *models;
    } providers[] = {{"openai", "openai", "/v1", "\"gpt-*\", \"o*\", \"text-embedding-*\""},
                     {"anthropic", "anthropic", "", "\"claude-*\""},
                     {"gemini", "gemini", "", "\"gemini-*\""}};
    buf_append_text(out, "listen: [{address: \"127.0.0.1:8080\"}]\nadmin: {address: \"127.0.0.1:9347\"}\nproviders:\n");
    for (size_t i = 0; i < sizeof providers / sizeof providers[0]; i++)
        buf_printf(out, "  %s: {dialect: %s, base_url: \"http://127.0.0.1:%u%s\", api_key: \"%s\", models: [%s]}\n",
                   providers[i].name, providers[i].dialect, mock_port, providers[i].path, mock_key,
                   providers[i].models);
    buf_append_text(out, "models:\n  fast: {targets: [{provider: openai, model: gpt-4o-mini}]}\n");
    buf_printf(out, "tenants: {demo: {keys: [{name: demo, sha256: \"%s\"}]}}\nlog: {access: stdout}\n", digest);
}

static void demo_started(void *context, unsigned short data_port) {
    const char *key = context;
    fprintf(
        stderr,
        "\n  weir is listening on http://127.0.0.1:%u with a mock provider behind it.\n\n"
        "  Stream an answer:\n\n"
        "    curl -N http://127.0.0.1:%u/v1/chat/completions -H 'authorization: Bearer %s' \\\n"
        "      -H 'content-type: application/json' \\\n"
        "      -d '{\"model\":\"fast\",\"stream\":true,\"messages\":[{\"role\":\"user\",\"content\":\"Hello\"}]}'\n\n"
        "  Each request leaves one line of JSON here. Metrics: http://127.0.0.1:9347/metrics. Stop with Ctrl-C.\n\n",
        data_port, data_port, key);
}

static int serve_demo(void) {
    char key[KEY_TEXT_BYTES], mock_key[KEY_TEXT_BYTES], digest[2 * DIGEST_BYTES + 1], message[256];
    key_make(key);
    key_make(mock_key);
    key_digest_text(slice_of(key), digest);
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
    demo_config_write(&text, mock_port(mock), mock_key, digest);
    struct config *config = config_load_text("demo", buf_slice(&text), &errors, NULL);
    buf_clear(&text);
    struct gateway_options options = {.config = config, .started = demo_started, .context = key};
    int status = config != NULL ? gateway_run(&options) : serve_config(NULL, &errors);
    conf_errors_clear(&errors);
    mock_stop(mock);
    secret_wipe(key, sizeof key);
    return status;
}

int cli_serve(int argc, char **argv) {
    const char *path = NULL;
    bool demo = false, good = true;
    for (int i = 1; i < argc && good; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            fputs(help, stdout);
            return 0;
        }
        if (strcmp(argv[i], "--demo") == 0)
            demo = true;
        else if ((strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0) && i + 1 < argc)
            path = argv[++i];
        else
            good = false;
    }
    if (!good || (demo && path != NULL)) {
        fputs(help, stderr);
        return 2;
    }
    gateway_process_prepare();
    return demo ? serve_demo() : serve_file(path);
}
