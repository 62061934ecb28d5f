/* weir key: makes keys for tenants, and the digests that the configuration holds of them. A key is printed once, on
 * stdout, and kept nowhere. */
#include <stdio.h>
#include <string.h>

#include "base/slice.h"
#include "cli/keys.h"
#include "cli/commands.h"
#include "crypto/digest.h"
#include "crypto/random.h"

static const char help[] = "usage: weir key new [--tenant NAME] [--name KEYNAME]\n"
                           "       weir key hash < KEY\n\n"
                           "new   prints a new key, once, and what to put into the configuration for it\n"
                           "hash  reads a key on standard input and prints its digest for the configuration\n\n"
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

static int key_new(const char *tenant, const char *name) {
    char key[KEY_TEXT_BYTES], digest[2 * DIGEST_BYTES + 1];
    key_make(key);
    key_digest_text(slice_of(key), digest);
    printf("%s\n\n# shown only now; in the configuration:\ntenants:\n  %s:\n    keys:\n      - {name: %s, sha256: "
           "\"%s\"}\n",
           key, tenant, name, digest);
    secret_wipe(key, sizeof key);
    return 0;
}

static int key_hash(void) {
    char text[4096], digest[2 * DIGEST_BYTES + 1];
    size_t n = fread(text, 1, sizeof text, stdin);
    struct slice key = slice_trim((struct slice){text, n});
    if (key.n == 0 || n == sizeof text) {
        fprintf(stderr, "weir key hash: %s\n", key.n == 0 ? "no key on standard input" : "that is too long for a key");
        return 1;
    }
    key_digest_text(key, digest);
    printf("sha256:%s\n", digest);
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
    return n > 0 && n <= 64;
}

int cli_key(int argc, char **argv) {
    const char *tenant = "TENANT", *name = "default";
    if (argc >= 2 && strcmp(argv[1], "--help") == 0) {
        fputs(help, stdout);
        return 0;
    }
    bool is_new = argc >= 2 && strcmp(argv[1], "new") == 0;
    if (argc == 2 && strcmp(argv[1], "hash") == 0) return key_hash();
    for (int i = 2; is_new && i < argc; i += 2) {
        const char **value = strcmp(argv[i], "--tenant") == 0 ? &tenant : strcmp(argv[i], "--name") == 0 ? &name : NULL;
        is_new = value != NULL && i + 1 < argc && name_is_good(argv[i + 1]);
        if (is_new) *value = argv[i + 1];
    }
    if (is_new) return key_new(tenant, name);
    fputs(help, stderr);
    return 2;
}
