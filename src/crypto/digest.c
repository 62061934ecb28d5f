/* SHA-256, SHA-1 and constant-time comparison, by OpenSSL. The algorithm is fetched once: a fetch per call costs more
 * than hashing a key does. */
#include "crypto/digest.h"

#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <pthread.h>

static EVP_MD *sha256;
static pthread_once_t sha256_once = PTHREAD_ONCE_INIT;

static void sha256_fetch(void) {
    sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
    assert(sha256 != NULL);
}

void digest_sha256(struct slice s, uint8_t out[DIGEST_BYTES]) {
    pthread_once(&sha256_once, sha256_fetch);
    unsigned length = 0;
    int done = EVP_Digest(s.n > 0 ? s.p : "", s.n, out, &length, sha256, NULL);
    assert(done == 1 && length == DIGEST_BYTES);
}

void digest_sha1(struct slice s, uint8_t out[DIGEST_SHA1_BYTES]) {
    unsigned length = 0;
    int done = EVP_Digest(s.n > 0 ? s.p : "", s.n, out, &length, EVP_sha1(), NULL);
    assert(done == 1 && length == DIGEST_SHA1_BYTES);
}

bool digest_equal(const uint8_t *a, const uint8_t *b) {
    return CRYPTO_memcmp(a, b, DIGEST_BYTES) == 0;
}

bool secret_equal(struct slice a, struct slice b) {
    return a.n == b.n && CRYPTO_memcmp(a.p, b.p, a.n) == 0;
}
