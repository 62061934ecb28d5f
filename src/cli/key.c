/* weir key: makes keys for tenants, and the digests that the configuration holds of them. A key is printed once, on
 * stdout, and kept nowhere. */
#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "cli/keys.h"
#include "cli/commands.h"
#include "cli/usage.h"
#include "crypto/digest.h"
#include "crypto/random.h"

static const char help[] = "usage: weir key new [--tenant NAME] [--name KEYNAME] [--json]\n"
                           "       weir key hash [--json] < KEY\n\n"
                           "new   prints a new key, once, and what to put into the configuration for it\n"
                           "hash  reads a key on standard input and prints its digest for the configuration\n\n"
                           "--json   the same as one object: {\"key\",\"tenant\",\"name\",\"sha256\"}, {\"sha256\"}\n\n"
                           "examples:\n"
                           "  weir key new --tenant acme --name ci\n"
                           "  printf %s \"$KEY\" | weir key hash\n";

void key_make(char out[KEY_TEXT_BYTES]) {
    static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    unsigned char random[KEY_TEXT_BYTES];
    random_secret(random, sizeof random);
    memcpy(out, KEY_PREFIX, sizeof KEY_PREFIX - 1);
    for (size_t i = sizeof KEY_PREFIX - 1; i < KEY_TEXT_BYTES - 1; i++) out[i] = alphabet[random[i] & 63];
    out[KEY_TEXT_BYTES - 1] = '\0';
    secret_wipe(random, sizeof random);
}

void key_digest_text(struct slice key, char out[2 * DIGEST_BYTES + 1]) {
    uint8_t digest[DIGEST_BYTES];
    digest_sha256(key, digest);
    hex_encode(digest, DIGEST_BYTES, out);
    out[2 * DIGEST_BYTES] = '\0';
}

static int key_new(const char *tenant, const char *name, bool json) {
    char key[KEY_TEXT_BYTES], digest[2 * DIGEST_BYTES + 1];
    key_make(key);
    key_digest_text(slice_of(key), digest);
    if (json) /* a name holds nothing that JSON escapes */
        printf("{\"key\":\"%s\",\"tenant\":\"%s\",\"name\":\"%s\",\"sha256\":\"%s\"}\n", key, tenant, name, digest);
    else
        printf("%s\n\n# shown only now; in the configuration:\ntenants:\n  %s:\n    keys:\n      - {name: %s, sha256: "
               "\"%s\"}\n",
               key, tenant, name, digest);
    secret_wipe(key, sizeof key);
    return 0;
}

static int key_hash(bool json) {
    char text[4096], digest[2 * DIGEST_BYTES + 1];
    size_t n = fread(text, 1, sizeof text, stdin);
    struct slice key = slice_trim((struct slice){text, n});
    if (key.n == 0 || n == sizeof text) {
        fprintf(stderr, "weir key hash: %s\n", key.n == 0 ? "no key on standard input" : "that is too long for a key");
        return 1;
    }
    key_digest_text(key, digest);
    printf(json ? "{\"sha256\":\"%s\"}\n" : "sha256:%s\n", digest);
    secret_wipe(text, sizeof text);
    return 0;
}

/* A name as the configuration takes it. */
static bool name_is_good(const char *name) {
    size_t n = strlen(name);
    for (size_t i = 0; i < n; i++) {
        char c = ascii_lower(name[i]);
        if (!((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.')) return false;
    }
    return n > 0 && n <= 64 && strchr("-_.", name[0]) == NULL;
}

/* Takes `--json` out of the arguments. */
static bool json_take(int *argc, char **argv) {
    for (int i = 2; i < *argc; i++) {
        if (strcmp(argv[i], "--json") != 0) continue;
        memmove(argv + i, argv + i + 1, (size_t)(*argc - i) * sizeof *argv);
        --*argc;
        return true;
    }
    return false;
}

static int new_run(int argc, char **argv, bool json) {
    const char *tenant = "TENANT", *name = "default";
    for (int i = 2; i < argc; i += 2) {
        const char **value = strcmp(argv[i], "--tenant") == 0 ? &tenant : strcmp(argv[i], "--name") == 0 ? &name : NULL;
        if (value == NULL || i + 1 == argc) return cli_bad_usage("key new", argv[i], NULL, help);
        *value = argv[i + 1];
        if (!name_is_good(*value))
            return cli_bad_usage("key new", argv[i],
                                 "a name is letters, digits, `.`, `_` and `-`, a letter or digit first, at most 64",
                                 help);
    }
    return key_new(tenant, name, json);
}

int cli_key(int argc, char **argv) {
    if (cli_help_asked(argc, argv)) {
        fputs(help, stdout);
        return 0;
    }
    bool json = json_take(&argc, argv);
    if (argc >= 2 && strcmp(argv[1], "new") == 0) return new_run(argc, argv, json);
    if (argc < 2 || strcmp(argv[1], "hash") != 0) return cli_bad_usage("key", NULL, "either `new` or `hash`", help);
    if (argc > 2) return cli_bad_usage("key hash", NULL, "the key is read from standard input", help);
    return key_hash(json);
}
