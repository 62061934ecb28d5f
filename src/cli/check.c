/* weir check: everything that is wrong with a configuration, without starting anything. It goes as far as a start would
 * before it opens a socket: certificates, authorities and the price table are read too. */
#include <stdio.h>
#include <string.h>

#include "base/json_text.h"
#include "cli/commands.h"
#include "cli/usage.h"
#include "conf/config.h"
#include "crypto/tls_context.h"
#include "pipeline/snapshot.h"

static const char help[] =
    "usage: weir check [-c FILE] [--print | --json]\n\n"
    "Checks a configuration and everything it includes. Each error is one line on stderr, FILE:LINE:COL: message, all "
    "at\n"
    "once, and the exit status is 1. When there are none it prints `FILE: ok` and exits with 0; warnings may stand "
    "before\n"
    "it. Without -c the configuration is ./weir.yaml, else /etc/weir/weir.yaml.\n\n"
    "  -c, --config FILE  the configuration\n"
    "  --print            the values in effect, each with the place it comes from; secrets are not shown\n"
    "  --json             the outcome as one object: {\"file\",\"ok\",\"messages\":[…]}\n\n"
    "examples:\n"
    "  weir check -c /etc/weir/weir.yaml\n"
    "  weir check --print | grep timeouts\n";

struct options {
    const char *path;
    bool print, json;
};

/* NULL, or the argument that it cannot be called with. */
static const char *options_read(int argc, char **argv, struct options *o) {
    for (int i = 1; i < argc; i++) {
        bool config = strcmp(argv[i], "-c") == 0 || strcmp(argv[i], "--config") == 0;
        if (strcmp(argv[i], "--print") == 0)
            o->print = true;
        else if (strcmp(argv[i], "--json") == 0)
            o->json = true;
        else if (config && i + 1 < argc)
            o->path = argv[++i];
        else
            return argv[i];
    }
    return NULL;
}

static void listeners_check(const struct config *c, struct conf_errors *errors) {
    for (size_t i = 0; i < c->listen.count; i++) {
        const struct config_listener *l = &c->listen.items[i];
        char message[256];
        if (l->tls.certificate.text.p == NULL) continue;
        struct tls_context *t = tls_server_new(l->tls.certificate.text.p, l->tls.key.text.p, message, sizeof message);
        if (t == NULL)
            conf_error_add(errors, l->tls.certificate.at, "%s", message);
        else
            tls_context_unref(t);
    }
}

/* Takes the configuration over. */
static void parts_check(struct config *c, struct conf_errors *errors) {
    listeners_check(c, errors);
    struct origins *origins = origins_new();
    struct snapshot *s = snapshot_compile(c, origins, errors);
    if (s != NULL)
        snapshot_free(s);
    else
        config_free(c);
    origins_free(origins);
}

static void write_out(struct buf *text, FILE *out) {
    if (buf_length(text) > 0) fwrite(buf_slice(text).p, 1, buf_length(text), out);
    buf_clear(text);
}

static void outcome_write(const struct options *o, struct conf_errors *errors, struct buf *out) {
    buf_append_text(out, "{\"file\":");
    json_text_string(out, slice_of(o->path));
    buf_append_text(out, errors->error_count == 0 ? ",\"ok\":true,\"messages\":" : ",\"ok\":false,\"messages\":");
    conf_errors_write_json(errors, out);
    buf_append_text(out, "}\n");
}

static int check_file(const struct options *o) {
    struct conf_errors errors = {0};
    struct buf messages = {0}, values = {0};
    struct config *c = config_load(o->path, &errors, o->print ? &values : NULL);
    if (c != NULL) parts_check(c, &errors);
    bool fine = errors.error_count == 0;
    if (o->json)
        outcome_write(o, &errors, &values);
    else
        conf_errors_write(&errors, &messages);
    conf_errors_clear(&errors);
    write_out(&values, stdout);
    write_out(&messages, stderr);
    if (fine && !o->json) fprintf(o->print ? stderr : stdout, "%s: ok\n", o->path);
    return fine ? 0 : 1;
}

int cli_check(int argc, char **argv) {
    struct options o = {0};
    if (cli_help_asked(argc, argv)) {
        fputs(help, stdout);
        return 0;
    }
    const char *bad = options_read(argc, argv, &o);
    if (bad != NULL) return cli_bad_usage("check", bad, NULL, help);
    if (o.print && o.json) return cli_bad_usage("check", "--print", "not together with --json", help);
    if (o.path == NULL) o.path = config_default_path();
    if (o.path == NULL) {
        fputs("weir check: no configuration: there is neither ./weir.yaml nor /etc/weir/weir.yaml; name one with -c\n",
              stderr);
        return 1;
    }
    return check_file(&o);
}
